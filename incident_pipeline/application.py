"""Everything one process needs, put together from the configuration.

Belongs here: which store, inbox, memory and sources belong to a configuration. The command line, the receiver and
the Dagster assets all start from here. Does not belong here: what is done with any of it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incident_pipeline.config import Scenario
from incident_pipeline.configuration.file import MissingVariable, load_scenario
from incident_pipeline.errors import ConfigurationError

if TYPE_CHECKING:
    from incident_pipeline.connectors.base import Source
    from incident_pipeline.evidence.circuits import Circuits
    from incident_pipeline.models import EvidenceKind, Service
    from incident_pipeline.storage.inbox import Inbox
    from incident_pipeline.storage.incidents.store import IncidentStore
    from incident_pipeline.storage.rate_store import RateStore
    from kb import KnowledgeBase

CONFIG_VARIABLE = "INCIDENT_PIPELINE_CONFIG"
DATA_DIR_VARIABLE = "INCIDENT_PIPELINE_DATA_DIR"


@dataclass(frozen=True)
class Application:
    """One configuration and what it opens, each at first use."""

    scenario: Scenario
    data_dir: Path
    config_path: Path | None = None
    missing: tuple[MissingVariable, ...] = ()

    @classmethod
    def load(
        cls, config: Path | None = None, data_dir: Path | None = None, environ: Mapping[str, str] = os.environ
    ) -> Application:
        """Read the configuration; what is not given comes from the environment, then from the defaults.

        Raises:
            ConfigurationError: the file cannot be read or is wrong, or the data directory is none.
        """
        config = config or _path(environ.get(CONFIG_VARIABLE))
        data_dir = data_dir or _path(environ.get(DATA_DIR_VARIABLE))
        loaded = load_scenario(config, data_dir, environ)
        place = loaded.scenario.data_dir
        if place.exists() and not place.is_dir():
            raise ConfigurationError(f"data_dir: {place} is not a folder; name one that is, or that is not there yet")
        return cls(loaded.scenario, loaded.scenario.data_dir.absolute(), loaded.path, tuple(loaded.missing))

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make a child process load the same application."""
        given = {DATA_DIR_VARIABLE: str(self.data_dir), "DAGSTER_HOME": str(self.dagster_home)}
        if self.config_path is not None:
            given[CONFIG_VARIABLE] = str(self.config_path.absolute())
        return given

    @property
    def dagster_home(self) -> Path:
        """Where Dagster keeps its own state: below the data directory, never in a temporary folder."""
        return self.data_dir / "dagster"

    @property
    def run_locks(self) -> Path:
        """One file for each run, locked while its process lives."""
        return self.data_dir / "runs"

    @property
    def templates(self) -> Path | None:
        """The user's own templates, where there are any."""
        folder = self.scenario.templates_dir
        return folder if folder.is_dir() else None

    @cached_property
    def inbox(self) -> Inbox:
        """Alerts received, incidents and claims."""
        from incident_pipeline.storage.inbox import Inbox

        self.data_dir.mkdir(parents=True, exist_ok=True)
        return Inbox.open(self.inbox_location, self.scenario.diagnosis)

    @property
    def inbox_location(self) -> Path | str:
        """The file below the data directory, or the URL of a database that several machines share.

        Raises:
            ConfigurationError: the URL is to come from a variable that is not set; alerts must not go astray.
        """
        if self.scenario.inbox_url is not None:
            return self.scenario.inbox_url.get_secret_value()
        for missing in self.missing:
            if missing.key == "inbox_url":
                raise ConfigurationError(f"inbox_url: {missing.variable} is not set, and alerts belong nowhere else")
        return self.data_dir / "inbox.sqlite"

    @property
    def inbox_exists(self) -> bool:
        """Whether there is an inbox to read; asking makes none."""
        return "inbox" in self.__dict__ or not isinstance(place := self.inbox_location, Path) or place.exists()

    @cached_property
    def store(self) -> IncidentStore:
        """Every version of every asset."""
        from incident_pipeline.storage.incidents.store import IncidentStore

        return IncidentStore(self.data_dir / "incidents")

    @cached_property
    def knowledge_base(self) -> KnowledgeBase:
        """Runbooks and postmortems."""
        from kb import KnowledgeBase

        settings = self.scenario.knowledge_base
        place = self.data_dir / "knowledge_base.duckdb" if settings.backend == "embedded" else settings.backend
        return KnowledgeBase.open(place, model=settings.model)

    @cached_property
    def catalogue(self) -> tuple[Service, ...]:
        """The services that are known by name, and what they call."""
        from incident_pipeline.evidence.services import load_catalogue

        return load_catalogue(self.scenario.services_file)

    def sources(self, folder: Path | None = None) -> dict[EvidenceKind, list[Source]]:
        """Who is asked for each kind of evidence; an incident folder answers for all of them."""
        from incident_pipeline.connectors.registry import build_sources, folder_sources

        if folder:
            return folder_sources(folder)
        built = build_sources(self.scenario)
        kinds = self._received()
        if kinds:
            from incident_pipeline.evidence.received import ReceivedSource

            source = ReceivedSource(self.inbox, kinds)
            built = {kind: [*asked, source] if kind in kinds else asked for kind, asked in built.items()}
        return built

    def _received(self) -> frozenset[EvidenceKind]:
        """The kinds of evidence that webhooks have brought; none where there is no inbox yet."""
        from incident_pipeline.errors import StoreError

        location = self.inbox_location
        if isinstance(location, Path) and not location.exists():
            return frozenset()
        try:
            return self.inbox.has_changes()
        except StoreError:
            return frozenset()  # a damaged inbox must not cost the evidence of the others

    @cached_property
    def circuits(self) -> Circuits:
        """Which sources are left alone for a while, shared by all runs."""
        from incident_pipeline.storage.circuit_store import CircuitStore

        return CircuitStore(self.inbox_location)

    @cached_property
    def rates(self) -> RateStore:
        """How often each source may be asked, shared by all runs."""
        from incident_pipeline.storage.rate_store import RateStore

        return RateStore(self.inbox_location)

    def close(self) -> None:
        """Let go of what was opened."""
        opened: dict[str, Any] = self.__dict__
        for name in ("inbox", "knowledge_base"):
            if name in opened:
                opened[name].close()


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None
