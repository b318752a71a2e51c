"""Kubernetes: what is asked of its API, with which permissions, and what becomes of the answers."""

from __future__ import annotations

import json
import stat
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from incident_pipeline.config import Connection
from incident_pipeline.connectors.kubernetes import build
from incident_pipeline.connectors.kubernetes_access import access_to
from incident_pipeline.errors import ConfigurationError, SourceError
from incident_pipeline.evidence.envelopes import gathered
from incident_pipeline.evidence.gather import question_for
from incident_pipeline.models import Envelope, EnvelopeStatus, EvidenceKind, Service
from incident_pipeline.storage.incidents.rows import to_rows
from tests.connectors.kubernetes_api import Api, Object, rules_of
from tests.connectors.questions import AROUND, fetch, incident, question, settings_for

URL = "https://cluster.example:6443"
STATE = EvidenceKind.KUBERNETES_STATE


def moment(minutes: float) -> str:
    return (AROUND + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def pod(name: str, namespace: str = "shop", *, ready: bool = True, owner: str = "payments-5f") -> Object:
    terminated = {"reason": "Error", "exitCode": 1, "finishedAt": moment(-1)}
    return {
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"app": "payments"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": owner}],
            "managedFields": [{"manager": "kubelet"}],
        },
        "spec": {
            "nodeName": "node-a",
            "containers": [
                {
                    "name": "app",
                    "image": "registry.example/payments:v2",
                    "env": [{"name": "DB_PASSWORD", "value": "hunter2-hunter2"}],
                    "envFrom": [
                        {"configMapRef": {"name": "payments-settings"}},
                        {"secretRef": {"name": "payments-db"}},
                    ],
                }
            ],
        },
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "containerStatuses": [
                {"name": "app", "ready": ready, "restartCount": 3, "lastState": {"terminated": terminated}}
                if not ready
                else {"name": "app", "ready": True, "restartCount": 0}
            ],
        },
    }


def event(name: str, message: str, minutes: float, kind: str = "Warning") -> Object:
    return {
        "kind": "Event",
        "metadata": {"name": name, "namespace": "shop"},
        "type": kind,
        "reason": "BackOff",
        "message": message,
        "involvedObject": {"kind": "Pod", "name": "payments-5f-a"},
        "lastTimestamp": moment(minutes),
    }


def replica_set(revision: int, image: str, minutes: float, replicas: int, cause: str | None = None) -> Object:
    annotations = {"deployment.kubernetes.io/revision": str(revision)}
    annotations |= {"kubernetes.io/change-cause": cause} if cause else {}
    return {
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"payments-{revision}f",
            "namespace": "shop",
            "annotations": annotations,
            "creationTimestamp": moment(minutes),
            "ownerReferences": [{"kind": "Deployment", "name": "payments"}],
        },
        "spec": {"replicas": replicas, "template": {"spec": {"containers": [{"name": "app", "image": image}]}}},
        "status": {"replicas": replicas, "readyReplicas": replicas},
    }


def a_cluster() -> dict[str, list[Object]]:
    node = {"kind": "Node", "metadata": {"name": "node-a"}, "spec": {}, "status": {"conditions": []}}
    lease = {"metadata": {"name": "node-a", "namespace": "kube-node-lease"}, "spec": {"renewTime": moment(-1)}}
    settings = {"kind": "ConfigMap", "metadata": {"name": "payments-settings", "namespace": "shop"}}
    return {
        "pods": [pod("payments-5f-a", ready=False), pod("payments-5f-b"), pod("dns", "kube-system")],
        "events": [event("now", "Back-off restarting", -2), event("old", "weeks ago", -9000)],
        "nodes": [node],
        "leases": [lease],
        "configmaps": [{**settings, "data": {"mode": "fast", "api_key": "k-0123456789abcdef"}}],
        "replicasets": [
            replica_set(1, "registry.example/payments:v1", -900, 0),
            replica_set(2, "registry.example/payments:v2", -10, 2, cause="release v2"),
        ],
        "deployments": [{"kind": "Deployment", "metadata": {"name": "payments", "namespace": "shop"}, "spec": {}}],
    }


