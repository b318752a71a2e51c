"""Whether a key of the configuration has an effect now, and if not, why.

Belongs here: the rules, given what this installation can talk to. When a part of the application begins to use a key,
its line leaves `NOT_YET`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from incident_pipeline.config import Scenario
from incident_pipeline.configuration.mistakes import Location
from incident_pipeline.connectors.registry import POLLED
from incident_pipeline.models import EvidenceKind

Verdict = tuple[str, str]
"""State (active, off, incomplete, inactive) and why."""

ACTIVE: Verdict = ("active", "")

NOT_YET: dict[str, str] = {}
"""Keys that are read and checked and that nothing uses yet; `*` is any one name."""

REMARKS: dict[str, str] = {}
"""Keys that are used, and that do less than their name says."""

KINDS = {
    "deployments": EvidenceKind.DEPLOYMENTS,
    "code": EvidenceKind.CODE_CHANGES,
    "flags": EvidenceKind.FLAG_CHANGES,
    "metrics": EvidenceKind.METRICS,
    "logs": EvidenceKind.LOGS,
    "traces": EvidenceKind.TRACES,
    "related_alerts": EvidenceKind.RELATED_ALERTS,
    "kubernetes": EvidenceKind.KUBERNETES_STATE,
    "on_call": EvidenceKind.ON_CALL,
}
"""Section of `context` -> the kind of evidence it is about."""

WEIGHTS = ("focus_areas", "focus_patterns")
"""Keys of `context` that also weigh the evidence of incident folders."""


@dataclass(frozen=True)
class Facts:
    """What this installation can do with one configuration."""

    asked: Mapping[EvidenceKind, Mapping[str, str]]
    """Kind -> the sources that are asked for it, each with the reason why it cannot be asked, empty where it can."""
    connectors: frozenset[str]
    """Systems that there is a connector for."""
    webhooks: frozenset[str] = frozenset()
    """Sources whose webhooks the receiver understands without a mapping."""
    used: frozenset[str] = frozenset()
    """Connections that a source of `context` uses, of its own name or shared."""
    services: int = 0
    """How many services the catalogue has."""
    absent: frozenset[Path] = frozenset()
    """Files and folders that are named and not there."""


def facts_of(scenario: Scenario) -> Facts:
    """What this installation can do with a configuration; nobody is asked anything.

    Raises:
        ConfigurationError: the catalogue or a mapping is wrong.
    """
    from incident_pipeline.connectors.registry import UnavailableSource, build_sources, connector_names
    from incident_pipeline.console.webhooks import BUILT_IN, Webhooks
    from incident_pipeline.evidence.services import load_catalogue

    Webhooks(scenario.alerts)
    services = len(load_catalogue(scenario.services_file))
    asked = {
        kind: {source.name: source.reason if isinstance(source, UnavailableSource) else "" for source in sources}
        for kind, sources in build_sources(scenario).items()
    }
    absent = frozenset(path for path in _named_paths(scenario) if not path.exists())
    used = {name for sources in asked.values() for source in sources for name in _connections_of(source)}
    media = frozenset(_media_of(scenario)) | _connections_of_targets(scenario)
    connectors = frozenset(connector_names()) | media
    return Facts(asked, connectors, frozenset(BUILT_IN), frozenset(used) | media, services, absent)


def _media_of(scenario: Scenario) -> Iterator[str]:
    """The connections through which people are told something."""
    named = scenario.remediation.communication
    told = named.stakeholders if named.stakeholder_notify else ()
    if named.slack_channel or named.test_channel or any(who.slack_channel for who in told):
        yield "slack"
    if any(who.emails for who in told):
        yield "smtp"
    yield from (who.webhook for who in told if who.webhook)
    yield from named.notes
    if named.status_page:
        yield "statuspage"


def _connections_of(source: str) -> Iterator[str]:
    from incident_pipeline.connectors.registry import CONNECTORS

    yield source
    connector = CONNECTORS.get(source)
    if connector is not None and connector.shares is not None:
        yield connector.shares


def _connections_of_targets(scenario: Scenario) -> frozenset[str]:
    """The connections that carrying actions out uses."""
    targets = scenario.remediation.targets
    own = {"argocd": "argocd", "github-actions": "github", "gitlab": "gitlab", "jenkins": "jenkins"}
    named = {target.parameters.get(key) for target in targets for key in ("connection", "provider")}
    return frozenset({own[t.executor] for t in targets if t.executor in own} | {name for name in named if name})


def _named_paths(scenario: Scenario) -> Iterator[Path]:
    yield from (scenario.services_file, scenario.templates_dir)
    yield from map(Path, scenario.knowledge_base.sources)
    yield from (connection.ca for connection in scenario.connections.values() if connection.ca)
    for entries in scenario.context.code.repositories.values():
        yield from (Path(entry) for entry in entries if "://" not in entry and "@" not in entry)


def judge(where: Location, value: Any, scenario: Scenario, facts: Facts) -> Verdict:
    """Whether the key has an effect now."""
    names = [str(step) for step in where]
    if value is None and names[-1] != "provider":
        return "off", ""
    rule = _RULES.get(names[0])
    state, why = rule(names, value, scenario, facts) if rule else ACTIVE
    if state != "active":
        return state, why
    for pattern, reason in NOT_YET.items():
        if matches(pattern, names):
            return "inactive", reason
    if value is False and names[-1] in ("enabled", "timeline", *_switches(scenario)):
        return "off", ""
    return state, why or next((remark for pattern, remark in REMARKS.items() if matches(pattern, names)), "")


def matches(pattern: str, names: Sequence[str]) -> bool:
    """Whether a dotted pattern with `*` names this key or a section around it."""
    words = pattern.split(".")
    return len(words) <= len(names) and all(w in ("*", n) for w, n in zip(words, names, strict=False))


def _switches(scenario: Scenario) -> set[str]:
    """Keys that switch something on or off."""
    parts = (scenario.diagnosis.approaches, scenario.documentation, scenario.remediation.communication)
    return {key for part in parts for key in type(part).model_fields}


def _alerts(names: Sequence[str], _value: Any, scenario: Scenario, facts: Facts) -> Verdict:
    if names[1] != "sources" or len(names) < 4:
        return ACTIVE
    source = scenario.alerts.sources[names[2]]
    if not source.enabled:
        return "off", "" if names[3] == "enabled" else f"{names[2]} is switched off"
    if names[3] == "poll_interval" and names[2] not in POLLED:
        return "inactive", f"{names[2]} is not polled; it sends its alerts by webhook"
    key_of_evidence = names[3] in ("api_key", "app_key", "token") and names[2] in facts.used
    if source.mapping or names[2] in facts.webhooks or key_of_evidence:
        return ACTIVE
    if names[3] == "mapping":
        return "off", ""
    hint = _nearest(names[2], facts.webhooks)
    return (
        "inactive",
        f"alerts of {names[2]} come neither by webhook nor by polling yet; a mapping lets its webhooks in{hint}",
    )


def _context(names: Sequence[str], value: Any, _scenario: Scenario, facts: Facts) -> Verdict:
    kind = KINDS.get(names[1])
    if kind is None or names[2] in WEIGHTS:
        return ACTIVE
    if names[2] == "repositories" and value:
        return _places(value, facts)
    asked = facts.asked[kind]
    said = kind.replace("_", " ")
    if names[2] in ("sources", "provider"):
        return _who_is_asked(said, asked, facts)
    if not asked:
        return "off", f"nobody is asked for {said}"
    if all(asked.values()):
        return "inactive", f"nobody can be asked for {said}"
    return ACTIVE if value not in ({}, ()) else ("off", "")


def _who_is_asked(said: str, asked: Mapping[str, str], facts: Facts) -> Verdict:
    if not asked:
        return "off", f"nobody is asked for {said}: a gap, except in incident folders"
    unknown = [name for name in asked if name not in facts.connectors]
    lacking = [reason for name, reason in asked.items() if reason and name in facts.connectors]
    reasons = ([_no_connector(unknown, facts)] if unknown else []) + lacking
    if not reasons:
        return ACTIVE
    return "incomplete" if lacking else "inactive", f"a gap in {said}: {'; '.join(reasons)}"


def _no_connector(names: Sequence[str], facts: Facts) -> str:
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return f"there is no connector for {listed} yet{_nearest(names[0], facts.connectors)}"


def _connections(names: Sequence[str], value: Any, _scenario: Scenario, facts: Facts) -> Verdict:
    if len(names) < 2:
        return ACTIVE
    system = names[1]
    if names[-1] == "ca" and value in facts.absent:
        return "incomplete", f"there is no {value}"
    if system not in facts.connectors and system not in facts.used:
        return "inactive", _no_connector([system], facts)
    if system not in facts.used:
        return "inactive", f"nothing in context asks {system}"
    return ACTIVE


def _places(places: Sequence[str], facts: Facts) -> Verdict:
    gone = [place for place in places if Path(place) in facts.absent]
    return ("incomplete", f"there is no {' and no '.join(gone)}") if gone else ACTIVE


def _knowledge_base(names: Sequence[str], value: Any, _scenario: Scenario, facts: Facts) -> Verdict:
    return _places(value, facts) if names[1] == "sources" else ACTIVE


def _catalogue(_names: Sequence[str], value: Any, _scenario: Scenario, facts: Facts) -> Verdict:
    if value in facts.absent:
        return "off", "there is no such file: services are known from alerts alone, and not who calls whom"
    return "active", f"{facts.services} services"


def _templates(_names: Sequence[str], value: Any, _scenario: Scenario, facts: Facts) -> Verdict:
    return ("off", "there is no such folder: the built-in templates") if value in facts.absent else ACTIVE


def _remediation(names: Sequence[str], value: Any, scenario: Scenario, _facts: Facts) -> Verdict:
    if names[1] != "communication" or not value:
        return ACTIVE
    if names[2] in ("slack_channel", "test_channel"):
        return _channel(names[2], scenario)
    if names[2] == "stakeholders" and not scenario.remediation.communication.stakeholder_notify:
        return "off", "remediation.communication.stakeholder_notify is off"
    if names[2] in ("components", "public_names") and not scenario.remediation.communication.status_page:
        return "off", "remediation.communication.status_page is off"
    return ACTIVE


def _channel(key: str, scenario: Scenario) -> Verdict:
    shadow, test = scenario.remediation.shadow, scenario.remediation.communication.test_channel
    if key == "test_channel" and not shadow:
        return "off", "remediation.shadow is off"
    if key == "slack_channel" and shadow:
        return "off", f"in shadow {f'messages go to {test}' if test else 'messages are stored and not sent'}"
    keys, connection = scenario.alerts.sources.get("slack"), scenario.connections.get("slack")
    has_token = (connection and connection.token) or (keys and (keys.token or keys.api_key))
    return ACTIVE if has_token else ("incomplete", "connections.slack.token is not set, so nothing can be posted")


def _receiver(names: Sequence[str], value: Any, scenario: Scenario, _facts: Facts) -> Verdict:
    loopback = scenario.receiver.host in ("127.0.0.1", "::1", "localhost")
    if names[1] == "host" and not loopback and not scenario.receiver.tokens:
        return "incomplete", "other machines need a token, and receiver.tokens has none: only this machine may send"
    if names[1] == "tokens" and not value:
        return "off", "without tokens only this machine may send"
    return ACTIVE


_RULES: dict[str, Callable[[Sequence[str], Any, Scenario, Facts], Verdict]] = {
    "alerts": _alerts,
    "context": _context,
    "connections": _connections,
    "receiver": _receiver,
    "remediation": _remediation,
    "knowledge_base": _knowledge_base,
    "services_file": _catalogue,
    "templates_dir": _templates,
}


def _nearest(name: str, known: frozenset[str]) -> str:
    close = get_close_matches(name, sorted(known), n=1, cutoff=0.75)
    return f"; did you mean {close[0]}?" if close else ""
