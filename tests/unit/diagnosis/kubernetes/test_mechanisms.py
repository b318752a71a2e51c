"""Each mechanism from a healthy cluster that is broken in one place; nothing from the healthy one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from incident_pipeline.config import Scenario
from incident_pipeline.diagnosis.cluster_state import cluster_hypotheses, health
from incident_pipeline.diagnosis.engine import diagnose
from incident_pipeline.diagnosis.kubernetes.catalogue import MECHANISMS
from incident_pipeline.diagnosis.symptoms import find_symptoms
from incident_pipeline.incident_folder.reading import incident_from
from incident_pipeline.models import Category, LogEntry, MetricSeries
from tests.unit.diagnosis.kubernetes.objects import (
    NOW,
    SPACE,
    Body,
    alert,
    at,
    cluster,
    event,
    evidence_of,
    findings,
    line,
    node,
    pending,
    unready,
)

Bodies = dict[tuple[str, str], Body]
Case = Callable[[Bodies], list[LogEntry] | None]
CASES: list[tuple[str, str, Case]] = []


def case(mechanism: str, name: str = "cart") -> Callable[[Case], Case]:
    def add(broken: Case) -> Case:
        CASES.append((mechanism, name, broken))
        return broken

    return add


def say(found: Bodies, body: Body, reason: str, message: str, minutes: float = -1, kind: str = "Warning") -> None:
    said = event(body, reason, message, minutes, kind)
    found["Event", said["metadata"]["name"]] = said


def parts(found: Bodies, name: str = "cart") -> tuple[Body, Body, Body]:
    return found["Deployment", name], found["Pod", f"{name}-7d9f-x"], found["Service", name]


def template(found: Bodies, name: str = "cart") -> Body:
    spec: Body = found["Deployment", name]["spec"]["template"]["spec"]
    return spec


def refused(found: Bodies, message: str) -> None:
    del found["Pod", "cart-7d9f-x"]
    say(found, found["ReplicaSet", "cart-7d9f"], "FailedCreate", message)


def waits(found: Bodies, message: str, name: str = "cart") -> Body:
    pod = found["Pod", f"{name}-7d9f-x"]
    pending(pod)
    say(found, pod, "FailedScheduling", message)
    return pod


@case("namespace_cpu_quota_exceeded", SPACE)
def _cpu_quota(found: Bodies) -> None:
    refused(found, "pods is forbidden: exceeded quota: q, requested: requests.cpu=1, used: requests.cpu=4, limited: 4")


@case("namespace_memory_quota_exceeded", SPACE)
def _memory_quota(found: Bodies) -> None:
    asked = "requested: requests.memory=64Mi, used: requests.memory=2Gi, limited: requests.memory=2Gi"
    refused(found, f"pods is forbidden: exceeded quota: q, {asked}")


@case("namespace_storage_quota_exceeded", SPACE)
def _storage_quota(found: Bodies) -> None:
    waits(found, 'persistentvolumeclaim "data" not found', "store")
    template(found, "store")["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    hard = {"requests.storage": "10Gi"}
    found["ResourceQuota", "q"] = {
        "kind": "ResourceQuota",
        "metadata": {"name": "q", "namespace": SPACE},
        "spec": {"hard": hard},
        "status": {"hard": hard, "used": {"requests.storage": "10Gi"}},
    }


@case("namespace_pod_quota_exceeded", SPACE)
def _pod_quota(found: Bodies) -> None:
    refused(found, "pods is forbidden: exceeded quota: q, requested: pods=1, used: pods=9, limited: pods=9")


@case("namespace_service_quota_exceeded", SPACE)
def _service_quota(found: Bodies) -> None:
    del found["Service", "cart"]
    hard = {"services": "2"}
    found["ResourceQuota", "q"] = {
        "kind": "ResourceQuota",
        "metadata": {"name": "q", "namespace": SPACE},
        "spec": {"hard": hard},
        "status": {"hard": hard, "used": {"services": "2"}},
    }


@case("missing_service_account")
def _account(found: Bodies) -> None:
    refused(found, 'error looking up service account shop/cart: serviceaccount "cart" not found')


@case("node_selector_mismatch")
def _selector(found: Bodies) -> None:
    waits(found, "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.")
    template(found)["nodeSelector"] = {"disk": "nvme"}


@case("node_affinity_mismatch")
def _affinity(found: Bodies) -> None:
    waits(found, "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.")
    terms = [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["far"]}]}]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    template(found)["affinity"] = {"nodeAffinity": required}


@case("taint_toleration_mismatch")
def _taint(found: Bodies) -> None:
    waits(found, "0/2 nodes are available: 1 node(s) didn't match..., 1 node(s) had untolerated taint {team: data}.")
    template(found)["nodeSelector"] = {"disk": "ssd"}
    found["Node", "node-b"]["spec"]["taints"] = [{"key": "team", "value": "data", "effect": "NoSchedule"}]


@case("node_cordon_mismatch")
def _cordon(found: Bodies) -> None:
    waits(found, "0/2 nodes are available: 1 node(s) were unschedulable.")
    template(found)["nodeSelector"] = {"disk": "ssd"}
    found["Node", "node-b"]["spec"]["unschedulable"] = True


@case("cpu_capacity_mismatch")
def _cpu(found: Bodies) -> None:
    waits(found, "0/2 nodes are available: 2 Insufficient cpu.")["spec"].pop("containers")
    template(found)["containers"][0]["resources"]["requests"]["cpu"] = "64"


@case("memory_capacity_mismatch")
def _memory(found: Bodies) -> None:
    waits(found, "0/2 nodes are available: 2 Insufficient memory.")["spec"].pop("containers")
    template(found)["containers"][0]["resources"]["requests"]["memory"] = "1Ti"


@case("pod_anti_affinity_conflict")
def _anti(found: Bodies) -> None:
    waits(found, "0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules.")


def claim(found: Bodies, claim_spec: Body, volume_spec: Body, holder: Body | None = None, **labels: str) -> None:
    waits(found, "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims.", "store")
    template(found, "store")["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    usual = {"storageClassName": "fast", "accessModes": ["ReadWriteOnce"]}
    found["PersistentVolumeClaim", "data"] = {
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": SPACE},
        "spec": {**usual, "resources": {"requests": {"storage": "1Gi"}}, **claim_spec},
        "status": {"phase": "Pending"},
    }
    spec = {**usual, "capacity": {"storage": "5Gi"}, **volume_spec, **({"claimRef": holder} if holder else {})}
    found["PersistentVolume", "v"] = {
        "kind": "PersistentVolume",
        "metadata": {"name": "v", "labels": labels},
        "spec": spec,
    }


@case("pvc_storage_class_mismatch", "store")
def _class(found: Bodies) -> None:
    claim(found, {"storageClassName": "gold"}, {})


@case("pvc_capacity_mismatch", "store")
def _size(found: Bodies) -> None:
    claim(found, {"resources": {"requests": {"storage": "50Gi"}}}, {})


@case("pvc_access_mode_mismatch", "store")
def _mode(found: Bodies) -> None:
    claim(found, {"accessModes": ["ReadWriteMany"]}, {})


@case("pvc_selector_mismatch", "store")
def _labels(found: Bodies) -> None:
    claim(found, {"selector": {"matchLabels": {"tier": "gold"}}}, {}, tier="silver")


@case("pv_binding_occupied", "store")
def _held(found: Bodies) -> None:
    claim(found, {}, {}, {"name": "other", "namespace": SPACE})


def pull(found: Bodies, message: str) -> None:
    pod = found["Pod", "cart-7d9f-x"]
    unready(pod, state={"waiting": {"reason": "ImagePullBackOff"}})
    say(found, pod, "Failed", f'Failed to pull image "registry.example/cart:v1": {message}')


@case("incorrect_image_reference")
def _image(found: Bodies) -> None:
    pull(found, "rpc error: code = NotFound desc = registry.example/cart:v1: not found")


@case("image_registry_dns_failure")
def _registry(found: Bodies) -> None:
    pull(found, "dial tcp: lookup registry.example on 10.0.0.1:53: no such host")


@case("missing_image_pull_secret")
def _pull_secret(found: Bodies) -> None:
    pull(found, "failed to authorize: 401 Unauthorized")


@case("missing_secret_binding")
def _secret(found: Bodies) -> None:
    pod = found["Pod", "cart-7d9f-x"]
    message = 'secret "cart-db" not found'
    unready(pod, state={"waiting": {"reason": "CreateContainerConfigError", "message": message}})


@case("missing_config_map")
def _config_map(found: Bodies) -> None:
    pod = found["Pod", "cart-7d9f-x"]
    message = 'configmap "cart-settings" not found'
    unready(pod, state={"waiting": {"reason": "CreateContainerConfigError", "message": message}})


@case("oom_killed")
def _oom(found: Bodies) -> None:
    terminated = {"reason": "OOMKilled", "exitCode": 137, "finishedAt": at(-2)}
    unready(found["Pod", "cart-7d9f-x"], restartCount=4, lastState={"terminated": terminated})


def probe(found: Bodies, kind: str, change: Body, message: str, restarts: int = 3) -> None:
    for spec in (template(found), found["Pod", "cart-7d9f-x"]["spec"]):
        spec["containers"][0][f"{kind}Probe"] = {**spec["containers"][0][f"{kind}Probe"], **change}
        if "httpGet" in change:
            del spec["containers"][0][f"{kind}Probe"]["grpc"]
    pod = found["Pod", "cart-7d9f-x"]
    unready(pod, restartCount=restarts)
    say(found, pod, "Unhealthy", f"{kind.capitalize()} probe failed: {message}")


@case("liveness_probe_incorrect_port")
def _live_port(found: Bodies) -> None:
    probe(found, "liveness", {"grpc": {"port": 7071}}, "timeout: failed to connect service")


@case("readiness_probe_incorrect_port")
def _ready_port(found: Bodies) -> None:
    probe(found, "readiness", {"grpc": {"port": 7071}}, "timeout: failed to connect service", 0)


@case("liveness_probe_incorrect_protocol")
def _live_protocol(found: Bodies) -> None:
    probe(found, "liveness", {"httpGet": {"port": 7070}}, "malformed HTTP response")


@case("readiness_probe_incorrect_protocol")
def _ready_protocol(found: Bodies) -> None:
    probe(found, "readiness", {"httpGet": {"port": 7070}}, "malformed HTTP response", 0)


@case("liveness_probe_incorrect_timing")
def _live_timing(found: Bodies) -> None:
    hasty = {"initialDelaySeconds": 0, "periodSeconds": 1, "failureThreshold": 1}
    probe(found, "liveness", hasty, "context deadline exceeded")


@case("service_sidecar_port_conflict")
def _conflict(found: Bodies) -> list[LogEntry]:
    pod = found["Pod", "cart-7d9f-x"]
    pod["spec"]["containers"].append({"name": "proxy", "image": "proxy:1"})
    terminated = {"reason": "Error", "exitCode": 1, "finishedAt": at(-1)}
    unready(pod, restartCount=4, lastState={"terminated": terminated})
    return [line("cart", "listen tcp :7070: bind: address already in use")]


@case("deployment_zero_replicas")
def _zero(found: Bodies) -> None:
    del found["Pod", "cart-7d9f-x"]
    found["Deployment", "cart"]["spec"]["replicas"] = 0


@case("service_selector_mismatch")
def _service_selector(found: Bodies) -> None:
    found["Service", "cart"]["spec"]["selector"] = {"app": "cart", "track": "blue"}


@case("service_port_mapping_mismatch")
def _mapping(found: Bodies) -> None:
    found["Service", "cart"]["spec"]["ports"][0]["targetPort"] = 9999


@case("service_protocol_mismatch")
def _protocol(found: Bodies) -> None:
    found["Service", "cart"]["spec"]["ports"][0]["protocol"] = "UDP"


@case("service_env_var_address_mismatch", "shop")
def _address(found: Bodies) -> None:
    template(found, "shop")["containers"][0]["env"][0]["value"] = "cart:7071"


@case("service_dns_resolution_failure")
def _dns(found: Bodies) -> None:
    template(found).update({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["203.0.113.7"]}})


@case("mysql_invalid_credentials")
def _credentials(found: Bodies) -> list[LogEntry]:
    unready(found["Pod", "cart-7d9f-x"])
    return [line("cart", "java.sql.SQLException: Access denied for user 'cart'@'10.0.0.9' (using password: YES)")]


@case("mysql_invalid_port")
def _port(found: Bodies) -> list[LogEntry]:
    unready(found["Pod", "cart-7d9f-x"])
    return [line("cart", "CommunicationsException: Communications link failure")]


@case("db_connection_exhaustion", "store")
def _full(found: Bodies) -> list[LogEntry]:
    template(found, "store")["containers"][0]["image"] = "mysql:8"
    return [line("cart", 'Data source rejected: "Too many connections"')]


@case("db_read_only", "store")
def _read_only(found: Bodies) -> list[LogEntry]:
    template(found, "store")["containers"][0]["image"] = "mysql:8"
    return [line("cart", "The MySQL server is running with the --read-only option so it cannot execute this statement")]


@case("volume_mount_permission_denied", "store")
def _mount(found: Bodies) -> list[LogEntry]:
    template(found, "store")["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    return [line("store", "Failed opening the temp RDB file /data/temp-1.rdb: Permission denied")]


@case("kubelet_unavailable", "node-b")
def _kubelet(found: Bodies) -> None:
    condition = {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown", "lastTransitionTime": at(-3)}
    found["Node", "node-b"]["status"]["conditions"] = [condition]
    found["Pod", "cart-7d9f-x"]["status"]["conditions"] = [{"type": "Ready", "status": "False"}]


@case("containerd_unavailable", "node-b")
def _runtime(found: Bodies) -> None:
    message = "container runtime is down"
    condition = {"type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": message}
    found["Node", "node-b"]["status"]["conditions"] = [condition]


@case("kube_proxy_unavailable", "node-b")
def _proxy(found: Bodies) -> None:
    found["ComponentStatus", "kube-proxy.node-b"] = {
        "kind": "ComponentStatus",
        "metadata": {"name": "kube-proxy.node-b"},
        "conditions": [{"type": "Healthy", "status": "False", "message": "inactive (dead)"}],
    }


@case("kube_scheduler_unavailable", "control-a")
def _scheduler(found: Bodies) -> None:
    found["Node", "control-a"] = node("control-a", **{"node-role.kubernetes.io/control-plane": ""})
    pending(found["Pod", "cart-7d9f-x"])
    say(found, found["Deployment", "shop"], "ScalingReplicaSet", "Scaled up", -30, "Normal")


@pytest.mark.parametrize(("mechanism", "name", "broken"), CASES, ids=[mechanism for mechanism, _, _ in CASES])
def test_the_cause_is_named(mechanism: str, name: str, broken: Case) -> None:
    found = cluster()
    logs = broken(found) or []
    first, *_ = [*findings(found.values(), logs), None]
    assert first is not None
    assert (first.mechanism, first.object.name) == (mechanism, name)
    assert first.evidence
    assert MECHANISMS[mechanism].cannot_explain


def test_a_healthy_cluster_is_a_finding_of_its_own() -> None:
    evidence = evidence_of(cluster().values())
    assert findings(cluster().values()) == []
    assert health(evidence, ()) == (
        "No infrastructure anomalies detected in the cluster: looked at 3 pods, 3 deployments, 3 services, 2 nodes"
    )
    assert health(evidence_of(()), ()) == ""
    logs = [line("cart", "Connection refused by the payment provider", -number / 10) for number in range(20)]
    diagnosis = diagnose(incident_from((alert(service="cart"),)), evidence_of(cluster().values(), logs), Scenario())
    assert diagnosis.primary is not None
    assert diagnosis.primary.evidence[-1].startswith("No infrastructure anomalies detected in the cluster: looked at 3")


def test_what_was_overcome_and_what_is_old_is_no_evidence() -> None:
    found = cluster()
    say(found, found["ReplicaSet", "cart-7d9f"], "FailedCreate", 'serviceaccount "cart" not found: forbidden')
    say(found, found["Pod", "shop-7d9f-x"], "Unhealthy", "Readiness probe failed: connection refused", -3)
    terminated = {"reason": "OOMKilled", "exitCode": 137, "finishedAt": at(-30 * 24 * 60)}
    status = found["Pod", "store-7d9f-x"]["status"]["containerStatuses"][0]
    status |= {"restartCount": 7, "lastState": {"terminated": terminated}}
    assert findings(found.values()) == []


def test_the_cause_comes_before_its_victims() -> None:
    """A machine that is down explains its pods; a store that nobody reaches explains who crashes for want of it."""
    found = cluster()
    _kubelet(found)
    unready(found["Pod", "cart-7d9f-x"], lastState={"terminated": {"exitCode": 1, "finishedAt": at(-1)}})
    names = [finding.object.name for finding in findings(found.values())]
    assert names[0] == "node-b"

    found = cluster()
    found["Service", "store"]["spec"]["selector"] = {"app": "shop-store"}
    ended = {"terminated": {"reason": "Error", "exitCode": 1, "finishedAt": at(-1)}}
    unready(found["Pod", "cart-7d9f-x"], restartCount=5, lastState=ended)
    first, second = findings(found.values())[:2]
    assert (first.object.name, second.object.name) == ("store", "cart")
    assert second.weight < first.weight / 2


def series(service: str, name: str, before: float, after: float) -> MetricSeries:
    moments = tuple(NOW.timestamp() + 5.0 * step for step in range(30))
    return MetricSeries(name=name, service=service, timestamps=moments, values=tuple([before] * 10 + [after] * 20))


@pytest.mark.parametrize(
    ("moved", "wanted"),
    [
        ([("cart", "cpu", 0.01, 0.09), ("cart", "cpu_cfs", 0.0, 0.6)], ("pod_cpu_overload", "cart")),
        ([("store", "p50latency", 2, 900), ("cart", "p50latency", 5, 950)], ("pod_network_delay", "store")),
        ([("shop", "p50latency", 5, 700), ("store", "p50latency", 2, 600)], ("node_network_delay", "node-a")),
        ([("node-b", "tcp_retrans", 0, 9), ("node-a", "tcp_retrans", 0, 0.2)], ("node_network_packet_loss", "node-b")),
    ],
    ids=["load", "pod", "node", "loss"],
)  # fmt: skip
def test_who_is_slow(moved: list[tuple[str, str, float, float]], wanted: tuple[str, str]) -> None:
    found = cluster()
    template(found)["containers"][0]["resources"]["limits"]["cpu"] = "100m"
    first = findings(found.values(), (), [series(*one) for one in moved])[0]
    assert (first.mechanism, first.object.name) == wanted


def test_a_path_that_is_lost_although_all_is_well_is_the_gateway_s() -> None:
    title = "GET /api/v1/cartservice/items: 404 Not Found"
    found = cluster()
    for kind, name in (("Deployment", "cart"), ("Pod", "cart-7d9f-x")):
        found[kind, name]["metadata"]["name"] = found[kind, name]["metadata"]["name"].replace("cart", "cartservice")
    first = findings(found.values(), alerts=(alert(title),))[0]
    assert (first.mechanism, first.object.name) == ("gateway_misroute", "cartservice")


def test_a_finding_is_a_hypothesis_like_any_other() -> None:
    found = cluster()
    _live_port(found)
    evidence, incident = evidence_of(found.values()), incident_from((alert(),))
    symptoms = find_symptoms(incident, evidence, ())
    first = cluster_hypotheses(incident, evidence, symptoms, Scenario())[0]
    assert (first.category, first.service) == (Category.CONFIGURATION_ERROR, "cart")
    assert first.object is not None
    assert first.object.model_dump() == {"kind": "app", "name": "cart"}
    assert first.change is not None
    assert (first.change.kind, first.change.edits[0].to) == ("Deployment", 7070)
    text: Any = " ".join(first.evidence)
    assert "grpc on port 7071" in text
    assert "Cannot explain" in text
