"""Which connectors there are, and which of them a configuration asks.

Belongs here: names and nothing else; a new connector is its own file and one line in `CONNECTORS`. A package outside
adds one by an entry point of the group `incident_pipeline.sources`: name -> a `Connector`. Nothing that is missing is
a crash: a source that cannot be asked is in its place with a sentence that says why.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, cast

from incident_pipeline.config import AlertSource, Connection, Scenario
from incident_pipeline.connectors.base import AlertFeed, Build, Question, Source, SourceSettings
from incident_pipeline.errors import ConfigurationError, PermanentSourceError
from incident_pipeline.models import Envelope, EvidenceKind

ENTRY_POINTS = "incident_pipeline.sources"


@dataclass(frozen=True)
class Connector:
    """One connector: what it can be asked, and where it is built."""

    kinds: frozenset[EvidenceKind]
    module: str
    """A module with a function `build(settings: SourceSettings) -> Source`; imported when it is used."""
    shares: str | None = None
    """Whose connection and keys it uses where it has none of its own name."""

    @property
    def build(self) -> Build:
        """The module's `build`."""
        build: Build = import_module(self.module).build
        return build


def _connector(module: str, *kinds: EvidenceKind, shares: str | None = None) -> Connector:
    return Connector(frozenset(kinds), f"incident_pipeline.connectors.{module}", shares)


CONNECTORS: dict[str, Connector] = {
    "alertmanager": _connector("alertmanager", EvidenceKind.RELATED_ALERTS),
    "argocd": _connector("argocd", EvidenceKind.DEPLOYMENTS),
    "catalogue": _connector("catalogue", EvidenceKind.SERVICE_GRAPH),
    "cloudwatch": _connector("cloudwatch", EvidenceKind.METRICS, EvidenceKind.LOGS),
    "datadog": _connector(
        "datadog",
        EvidenceKind.METRICS,
        EvidenceKind.LOGS,
        EvidenceKind.RELATED_ALERTS,
        EvidenceKind.DEPLOYMENTS,
        EvidenceKind.FLAG_CHANGES,
    ),
    "elasticsearch": _connector("elasticsearch", EvidenceKind.LOGS),
    "git": _connector("git", EvidenceKind.CODE_CHANGES),
    "github": _connector("github", EvidenceKind.DEPLOYMENTS, EvidenceKind.CODE_CHANGES),
    "github-actions": _connector("github", EvidenceKind.DEPLOYMENTS, shares="github"),
    "gitlab": _connector("gitlab", EvidenceKind.DEPLOYMENTS, EvidenceKind.CODE_CHANGES),
    "jenkins": _connector("jenkins", EvidenceKind.DEPLOYMENTS),
    "kubernetes": _connector("kubernetes", EvidenceKind.KUBERNETES_STATE, EvidenceKind.DEPLOYMENTS),
    "loki": _connector("loki", EvidenceKind.LOGS),
    "opensearch": _connector("elasticsearch", EvidenceKind.LOGS),
    "opsgenie": _connector("opsgenie", EvidenceKind.RELATED_ALERTS, EvidenceKind.ON_CALL),
    "pagerduty": _connector("pagerduty", EvidenceKind.RELATED_ALERTS, EvidenceKind.DEPLOYMENTS, EvidenceKind.ON_CALL),
    "prometheus": _connector("prometheus", EvidenceKind.METRICS, EvidenceKind.RELATED_ALERTS),
    "slack": _connector("slack", EvidenceKind.RELATED_ALERTS),
    "statuspage": _connector("statuspage", EvidenceKind.RELATED_ALERTS),
}


POLLED = ("alertmanager", "datadog", "opsgenie", "pagerduty", "slack")
"""Connectors that can be asked for alerts, where no webhook brings them."""


ON_CALL = ("opsgenie", "pagerduty")
"""Connectors that know who is on call; asked where they are used at all."""


class UnavailableSource:
    """A source that is configured and cannot be asked, with the reason; it becomes a gap."""

    def __init__(self, name: str, reason: str, kinds: Iterable[EvidenceKind] = tuple(EvidenceKind)) -> None:
        self.name = name
        self.reason = reason
        self.kinds = frozenset(kinds)

    async def fetch(self, question: Question) -> Envelope[Any]:  # noqa: ARG002  # the protocol's name for it
        """Say why it cannot be asked."""
        raise PermanentSourceError(self.reason)

    async def close(self) -> None:
        """There is nothing to let go of."""


def connector_named(name: str) -> Connector | None:
    """Our connector of that name, else another package's; None where there is neither.

    Raises:
        ConfigurationError: another package's connector cannot be loaded.
    """
    if name in CONNECTORS:
        return CONNECTORS[name]
    for point in entry_points(group=ENTRY_POINTS, name=name):
        try:
            connector = point.load()
        except Exception as error:  # another package's mistake, whatever it is, must not take ours down
            raise ConfigurationError(f"the connector {name!r} ({point.value}) cannot be loaded: {error!r}") from error
        if not isinstance(connector, Connector):
            raise ConfigurationError(f"the connector {name!r} ({point.value}) is not a Connector")
        return connector
    return None


