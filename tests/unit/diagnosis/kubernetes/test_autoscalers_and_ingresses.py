"""Autoscalers that cannot scale, and ingresses that lead nowhere."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.diagnosis.kubernetes.objects import SPACE, Body, alert, at, cluster, findings

ALERTED = (alert("Requests wait", "cart"),)


def scaler(kind: str, status: str, reason: str, minutes: float = -5) -> Body:
    condition = {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": "as it is",
        "lastTransitionTime": at(minutes),
    }
    return {
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "cart-scaler", "namespace": SPACE},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "cart"}, "minReplicas": 1, "maxReplicas": 5},
        "status": {"currentReplicas": 5, "desiredReplicas": 5, "conditions": [condition]},
    }


def test_an_autoscaler_at_its_maximum() -> None:
    first = findings([*cluster().values(), scaler("ScalingLimited", "True", "TooManyReplicas")], alerts=ALERTED)[0]
    assert (first.mechanism, first.object.name) == ("autoscaler_at_maximum", "cart")
    assert first.repair is not None
    assert (first.repair.kind, first.repair.edits[0].path, first.repair.edits[0].to) == (
        "HorizontalPodAutoscaler", ("spec", "maxReplicas"), 8,
    )  # fmt: skip
    assert "maxReplicas 5, currentReplicas 5" in first.evidence[0]


def test_an_autoscaler_without_metrics() -> None:
    blind = scaler("ScalingActive", "False", "FailedGetResourceMetric")
    first = findings([*cluster().values(), blind], alerts=ALERTED)[0]
    assert (first.mechanism, first.object.name) == ("autoscaler_without_metrics", "cart")
    other = findings([*cluster().values(), blind], alerts=(alert("Requests wait", "shop"),))[0]
    assert other.weight < first.weight / 1.5, "one that nobody complains about is a hint"


@pytest.mark.parametrize(
    "body",
    [
        scaler("ScalingLimited", "True", "TooManyReplicas", -300),
        scaler("ScalingLimited", "True", "TooFewReplicas"),
        scaler("ScalingActive", "True", "ValidMetricFound"),
        scaler("ScalingActive", "False", "ScalingDisabled"),
        {**scaler("ScalingLimited", "True", "TooManyReplicas"), "spec": {"maxReplicas": 5, "scaleTargetRef": "cart"}},
    ],
    ids=["long since", "at its minimum", "active", "switched off", "no target"],
)
def test_an_autoscaler_that_is_as_it_should_be(body: Body) -> None:
    assert findings([*cluster().values(), body], alerts=ALERTED) == []


def ingress(name: str, port: Any) -> Body:
    backend = {"service": {"name": name, "port": port}}
    rule = {"host": "shop.example", "http": {"paths": [{"path": "/cart", "pathType": "Prefix", "backend": backend}]}}
    return {"kind": "Ingress", "metadata": {"name": "edge", "namespace": SPACE}, "spec": {"rules": [rule]}}


def test_an_ingress_whose_service_does_not_exist() -> None:
    first = findings([*cluster().values(), ingress("basket", {"number": 7070})])[0]
    assert (first.mechanism, first.object.name, first.repair) == ("ingress_backend_missing", "basket", None)
    assert "shop.example/cart" in first.evidence[0]


@pytest.mark.parametrize("port", [{"number": 9999}, {"name": "http"}])
def test_an_ingress_whose_port_does_not_exist(port: Any) -> None:
    quiet = findings([*cluster().values(), ingress("cart", port)])[0]
    first = findings([*cluster().values(), ingress("cart", port)], alerts=ALERTED)[0]
    assert (first.mechanism, first.object.name) == ("ingress_backend_missing", "cart")
    assert first.weight > quiet.weight
    assert first.repair is not None
    assert first.repair.edits[0].path[-3:] == ("backend", "service", "port")
    assert first.repair.edits[0].to == {"number": 7070}


def test_a_default_backend_counts_and_a_right_one_is_nothing() -> None:
    default = ingress("cart", {"number": 7070})
    assert findings([*cluster().values(), default]) == []
    default["spec"]["defaultBackend"] = {"service": {"name": "nobody", "port": {"number": 80}}}
    assert [finding.object.name for finding in findings([*cluster().values(), default])] == ["nobody"]
    elsewhere = {**ingress("basket", {"number": 1}), "metadata": {"name": "edge", "namespace": "bank"}}
    assert findings([*cluster().values(), elsewhere]) == [], "services of its namespace were not read"