def ask(api: Api, kind: EvidenceKind = STATE, **about: Any) -> Envelope[Any]:
    connection = Connection(url=URL, token="reader-0123456789")  # noqa: S106
    source = build(settings_for("kubernetes", api.transport, connection=connection))
    return fetch(source, question(kind, **{"namespaces": {"": ("shop",)}, **about}))


def named(envelope: Envelope[Any], kind: str) -> dict[str, Any]:
    return {row.name: row for row in envelope.rows if row.kind == kind}


def test_the_objects_of_the_namespaces_with_their_kinds() -> None:
    api = Api(a_cluster())
    got = ask(api)
    assert (got.status, got.partial, got.notes) == (EnvelopeStatus.OK, False, ())
    assert set(named(got, "Pod")) == {"payments-5f-a", "payments-5f-b"}
    assert set(named(got, "Event")) == {"now"}
    assert named(got, "Node")["node-a"].body["status"]["leaseRenewTime"] == moment(-1)
    assert not named(got, "Lease")
    assert "managedFields" not in named(got, "Pod")["payments-5f-a"].body["metadata"]
    assert all(request.headers["authorization"] == "Bearer reader-0123456789" for request in api.asked)


def test_the_shipped_role_is_enough_and_no_more() -> None:
    api = Api(a_cluster())
    ask(api)
    ask(api, EvidenceKind.DEPLOYMENTS)
    granted = {
        (group, resource, verb)
        for rule in rules_of()
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert api.used == granted
    assert {request.method for request in api.asked} == {"GET"}
    assert not any("secret" in request.url.path for request in api.asked)
    assert {verb for _, _, verb in granted} == {"get", "list"}


def test_without_namespaces_all_are_read_but_the_system_s() -> None:
    got = ask(Api(a_cluster()), namespaces={})
    assert set(named(got, "Pod")) == {"payments-5f-a", "payments-5f-b"}


def test_config_maps_only_of_pods_with_trouble_and_the_last_lines_of_what_ended() -> None:
    api = Api(a_cluster())
    api.logs["payments-5f-a"] = "starting\nError: no route\n"
    got = ask(api)
    assert set(named(got, "ConfigMap")) == {"payments-settings"}
    status = named(got, "Pod")["payments-5f-a"].body["status"]["containerStatuses"][0]
    assert status["lastState"]["terminated"]["message"] == "starting\nError: no route\n"
    asked = next(request for request in api.asked if request.url.path.endswith("/log"))
    assert asked.url.params["previous"] == "true"
    assert int(asked.url.params["limitBytes"]) <= 16_384

    well = Api({**a_cluster(), "pods": [pod("payments-5f-b")]})
    assert not named(ask(well), "ConfigMap")


def test_what_is_stored_holds_no_secret() -> None:
    got = ask(Api(a_cluster()))
    text = json.dumps(to_rows("kubernetes_state", gathered(STATE, [got])), default=str)
    assert "hunter2" not in text
    assert "k-0123456789abcdef" not in text
    assert "payments-db" in text, "the name of a secret is none"


def test_pages_are_followed_to_the_end() -> None:
    many = [pod(f"payments-5f-{number}") for number in range(1_203)]
    api = Api({"pods": many})
    got = ask(api)
    assert len(named(got, "Pod")) == 1_203
    assert sum(request.url.path.endswith("/pods") for request in api.asked) == 3
    whole = [row for row in got.rows if row.kind == "Pod" and "containers" in row.body["spec"]]
    assert len(whole) == 3, "of healthy pods of one owner a few are kept whole"


def test_kinds_that_may_not_be_read_are_a_note_each() -> None:
    api = Api(a_cluster())
    api.denied = {"nodes", "persistentvolumes", "storageclasses", "events", "resourcequotas", "leases"}
    got = ask(api)
    assert got.partial
    assert named(got, "Pod")
    assert any("nodes" in note for note in got.notes)
    api.denied |= {request.url.path.rpartition("/")[2] for request in api.asked}
    with pytest.raises(SourceError, match="403"):
        ask(api)


def test_rollouts_are_deployments_with_what_ran_before() -> None:
    got = ask(Api(a_cluster()), EvidenceKind.DEPLOYMENTS)
    (row,) = got.rows
    assert (row.id, row.service, row.version, row.previous_version) == ("shop/payments:2", "payments", "v2", "v1")
    assert (row.status, row.source) == ("success", "kubernetes")
    assert row.started_at == AROUND - timedelta(minutes=10)
    assert row.attributes["change_cause"] == "release v2"
    assert row.attributes["previous_images"] == {"app": "registry.example/payments:v1"}


def test_namespaces_and_clusters_come_from_the_catalogue() -> None:
    from incident_pipeline.config import Scenario

    catalogue = [
        Service(name="payments", depends_on=("ledger",), namespace="shop", cluster="eu"),
        Service(name="ledger", namespace="bank", cluster="eu"),
        Service(name="elsewhere", namespace="other"),
    ]
    asked = question_for(STATE, incident(), Scenario(), AROUND, catalogue)
    assert asked.namespaces == {"eu": ("shop", "bank")}
    settings = Scenario.model_validate({"context": {"kubernetes": {"namespaces": ["shop"]}}})
    assert question_for(STATE, incident(), settings, AROUND).namespaces == {"": ("shop",)}


@pytest.mark.parametrize(
    ("user", "words"),
    [({"exec": {"command": "cloud-login"}}, "options.kubectl"), ({"tokenFile": "nowhere"}, "token file")],
)
def test_a_kubeconfig_that_cannot_be_used_is_one_sentence(tmp_path: Path, user: Any, words: str) -> None:
    path = kubeconfig(tmp_path, user)
    with pytest.raises(ConfigurationError, match=words):
        access_to(settings_for("kubernetes", connection=Connection(options={"kubeconfig": str(path)})))


def kubeconfig(folder: Path, user: Any) -> Path:
    path = folder / "config"
    path.write_text(
        json.dumps(
            {
                "current-context": "here",
                "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [{"name": "c", "cluster": {"server": URL}}],
                "users": [{"name": "u", "user": user}],
            }
        )
    )
    return path


def test_a_kubeconfig_with_a_token(tmp_path: Path) -> None:
    api = Api(a_cluster())
    options = {"kubeconfig": str(kubeconfig(tmp_path, {"token": "from-the-file-0123"}))}
    source = build(settings_for("kubernetes", api.transport, connection=Connection(options=options)))
    assert fetch(source, question(STATE, namespaces={"here": ("shop",)})).rows
    assert api.asked[0].headers["authorization"] == "Bearer from-the-file-0123"
    assert api.asked[0].url.host == "cluster.example"


def test_nowhere_to_go_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigurationError, match=r"connections\.kubernetes\.url"):
        access_to(settings_for("kubernetes"))


def test_kubectl_where_only_that_is_at_hand(tmp_path: Path) -> None:
    program = tmp_path / "kubectl"
    listed = json.dumps({"items": [{"metadata": {"name": "payments", "namespace": "shop"}, "spec": {}}]})
    program.write_text(
        f"#!{sys.executable}\nimport sys\n"
        f"open({str(tmp_path / 'words')!r}, 'a').write(repr(sys.argv[1:]) + '\\n')\n"
        "target = next(w for w in sys.argv if w.startswith('/api'))\n"
        f"print({listed!r} if 'deployments' in target else '{{\"items\": []}}')\n"
        "sys.exit(0)\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    options = {"kubectl": str(program), "context": "$(touch x)"}
    source = build(settings_for("kubernetes", connection=Connection(options=options)))
    got = fetch(source, question(EvidenceKind.DEPLOYMENTS, namespaces={"": ("shop",)}, seconds=30.0))
    assert got.status is EnvelopeStatus.EMPTY
    words = (tmp_path / "words").read_text()
    assert "'--context=$(touch x)', 'get', '--raw'" in words, "arguments are never a shell's"
    assert "/apis/apps/v1/namespaces/shop/replicasets?limit=500" in words
