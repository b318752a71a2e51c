"""The families of findings, in the order in which a pod's life can go wrong."""

from __future__ import annotations

from collections.abc import Callable

from incident_pipeline.diagnosis.kubernetes.admission import admission
from incident_pipeline.diagnosis.kubernetes.autoscalers import autoscalers
from incident_pipeline.diagnosis.kubernetes.cluster import Cluster
from incident_pipeline.diagnosis.kubernetes.dependencies import dependencies
from incident_pipeline.diagnosis.kubernetes.findings import Finding
from incident_pipeline.diagnosis.kubernetes.infrastructure import infrastructure
from incident_pipeline.diagnosis.kubernetes.ingresses import ingresses
from incident_pipeline.diagnosis.kubernetes.performance import performance
from incident_pipeline.diagnosis.kubernetes.probes import probes
from incident_pipeline.diagnosis.kubernetes.routing import routing
from incident_pipeline.diagnosis.kubernetes.runtime import runtime
from incident_pipeline.diagnosis.kubernetes.scheduling import scheduling
from incident_pipeline.diagnosis.kubernetes.startup import startup
from incident_pipeline.diagnosis.kubernetes.volumes import volumes

FAMILIES: tuple[Callable[[Cluster], list[Finding]], ...] = (
    *(admission, scheduling, volumes, startup),
    *(runtime, probes, dependencies, routing, ingresses),
    *(performance, autoscalers, infrastructure),
)
"""Admission, scheduling with volumes, startup, runtime with probes and dependencies, routing, load, machines."""
