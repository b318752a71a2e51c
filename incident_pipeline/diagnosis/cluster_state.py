"""What the cluster itself says the cause is, as hypotheses of the same ranking as all others.

Belongs here: every family's findings, weighed against each other; the sentence that says that nothing was found.
Does not belong here: recognising anything (`kubernetes/`, one family a module).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from incident_pipeline.config import Scenario
from incident_pipeline.diagnosis.graph import service_graph
from incident_pipeline.diagnosis.kubernetes.blame import blamed
from incident_pipeline.diagnosis.kubernetes.catalogue import MECHANISMS
from incident_pipeline.diagnosis.kubernetes.cluster import cluster_of
from incident_pipeline.diagnosis.kubernetes.families import FAMILIES
from incident_pipeline.diagnosis.kubernetes.findings import Finding
from incident_pipeline.diagnosis.kubernetes.siblings import with_siblings
from incident_pipeline.diagnosis.sentences import clock, plural
from incident_pipeline.models import CausedBy, Evidence, Hypothesis, Incident, ObjectChange, ObjectEdit, Symptoms

APPROACH = "cluster_state"
_MAX = 4


def cluster_hypotheses(
    incident: Incident, evidence: Evidence, symptoms: Symptoms, settings: Scenario
) -> tuple[Hypothesis, ...]:
    """Causes that the objects of the cluster show, the likeliest first; none where no cluster was read."""
    del symptoms, settings
    return tuple(_hypothesis(finding) for finding in cluster_findings(incident, evidence)[:_MAX])


def cluster_findings(incident: Incident, evidence: Evidence) -> list[Finding]:
    """What is wrong in the cluster, causes before what they explain."""
    if not evidence.kubernetes_state.rows:
        return []
    cluster = cluster_of(incident, evidence)
    found = [finding for family in FAMILIES for finding in family(cluster)]
    return blamed(with_siblings(cluster, found), service_graph(evidence))


def with_health(
    ranked: Sequence[Hypothesis], evidence: Evidence, found: Sequence[Hypothesis], switched_on: bool
) -> list[Hypothesis]:
    """The hypotheses, the first with the sentence that the cluster was looked at and nothing is wrong with it."""
    told = health(evidence, [h for h in found if h.approach == APPROACH]) if switched_on else ""
    if not told or not ranked:
        return list(ranked)
    kept = tuple(line for line in ranked[0].evidence if line != _CALM)
    return [ranked[0].model_copy(update={"evidence": (*kept[:9], told)}), *ranked[1:]]


def health(evidence: Evidence, found: Sequence[Finding] | Sequence[Hypothesis]) -> str:
    """That nothing is wrong with the cluster, and what was looked at; empty where something is, or none was read."""
    kinds = Counter(one.kind for one in evidence.kubernetes_state.rows)
    if found or not kinds:
        return ""
    parts = [plural(kinds[kind], word) for kind, word in _LOOKED_AT if kinds[kind]]
    return f"{_CALM} in the cluster: looked at {', '.join(parts)}" if parts else ""


_CALM = "No infrastructure anomalies detected"
_LOOKED_AT = (
    ("Pod", "pod"),
    ("Deployment", "deployment"),
    ("StatefulSet", "stateful set"),
    ("Service", "service"),
    ("Node", "node"),
    ("Event", "event"),
)


def _change(finding: Finding) -> ObjectChange | None:
    repair = finding.repair
    if repair is None:
        return None
    edits = tuple(ObjectEdit(path=edit.path, to=edit.to) for edit in repair.edits)
    return ObjectChange(kind=repair.kind, name=repair.name, namespace=repair.namespace, edits=edits)


def _hypothesis(finding: Finding) -> Hypothesis:
    about = MECHANISMS[finding.mechanism]
    named = finding.object.name
    since = f" (since {clock(finding.since)})" if finding.since else ""
    return Hypothesis(
        category=about.category,
        service=named if finding.object.kind == "app" else None,
        description=finding.says,
        confidence=round(finding.weight, 4),
        evidence=(
            *(f"{line}{since if number == 0 else ''}" for number, line in enumerate(finding.evidence[:6])),
            *(f"Explains the trouble of {', '.join(finding.victims[:4])}" for _ in finding.victims[:1]),
            f"Cannot explain {finding.cannot_explain or about.cannot_explain}",
        ),
        suggested_actions=(about.action.format(name=named),),
        caused_by=CausedBy(kind="object", id=f"{finding.object.kind}/{named}"),
        mechanism=finding.mechanism,
        object=finding.object,
        change=_change(finding),
        approach=APPROACH,
        disproved_by="the same objects stood like this before the onset, and all was well",
    )
