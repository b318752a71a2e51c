"""The service catalogue file as a source of the service graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from incident_pipeline.connectors.base import Question, SourceSettings
from incident_pipeline.errors import ConfigurationError, PermanentSourceError
from incident_pipeline.evidence.envelopes import answered
from incident_pipeline.evidence.services import load_catalogue
from incident_pipeline.models import Envelope, EvidenceKind


class CatalogueSource:
    """`services.yaml` as it is at the time of the question."""

    def __init__(self, path: Path) -> None:
        self.name = "catalogue"
        self.kinds = frozenset({EvidenceKind.SERVICE_GRAPH})
        self._path = path

    async def fetch(self, question: Question) -> Envelope[Any]:
        """All services of the catalogue."""
        try:
            services = load_catalogue(self._path)
        except ConfigurationError as error:
            raise PermanentSourceError(str(error)) from error
        return answered(question.kind, self.name, services, query=self._path.name)

    async def close(self) -> None:
        """There is nothing to let go of."""


def build(settings: SourceSettings) -> CatalogueSource:
    """The catalogue of the configuration."""
    return CatalogueSource(settings.scenario.services_file)
