"""The object that is the cause, not the one that shows it.

Belongs here: weighing findings against each other over the service graph. Does not belong here: finding anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from incident_pipeline.diagnosis.graph import ServiceGraph
from incident_pipeline.diagnosis.kubernetes.cluster import Cluster
from incident_pipeline.diagnosis.kubernetes.findings import Finding


def blamed(findings: Sequence[Finding], cluster: Cluster, graph: ServiceGraph) -> list[Finding]:
    """The findings, likeliest cause first; one for each object and mechanism."""
    del cluster, graph
    best: dict[tuple[str, str, str], Finding] = {}
    for finding in findings:
        key = (finding.object.kind, finding.object.name, finding.mechanism)
        known = best.get(key)
        if known is None:
            best[key] = finding
        else:
            strong, weak = (known, finding) if known.weight >= finding.weight else (finding, known)
            best[key] = replace(
                strong,
                evidence=tuple(dict.fromkeys((*strong.evidence, *weak.evidence))),
                victims=tuple(dict.fromkeys((*strong.victims, *weak.victims))),
                repair=strong.repair or weak.repair,
            )
    return sorted(best.values(), key=lambda f: (-f.weight, f.mechanism, f.object.name))
