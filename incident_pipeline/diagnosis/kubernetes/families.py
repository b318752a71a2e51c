"""The families of findings, in the order in which a pod's life can go wrong."""

from __future__ import annotations

from collections.abc import Callable

from incident_pipeline.diagnosis.kubernetes.admission import admission
from incident_pipeline.diagnosis.kubernetes.cluster import Cluster
from incident_pipeline.diagnosis.kubernetes.findings import Finding

FAMILIES: tuple[Callable[[Cluster], list[Finding]], ...] = (admission,)