def connector_names() -> tuple[str, ...]:
    """The names of all connectors of this installation."""
    return tuple(sorted({*CONNECTORS, *(point.name for point in entry_points(group=ENTRY_POINTS))}))


def sources_asked(scenario: Scenario) -> dict[EvidenceKind, tuple[str, ...]]:
    """The names of the sources that a configuration asks for each kind of evidence."""
    context = scenario.context
    code = context.code.sources or (("git",) if context.code.repositories else ())
    return {
        EvidenceKind.DEPLOYMENTS: context.deployments.sources,
        EvidenceKind.CODE_CHANGES: code,
        EvidenceKind.FLAG_CHANGES: context.flags.sources,
        EvidenceKind.METRICS: _one(context.metrics.provider),
        EvidenceKind.LOGS: _one(context.logs.provider),
        EvidenceKind.TRACES: context.traces.sources,
        EvidenceKind.RELATED_ALERTS: context.related_alerts.sources,
        EvidenceKind.SERVICE_GRAPH: ("catalogue",) if scenario.services_file.exists() else (),
        EvidenceKind.KUBERNETES_STATE: context.kubernetes.sources,
        EvidenceKind.ON_CALL: tuple(name for name in ON_CALL if _is_used(name, scenario)),
    }


def build_sources(scenario: Scenario, transport: Any = None) -> dict[EvidenceKind, list[Source]]:
    """Who is asked for each kind of evidence; nothing is opened before it is asked.

    Args:
        scenario: the configuration.
        transport: replaces the network, for tests.
    """
    built: dict[str, Source] = {}
    asked = sources_asked(scenario)
    return {
        kind: [_source(name, kind, scenario, transport, built) for name in dict.fromkeys(names)]
        for kind, names in asked.items()
    }


def build_feeds(scenario: Scenario, transport: Any = None) -> dict[str, AlertFeed | UnavailableSource]:
    """The alert sources of the configuration that are polled, by name: enabled ones that can be.

    Args:
        scenario: the configuration.
        transport: replaces the network, for tests.
    """
    wanted = [name for name, source in scenario.alerts.sources.items() if source.enabled and name in POLLED]
    found: dict[str, AlertFeed | UnavailableSource] = {}
    for name in wanted:
        built = _build(name, CONNECTORS[name], scenario, transport)
        found[name] = cast(AlertFeed | UnavailableSource, built)
    return found


def folder_sources(folder: Path) -> dict[EvidenceKind, list[Source]]:
    """An incident folder as the source of every kind of evidence."""
    from incident_pipeline.connectors.folder import FolderSource

    source = FolderSource(folder)
    return {kind: [source] for kind in EvidenceKind}


def _is_used(name: str, scenario: Scenario) -> bool:
    keys = scenario.alerts.sources.get(name)
    connection = scenario.connections.get(name)
    has_key = keys is not None and keys.enabled and (keys.api_key or keys.token)
    return bool(has_key or (connection is not None and (connection.token or connection.password)))


def _declared(name: str, scenario: Scenario) -> Connector | None:
    """A connection that describes its rows itself; see `http_json.py`."""
    connection = scenario.connections.get(name)
    if connection is None or "rows" not in connection.options:
        return None
    from incident_pipeline.connectors.http_json import kind_of

    return Connector(frozenset({kind_of(name, connection.options)}), "incident_pipeline.connectors.http_json")


def _source(name: str, kind: EvidenceKind, scenario: Scenario, transport: Any, built: dict[str, Source]) -> Source:
    try:
        connector = connector_named(name) or _declared(name, scenario)
    except ConfigurationError as error:
        return UnavailableSource(name, str(error), (kind,))
    if connector is None:
        close = get_close_matches(name, connector_names(), n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        return UnavailableSource(name, f"there is no connector {name!r} in this installation{hint}", (kind,))
    if kind not in connector.kinds:
        has = ", ".join(sorted(connector.kinds))
        return UnavailableSource(name, f"{name} cannot be asked for {kind.value}; it has {has}", (kind,))
    if name not in built:
        built[name] = _build(name, connector, scenario, transport)
    return built[name]


def _build(name: str, connector: Connector, scenario: Scenario, transport: Any) -> Source:
    place = name if connector.shares is None or name in scenario.connections else connector.shares
    lacking = _lacking(place, scenario)
    if lacking is not None:
        return UnavailableSource(name, lacking, connector.kinds)
    settings = SourceSettings(
        name=name,
        scenario=scenario,
        connection=scenario.connections.get(place, Connection()),
        keys=scenario.alerts.sources.get(name, scenario.alerts.sources.get(place, AlertSource())),
        transport=transport,
    )
    try:
        return connector.build(settings)
    except ConfigurationError as error:
        return UnavailableSource(name, str(error), connector.kinds)


def _lacking(name: str, scenario: Scenario) -> str | None:
    sections = (f"connections.{name}.", f"alerts.sources.{name}.")
    for missing in scenario.missing:
        if missing.key.removeprefix("scenario.").startswith(sections):
            return f"{missing.key} needs the environment variable {missing.variable}, which is not set"
    return None


def _one(name: str | None) -> tuple[str, ...]:
    return (name,) if name else ()
