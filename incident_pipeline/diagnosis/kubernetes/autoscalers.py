"""Autoscalers that cannot do their work: no replica left to add, no figure to decide by.

Belongs here: what a HorizontalPodAutoscaler says of itself. Does not belong here: load as the pods show it
(`performance.py`), zero replicas (`runtime.py`).

The conditions are those of autoscaling/v2
(https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale-walkthrough/#appendix-horizontal-pod-autoscaler-status-conditions).
One that has stood like this since long before the incident has been lived with: it is no evidence.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from incident_pipeline.diagnosis.kubernetes.cluster import App, Cluster, condition_of, name_of, namespace_of
from incident_pipeline.diagnosis.kubernetes.fields import Fields, moment_at, number_at, text_at
from incident_pipeline.diagnosis.kubernetes.findings import LIKELY, WEAK, Edit, Finding, Repair, app_object

_BLIND = ("FailedGet", "FailedCompute", "InvalidMetric", "InvalidSelector", "FailedUpdate")
"""How the reasons begin with which an autoscaler says that it has no figures; `ScalingDisabled` is somebody's wish."""


def autoscalers(cluster: Cluster) -> list[Finding]:
    """Autoscalers of late at their maximum, or without metrics."""
    return [
        finding
        for scaler in cluster.bodies("HorizontalPodAutoscaler")
        for app in _target(cluster, scaler)
        for finding in (*_at_maximum(cluster, scaler, app), *_blind(cluster, scaler, app))
    ]


def _target(cluster: Cluster, scaler: Fields) -> Iterator[App]:
    app = cluster.app(text_at(scaler, "spec", "scaleTargetRef", "name"), namespace_of(scaler))
    if app is not None and app.kind == text_at(scaler, "spec", "scaleTargetRef", "kind"):
        yield app


def _at_maximum(cluster: Cluster, scaler: Fields, app: App) -> Iterator[Finding]:
    limited = condition_of(scaler, "ScalingLimited")
    most = number_at(scaler, "spec", "maxReplicas")
    if most is None or limited.get("status") != "True" or text_at(limited, "reason") != "TooManyReplicas":
        return
    since = moment_at(limited, "lastTransitionTime")
    if since is not None and since < cluster.since:
        return
    current = number_at(scaler, "status", "currentReplicas")
    yield Finding(
        "autoscaler_at_maximum",
        app_object(app.name),
        _weight(cluster, app, since),
        f"The autoscaler of {app.name} wants more than the {most} replicas that it may have",
        (
            f"HorizontalPodAutoscaler {name_of(scaler)}: maxReplicas {most}, currentReplicas {current}",
            *_said(scaler, limited),
        ),
        since=since,
        repair=_repair(scaler, Edit(("spec", "maxReplicas"), most + (most + 1) // 2)),
    )


def _blind(cluster: Cluster, scaler: Fields, app: App) -> Iterator[Finding]:
    active = condition_of(scaler, "ScalingActive")
    if active.get("status") != "False" or not text_at(active, "reason").startswith(_BLIND):
        return
    since = moment_at(active, "lastTransitionTime")
    if since is not None and since < cluster.since:
        return
    yield Finding(
        "autoscaler_without_metrics",
        app_object(app.name),
        _weight(cluster, app, since),
        f"The autoscaler of {app.name} has no metrics to decide by: it stays at the replicas that it has",
        _said(scaler, active),
        since=since,
    )


def _weight(cluster: Cluster, app: App, since: datetime | None) -> float:
    """It matters where the app is what is alerted on; one that tells no time may have stood so for years."""
    return LIKELY if since is not None and any(alert.service == app.name for alert in cluster.alerts) else WEAK


def _said(scaler: Fields, condition: Fields) -> tuple[str, ...]:
    kind, reason = text_at(condition, "type"), text_at(condition, "reason")
    told = f"{kind} {text_at(condition, 'status')}, {reason}"
    return (f'HorizontalPodAutoscaler {name_of(scaler)}: {told} "{text_at(condition, "message")[:240]}"',)


def _repair(scaler: Fields, edit: Edit) -> Repair:
    return Repair("HorizontalPodAutoscaler", name_of(scaler), namespace_of(scaler), (edit,))
