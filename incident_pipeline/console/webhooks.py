"""Which webhooks are understood, by the source's name in the URL.

Belongs here: the table from names to readers. Does not belong here: what any payload looks like; its connector knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from incident_pipeline.config import Alerts
from incident_pipeline.connectors.base import Received
from incident_pipeline.connectors.custom import alerts_from_custom, compiled_mapping
from incident_pipeline.connectors.webhooks import CHANGES, READERS, change_reader, reader
from incident_pipeline.errors import NotFoundError
from incident_pipeline.models import Alert

Reader = Callable[[Any, datetime], list[Alert] | Received]
"""A parsed body and when it came: its alerts, or the changes that it brings; raises InputError."""


def _built_in(source: str, body: Any, received_at: datetime) -> list[Alert]:
    found = reader(source)
    if found is None:
        raise NotFoundError(f"there is nobody who reads webhooks of {source}")
    return found(body, received_at=received_at)


def _mapped(mapping: dict[str, str], source: str, body: Any, received_at: datetime) -> list[Alert]:
    return alerts_from_custom(body, mapping, source=source, received_at=received_at)


def _changes(projects: Mapping[str, Sequence[str]], source: str, body: Any, _received_at: datetime) -> Received:
    return change_reader(source)(body, projects)


BUILT_IN: dict[str, Reader] = {name: partial(_built_in, name) for name in READERS}
"""Sources whose own payloads are understood; a mapping in the configuration takes a source's place."""


class Webhooks:
    """The readers of one configuration."""

    def __init__(self, settings: Alerts, projects: Mapping[str, Sequence[str]] | None = None) -> None:
        """Check every mapping once.

        Args:
            settings: which sources there are.
            projects: service -> its repositories, to place the changes that webhooks bring.

        Raises:
            ConfigurationError: an expression of a mapping is wrong.
        """
        changes = {name: partial(_changes, dict(projects or {}), name) for name in CHANGES}
        self._readers: dict[str, Reader] = {**BUILT_IN, **changes}
        self._off = frozenset(name for name, source in settings.sources.items() if not source.enabled)
        self._without = frozenset(settings.sources) - set(self._readers)
        for name, source in settings.sources.items():
            if source.mapping:
                compiled_mapping(source.mapping, name)
                self._readers[name] = partial(_mapped, dict(source.mapping), name)

    def reader(self, source: str) -> Reader:
        """Who reads the bodies of a source.

        Raises:
            NotFoundError: nobody does.
        """
        if source in self._off:
            raise NotFoundError(f"source {source} is switched off; set alerts.sources.{source}.enabled")
        if source in self._readers:
            return self._readers[source]
        if source in self._without:
            raise NotFoundError(f"source {source} takes no webhooks without alerts.sources.{source}.mapping")
        known = ", ".join(sorted(set(self._readers) - self._off))
        raise NotFoundError(f"there is no source of this name; webhooks are taken for: {known}")
