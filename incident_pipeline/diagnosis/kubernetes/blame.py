"""The object that is the cause, not the one that shows it.

Belongs here: weighing findings against each other over the service graph. Does not belong here: finding anything.

A machine that is down explains the apps on it, a database that refuses explains its clients, an app that is broken
explains what its callers suffer. What is explained loses weight, the more the less it says by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from incident_pipeline.diagnosis.graph import ServiceGraph
from incident_pipeline.diagnosis.kubernetes.findings import STRONG, Finding
from incident_pipeline.diagnosis.vocabulary import words

GENERIC = words(
    "container_crash gateway_misroute network_policy_blocks service_missing node_not_ready differs_from_siblings"
)
"""Findings that say that something is wrong with the object, hardly why."""
_EXPLAINED = 0.3
"""What is left of a victim's finding that says little by itself."""
_BESIDE = 0.7
"""What is left of a victim's finding that says what is wrong."""
_SAME = 0.5
"""What is left of what says little where the same object has a finding that says more."""
_DEPENDANT = 0.004
"""What each caller that also has trouble adds: too little to matter but between equals."""


def blamed(findings: Sequence[Finding], graph: ServiceGraph) -> list[Finding]:
    """The findings, likeliest cause first; one for each object and mechanism."""
    merged = _merged(findings)
    leads = [finding for finding in merged if finding.weight >= STRONG and finding.mechanism not in GENERIC]
    troubled = {finding.object.name for finding in merged}
    weighed = [_weighed(finding, leads, graph, troubled) for finding in merged]
    return sorted(weighed, key=lambda f: (-f.weight, f.mechanism, f.object.name))


def _merged(findings: Sequence[Finding]) -> list[Finding]:
    """One finding for each object and mechanism, with all that was found for it."""
    best: dict[tuple[str, str, str], Finding] = {}
    for finding in findings:
        key = (finding.object.kind, finding.object.name, finding.mechanism)
        known = best.get(key)
        if known is None:
            best[key] = finding
            continue
        strong, weak = (known, finding) if known.weight >= finding.weight else (finding, known)
        best[key] = replace(
            strong,
            evidence=tuple(dict.fromkeys((*strong.evidence, *weak.evidence))),
            victims=tuple(dict.fromkeys((*strong.victims, *weak.victims))),
            repair=strong.repair or weak.repair,
        )
    return list(best.values())


def _weighed(finding: Finding, leads: Sequence[Finding], graph: ServiceGraph, troubled: set[str]) -> Finding:
    others = [lead for lead in leads if lead.object != finding.object]
    weight = finding.weight
    generic = finding.mechanism in GENERIC
    name = finding.object.name
    if any(name in lead.victims for lead in others):
        weight *= _EXPLAINED if generic else _BESIDE
    elif generic and finding.object.kind == "app" and _depends(name, others, graph.depends_on):
        weight *= _EXPLAINED
    if generic and any(lead.object == finding.object for lead in leads):
        weight *= _SAME
    callers = graph.called_by.get(name, frozenset()) & troubled if finding.object.kind == "app" else frozenset()
    return replace(finding, weight=min(weight + _DEPENDANT * min(len(callers), 5), 0.98))


def _depends(name: str, leads: Sequence[Finding], depends_on: Mapping[str, frozenset[str]]) -> bool:
    """Whether an app calls, directly or through others, one that a lead blames."""
    blamed_apps = {lead.object.name for lead in leads if lead.object.kind == "app"}
    seen, queue = {name}, [name]
    while queue:
        for called in depends_on.get(queue.pop(), ()):
            if called in blamed_apps:
                return True
            if called not in seen:
                seen.add(called)
                queue.append(called)
    return False
