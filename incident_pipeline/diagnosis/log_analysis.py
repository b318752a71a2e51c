# ruff: noqa: E501  (the tables of patterns read best with one pattern a line)
"""What the logs say the cause is.

Belongs here: operational causes that log lines name, and the failing line itself where nothing explains it better.
Does not belong here: mining and counting the patterns (`templates`, `log_symptoms`).
"""

from __future__ import annotations

import re

from incident_pipeline.config import Scenario
from incident_pipeline.diagnosis.fault_signature import fault_signature
from incident_pipeline.diagnosis.graph import service_graph
from incident_pipeline.diagnosis.likelihood import likelihood
from incident_pipeline.diagnosis.operational_causes import OperationalCause, operational_causes
from incident_pipeline.diagnosis.sentences import clock, plural, shortened
from incident_pipeline.models import (
    Category,
    CausedBy,
    Evidence,
    Hypothesis,
    Incident,
    LogPattern,
    Symptoms,
)

APPROACH = "log_pattern_analysis"
_MAX = 4
_MEANINGS: tuple[tuple[Category, str, re.Pattern[str], str], ...] = tuple(
    (category, mechanism, re.compile(pattern, re.IGNORECASE), action)
    for category, mechanism, pattern, action in (
        (
            Category.CAPACITY_PROBLEM,
            "resource_exhausted",
            r"out of memory|oom|no space left|disk full|too many open files|pool (is )?exhausted|too many connections|quota|"
            r"throttl|rate.?limit|429|queue (is )?full|capacity|backlog|ENOSPC|heap space",
            "Give the exhausted resource more room, then find what fills it",
        ),
        (
            Category.CODE_BUG,
            "unhandled_exception",
            r"null ?pointer|nil pointer|NoneType|undefined is not|index out of|IllegalArgument|IllegalState|ClassCast|"
            r"KeyError|TypeError|AttributeError|ValueError|ArithmeticException|panic|segfault|assert|concurrent map|"
            r"division by zero|nested exception|stack ?overflow|unmarshal|parse error",
            "Look at the stack trace; roll back the newest release of this service if it is recent",
        ),
        (
            Category.CONFIGURATION_ERROR,
            "misconfiguration",
            r"config|unknown (flag|option|property|column)|missing (env|key|secret|variable|property)|invalid value|permission "
            r"denied|access denied|unauthori[sz]ed|forbidden|certificate|x509|no such (file|bucket|table|column)",
            "Compare the configuration with the last one that worked",
        ),
        (
            Category.DEPENDENCY_FAILURE,
            "dependency_unreachable",
            r"connection (refused|reset|timed out)|upstream|no such host|unreachable|timed? ?out|deadline exceeded|502|503|504|"
            r"unavailable|broken pipe|ECONN|EOF",
            "Look at the service that it calls first",
        ),
    )
)


def log_pattern_hypotheses(
    incident: Incident, evidence: Evidence, symptoms: Symptoms, settings: Scenario
) -> tuple[Hypothesis, ...]:
    """Operational causes that lines speak of, then the most telling patterns themselves."""
    del settings
    if not symptoms.log_patterns:
        return ()
    signature = fault_signature(incident, evidence, symptoms)
    causes = operational_causes(evidence, symptoms, signature, service_graph(evidence))
    found = [of_cause(c, symptoms, APPROACH) for c in causes if c.caused_by[0] == "log_pattern" and c.score > 0]
    probabilities = {s.service: s.score for s in symptoms.services}
    found += [
        _of_pattern(p, probabilities.get(p.service or "", 0.1)) for p in symptoms.log_patterns[:3] if p.score >= 0.3
    ]
    return tuple(sorted(found, key=lambda h: (-h.confidence, h.description, repr(h)))[:_MAX])


def of_cause(cause: OperationalCause, symptoms: Symptoms, approach: str) -> Hypothesis:
    """A hypothesis that blames no change."""
    where = f" ({cause.service})" if cause.service else ""
    changes = []
    if symptoms.looked_at.get("deployments") or symptoms.looked_at.get("code_changes"):
        looked = plural(symptoms.looked_at.get("deployments", 0), "deployment")
        changes = [
            f"Of {looked} and {plural(symptoms.looked_at.get('code_changes', 0), 'change')} none explains this better"
        ]
    return Hypothesis(
        category=cause.kind.category,
        service=cause.service,
        description=f"{cause.kind.says}{where}",
        confidence=round(likelihood(cause.score), 4),
        evidence=(*cause.evidence, *changes),
        suggested_actions=(cause.kind.action,),
        caused_by=CausedBy(kind=cause.caused_by[0], id=cause.caused_by[1]),
        mechanism=cause.kind.slug,
        approach=approach,
        disproved_by="a change is found whose lines explain these symptoms, or the symptoms go on after this is over",
    )


def _of_pattern(pattern: LogPattern, probability: float) -> Hypothesis:
    category, mechanism, action = meaning(f"{pattern.example} {pattern.template}")
    before = "never before" if pattern.count_before == 0 else f"{pattern.count_before:,} times before"
    return Hypothesis(
        category=category,
        service=pattern.service,
        description=f"{pattern.service or 'A service'} logs: {shortened(pattern.template, 110)}",
        confidence=round(0.35 * pattern.score * min(probability + 0.1, 1.0), 4),
        evidence=(
            f"{plural(pattern.count, 'line')} like this since the onset, {before}",
            f"First occurrence at {clock(pattern.first_seen)}",
            f'Example: "{shortened(pattern.example, 200)}"',
        ),
        suggested_actions=(action,),
        caused_by=CausedBy(kind="log_pattern", id=pattern.pattern_id),
        mechanism=mechanism,
        approach=APPROACH,
        disproved_by="the same lines are found at a time when all was well",
    )


def meaning(text: str) -> tuple[Category, str | None, str]:
    """Category, mechanism and action that a failing line suggests by its words."""
    for category, mechanism, pattern, action in _MEANINGS:
        if pattern.search(text):
            return category, mechanism, action
    return Category.CODE_BUG, None, "Read these lines with the team that owns the service"
