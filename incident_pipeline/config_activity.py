"""Whether a key of the configuration has an effect now, and if not, why.

Belongs here: the rules, given what this installation can talk to. When a part of the application begins to use a key,
its line leaves `NOT_YET`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from incident_pipeline.config import Scenario
from incident_pipeline.config_errors import Location
from incident_pipeline.connectors.registry import sources_asked
from incident_pipeline.models import EvidenceKind

Verdict = tuple[str, str]
"""State (active, off, incomplete, inactive) and why."""

ACTIVE: Verdict = ("active", "")

NOT_YET: dict[str, str] = {
    "alerts.sources.*.poll_interval": "alerts are taken from webhooks alone; polling follows with the connectors",
    "remediation.actions.*.require_approval": "actions are proposed and wait; nothing is executed yet",
    "remediation.policy": "nothing is executed yet, so nothing can be excepted from asking",
    "remediation.approvers": "approvals are not taken yet",
    "remediation.communication.slack_channel": "updates are stored and shown; posting to Slack is not connected yet",
    "retention": "`prune` is not there yet",
    "archive_after": "`prune` is not there yet",
}
"""Keys that are read and checked and that nothing uses yet; `*` is any one name."""

KINDS = {
    "deployments": EvidenceKind.DEPLOYMENTS,
    "code": EvidenceKind.CODE_CHANGES,
    "flags": EvidenceKind.FLAG_CHANGES,
    "metrics": EvidenceKind.METRICS,
    "logs": EvidenceKind.LOGS,
    "traces": EvidenceKind.TRACES,
    "related_alerts": EvidenceKind.RELATED_ALERTS,
}
"""Section of `context` -> the kind of evidence it is about."""


@dataclass(frozen=True)
class Facts:
    """What this installation can talk to."""

    evidence: Mapping[str, frozenset[EvidenceKind]]
    """Name of a connector -> the kinds of evidence it has."""
    webhooks: frozenset[str] = frozenset()
    """Sources whose webhooks the receiver understands."""


def judge(where: Location, value: Any, scenario: Scenario, facts: Facts) -> Verdict:
    """Whether the key has an effect now."""
    names = [str(step) for step in where]
    for pattern, why in NOT_YET.items():
        if matches(pattern, names):
            return "inactive", why
    rule = _RULES.get(names[0])
    verdict = rule(names, value, scenario, facts) if rule else ACTIVE
    if verdict == ACTIVE and value is False and names[-1] != "shadow":
        return "off", ""
    return verdict


def matches(pattern: str, names: Sequence[str]) -> bool:
    """Whether a dotted pattern with `*` names this key or a section around it."""
    words = pattern.split(".")
    return len(words) <= len(names) and all(w in ("*", n) for w, n in zip(words, names, strict=False))


def _alerts(names: Sequence[str], _value: Any, scenario: Scenario, facts: Facts) -> Verdict:
    if names[1] != "sources" or len(names) < 4:
        return ACTIVE
    source = scenario.alerts.sources[names[2]]
    if not source.enabled:
        return "off", "" if names[3] == "enabled" else f"{names[2]} is switched off"
    if source.mapping or names[2] in facts.webhooks:
        return ACTIVE
    also = " (its keys are used for evidence)" if facts.evidence.get(names[2]) else ""
    hint = _nearest(names[2], [*facts.webhooks, *facts.evidence])
    return "inactive", f"there is no connector for the alerts of {names[2]} yet{also}{hint}"


def _context(names: Sequence[str], value: Any, scenario: Scenario, facts: Facts) -> Verdict:
    kind = KINDS.get(names[1])
    if kind is None:
        return ACTIVE
    asked = sources_asked(scenario)[kind]
    if names[2] in ("sources", "provider"):
        return _who_is_asked(kind, asked, scenario, facts)
    able = [name for name in asked if kind in facts.evidence.get(name, ())]
    if not able:
        said = kind.replace("_", " ")
        return (
            "inactive" if asked else "off"
        ), f"nobody can be asked for {said}" if asked else f"nobody is asked for {said}"
    return ACTIVE if value not in ({}, ()) else ("off", "")


def _who_is_asked(kind: EvidenceKind, asked: Sequence[str], scenario: Scenario, facts: Facts) -> Verdict:
    said = kind.replace("_", " ")
    if not asked:
        return "off", f"nobody is asked for {said}: a gap in every diagnosis"
    unable = [name for name in asked if kind not in facts.evidence.get(name, ())]
    if unable:
        able = [name for name, kinds in facts.evidence.items() if kind in kinds]
        hint = _nearest(unable[0], able)
        return "inactive", f"there is no connector for {said} of {_listed(unable)} yet: a gap{hint}"
    lacking = [f"{name}: {why}" for name in asked if (why := scenario.why_unavailable(name))]
    return ("incomplete", f"{'; '.join(lacking)}: a gap") if lacking else ACTIVE


def _connections(names: Sequence[str], _value: Any, scenario: Scenario, facts: Facts) -> Verdict:
    if len(names) < 2:
        return ACTIVE
    system = names[1]
    if system not in facts.evidence:
        return "inactive", f"there is no connector named {system}{_nearest(system, facts.evidence)}"
    if not any(system in asked for asked in sources_asked(scenario).values()):
        return "inactive", f"nothing in context asks {system}"
    return ACTIVE


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
}


def _nearest(name: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    close = get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close and close[0] != name else ""


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
