"""What is proposed for causes that the cluster shows: the exact change, guarded by what was read."""

from __future__ import annotations

import json
import shlex

from incident_pipeline.config import Scenario
from incident_pipeline.diagnosis.engine import diagnose
from incident_pipeline.incident_folder.reading import incident_from
from incident_pipeline.models import ActionType, ObjectChange, ObjectEdit, RemediationAction
from incident_pipeline.remediation.cluster_changes import changed, diff_of, patch_of
from incident_pipeline.remediation.plan import plan_remediation
from tests.unit.diagnosis.kubernetes.objects import SPACE, Body, alert, at, cluster, event, evidence_of, pending

Bodies = dict[tuple[str, str], Body]


def recommended(found: Bodies) -> RemediationAction:
    incident, evidence = incident_from((alert(),)), evidence_of(found.values())
    diagnosis = diagnose(incident, evidence, Scenario())
    return plan_remediation(incident, evidence, diagnosis, (), Scenario()).actions[0]


def test_the_change_is_a_patch_that_checks_what_was_read_and_a_diff() -> None:
    found = cluster()
    found["Service", "cart"]["spec"]["ports"][0]["targetPort"] = 9999
    action = recommended(found)
    assert action.type is ActionType.CONFIG_REVERT
    assert action.title == "Change Service cart: ports.targetPort from 9999 to 7070"
    assert action.command is not None
    words = shlex.split(action.command)
    assert words[:6] == ["kubectl", "patch", "service", "cart", "-n", "shop"]
    assert json.loads(words[-1]) == [
        {"op": "test", "path": "/spec/ports/0/targetPort", "value": 9999},
        {"op": "replace", "path": "/spec/ports/0/targetPort", "value": 7070},
    ]
    assert "-  targetPort: 9999" in action.diff
    assert "+  targetPort: 7070" in action.diff
    assert action.requires_approval
    assert "endpoints of cart" in action.verification


def test_what_no_field_puts_right_is_for_a_person() -> None:
    found = cluster()
    condition = {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}
    found["Node", "node-b"]["status"]["conditions"] = [condition]
    action = recommended(found)
    assert (action.type, action.target, action.command) == (ActionType.RESTART, "node-b", None)
    assert action.missing


def test_a_claim_is_made_anew_not_patched() -> None:
    found = cluster()
    pod = found["Pod", "store-7d9f-x"]
    pending(pod)
    found["Event", "e"] = event(pod, "FailedScheduling", "pod has unbound immediate PersistentVolumeClaims")
    spec = found["Deployment", "store"]["spec"]["template"]["spec"]
    spec["volumes"] = [{"persistentVolumeClaim": {"claimName": "data"}}]
    metadata = {"name": "data", "namespace": "shop"}
    asks = {"storageClassName": "gold", "accessModes": ["ReadWriteOnce"]}
    found["PersistentVolumeClaim", "data"] = {"kind": "PersistentVolumeClaim", "metadata": metadata, "spec": asks}
    offers = {"storageClassName": "fast", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}}
    found["PersistentVolume", "v"] = {"kind": "PersistentVolume", "metadata": {"name": "v"}, "spec": offers}
    action = recommended(found)
    assert action.command is None
    assert "made anew" in action.missing
    assert "+storageClassName: fast" in action.diff


def test_no_secret_is_shown_in_a_diff_or_sent_in_a_patch() -> None:
    found = cluster()
    container = found["Deployment", "cart"]["spec"]["template"]["spec"]["containers"][0]
    container["env"].append({"name": "DB_PASSWORD", "value": "hunter2-hunter2"})
    container["readinessProbe"]["grpc"]["port"] = 1
    found["Pod", "cart-7d9f-x"]["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    found["Event", "e"] = event(found["Pod", "cart-7d9f-x"], "Unhealthy", "Readiness probe failed: timeout")
    action = recommended(found)
    assert action.title.startswith("Change Deployment cart: readinessProbe.grpc.port from 1 to 7070")
    assert "hunter2" not in action.model_dump_json()


def test_names_that_could_act_are_put_into_no_command() -> None:
    edit = ObjectEdit(path=("spec", "replicas"), to=1)
    found = cluster()
    body = found["Deployment", "cart"]
    assert patch_of(body, ObjectChange(kind="Deployment", name="cart", edits=(edit,)))[-1]["value"] == 1
    from incident_pipeline.remediation.commands import patch

    for name in ("--all", "a b", "$(x)", "", "../x"):
        assert patch("Deployment", name, "shop", "[]") is None
        assert patch("Deployment", "cart", name or "-", "[]") is None


def test_a_place_that_is_not_there_changes_nothing_else() -> None:
    body = {"kind": "Service", "spec": {"ports": []}}
    gone = ObjectChange(kind="Service", name="a", edits=(ObjectEdit(path=("spec", "ports", 3, "port"), to=1),))
    assert changed(body, gone) == body
    assert diff_of(body, gone) == ""
    away = ObjectChange(kind="Service", name="a", edits=(ObjectEdit(path=("spec", "selector")),))
    assert patch_of(body, away) == []


def test_the_maximum_of_an_autoscaler_and_the_port_of_an_ingress_are_changes_too() -> None:
    limited = {"type": "ScalingLimited", "status": "True", "reason": "TooManyReplicas", "lastTransitionTime": at(-5)}
    found = cluster()
    found["HorizontalPodAutoscaler", "cart"] = {
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "cart", "namespace": SPACE},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "cart"}, "maxReplicas": 4},
        "status": {"currentReplicas": 4, "conditions": [limited]},
    }
    action = recommended(found)
    assert action.type is ActionType.SCALE
    assert action.title == "Change HorizontalPodAutoscaler cart: spec.maxReplicas from 4 to 6"
    assert "Replicas are added" in action.expected_effect

    found = cluster()
    backend = {"service": {"name": "cart", "port": {"number": 9999}}}
    found["Ingress", "edge"] = {
        "kind": "Ingress",
        "metadata": {"name": "edge", "namespace": SPACE},
        "spec": {"rules": [{"http": {"paths": [{"path": "/", "backend": backend}]}}]},
    }
    action = recommended(found)
    assert action.command is not None
    words = shlex.split(action.command)
    assert words[:6] == ["kubectl", "patch", "ingress", "edge", "-n", "shop"]
    assert json.loads(words[-1])[-1] == {
        "op": "replace",
        "path": "/spec/rules/0/http/paths/0/backend/service/port",
        "value": {"number": 7070},
    }
    assert action.verification == "A request through the ingress edge is answered by cart."
