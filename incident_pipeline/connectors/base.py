"""What every source of evidence looks like, so that a new one is one file and one line in the registry.

Belongs here: the question that is asked, the protocol that answers it, and what a connector is built from.
Does not belong here: anything about one vendor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from pydantic import Field, SecretStr

from incident_pipeline.config import AlertSource, Connection, Scenario
from incident_pipeline.errors import ConfigurationError
from incident_pipeline.models import Alert, CodeChange, Deployment, Envelope, EvidenceKind, Model, Window


class Question(Model):
    """What an incident needs to know of one kind of evidence."""

    kind: EvidenceKind
    window: Window
    """Absolute times; a source that pages keeps them."""
    around: datetime
    """When the first alert started."""
    services: tuple[str, ...] = ()
    """The services of the incident; empty: not known, ask for all."""
    environment: str | None = None
    alert_labels: Mapping[str, str] = Field(default_factory=dict)
    limit: int = 1000
    """Rows at most."""
    seconds: float = 8.0
    """How long the answer may take; a source that pages returns what it has a little earlier, marked partial."""
    queries: Mapping[str, str] = Field(default_factory=dict)
    """For metrics: name -> the provider's query."""
    sampled_as: Window | None = None
    """For metrics: points as far apart as in an answer about this window, which this one is to be compared with."""
    focus_patterns: tuple[str, ...] = ()
    focus_areas: tuple[str, ...] = ()
    projects: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    """Service -> repositories, applications or jobs of it."""
    namespaces: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    """Cluster -> its Kubernetes namespaces that the services run in; the cluster "" is the one that is configured."""

    @property
    def sampled(self) -> timedelta:
        """How long the window is by which the distance of points is chosen."""
        window = self.sampled_as or self.window
        return window.end - window.start


class Source(Protocol):
    """One outside system that can answer questions about an incident."""

    @property
    def name(self) -> str:
        """As in the configuration: `prometheus`, `github-actions`."""
        ...

    @property
    def kinds(self) -> frozenset[EvidenceKind]:
        """What it can be asked."""
        ...

    async def fetch(self, question: Question) -> Envelope[Any]:
        """Answer one question.

        Raises:
            SourceError: it could not; the caller makes it an `unavailable` envelope. Whatever else is raised
                becomes one too, and so does a deadline that passes.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class Polled(Model):
    """What a source of alerts had since the last time."""

    alerts: tuple[Alert, ...] = ()
    cursor: str
    """To be given back the next time; overlaps a little, so that nothing is missed: the same alert comes twice."""
    notes: tuple[str, ...] = ()


class Received(Model):
    """What a webhook brought that is evidence and no alert."""

    deployments: tuple[Deployment, ...] = ()
    changes: tuple[CodeChange, ...] = ()


class AlertFeed(Protocol):
    """A system that is asked for alerts where no webhook brings them."""

    async def poll(self, cursor: str | None, now: datetime, seconds: float) -> Polled:
        """New, acknowledged and resolved alerts since the cursor; without one, all that are open.

        Raises:
            SourceError: it did not answer; the cursor stays as it was.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


@dataclass(frozen=True)
class SourceSettings:
    """What a connector is built from."""

    name: str
    """As in the configuration."""
    scenario: Scenario
    connection: Connection = field(default_factory=Connection)
    keys: AlertSource = field(default_factory=AlertSource)
    """The source's own keys below `alerts.sources`, used for its evidence as well."""
    transport: Any = None
    """Replaces the network, for tests."""

    @property
    def token(self) -> SecretStr | None:
        """The connection's token, else the token or the API key of the alert source of the same name."""
        return self.connection.token or self.keys.token or self.keys.api_key

    def url(self, default: str | None = None) -> str:
        """The configured address.

        Raises:
            ConfigurationError: none is configured, and the system has no public one.
        """
        url = self.connection.url or default
        if url is None:
            raise ConfigurationError(f"connections.{self.name}.url is not set; write where {self.name} is")
        return url

    def secret(self, what: str = "token") -> SecretStr:
        """The token, which the system does not work without.

        Raises:
            ConfigurationError: none is configured.
        """
        if self.token is None:
            raise ConfigurationError(f"connections.{self.name}.{what} is not set; give it as ${{NAME}}")
        return self.token


Build = Callable[[SourceSettings], Source]
"""What each connector's module offers as `build`; it opens nothing and raises ConfigurationError for what it lacks."""
