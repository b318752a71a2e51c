"""An app beside what is like it and well."""

from __future__ import annotations

import copy
from datetime import timedelta

from incident_pipeline.diagnosis.kubernetes.cluster import App, Cluster
from incident_pipeline.diagnosis.kubernetes.siblings import namespace_differences, template_differences
from incident_pipeline.evidence.kubernetes_objects import kubernetes_object
from tests.unit.diagnosis.kubernetes.objects import NOW, Body, app, at, cluster, event, findings, unready

Bodies = dict[tuple[str, str], Body]


def read(found: Bodies) -> Cluster:
    objects = tuple(kubernetes_object(body, captured_at=NOW) for body in found.values())
    return Cluster(objects, NOW - timedelta(hours=1))


def the_app(found: Bodies, name: str = "cart") -> App:
    app = read(found).app(name)
    assert app is not None
    return app


def rolling(found: Bodies) -> Body:
    """The cart rolls out a new template: its pod is not ready, that of the template before is. The new container."""
    spec = found["Deployment", "cart"]["spec"]["template"]["spec"]
    new = copy.deepcopy(found["Pod", "cart-7d9f-x"])
    new["metadata"]["name"] = "cart-8e0a-y"
    new["spec"] = {**spec, "nodeName": "node-b"}
    unready(new)
    found["Pod", "cart-8e0a-y"] = new
    found["Deployment", "cart"]["spec"]["replicas"] = 2
    container: Body = spec["containers"][0]
    return container


def test_a_template_that_is_what_runs_has_no_differences() -> None:
    assert template_differences(the_app(cluster())) == []


def test_the_fields_that_a_new_template_changes() -> None:
    found = cluster()
    container = rolling(found)
    container["image"] = "registry.example/cart:v2"
    container["env"] = [{"name": "CACHE_ADDR", "value": "store:6379"}]
    container["ports"] = [{"containerPort": 7071, "protocol": "TCP"}]
    container["readinessProbe"] = {"httpGet": {"path": "/ready", "port": 7071}}
    differences = template_differences(the_app(found))
    assert [d.field for d in differences] == ["image", "ports", "readinessProbe", "env", "env"]
    assert differences[0].says == (
        "image of container server is registry.example/cart:v2; its ready pod cart-7d9f-x has registry.example/cart:v1"
    )
    assert differences[-1].says.startswith("env STORE_ADDR of container server is not set; ")


def test_trouble_that_nothing_else_explains_is_laid_to_what_differs() -> None:
    found = cluster()
    rolling(found)["image"] = "registry.example/cart:v2"
    first = findings(found.values())[0]
    assert (first.mechanism, first.object.name) == ("differs_from_siblings", "cart")
    assert "cart:v2" in first.evidence[1]


def test_a_cause_that_says_why_is_supported_by_what_differs_and_by_nothing_else() -> None:
    found = cluster()
    container = rolling(found)
    container["image"] = "registry.example/cart:v2"
    container["env"] = []
    ended = {"terminated": {"reason": "OOMKilled", "exitCode": 137, "finishedAt": at(-1)}}
    container["resources"] = {"limits": {"memory": "16Mi"}}
    unready(found["Pod", "cart-8e0a-y"], restartCount=5, lastState=ended)
    out_of_memory = findings(found.values())
    assert [f.mechanism for f in out_of_memory] == ["oom_killed"]
    told = " ".join(out_of_memory[0].evidence)
    assert "resources of container server is {'limits': {'memory': '16Mi'}, 'requests': None}" in told
    assert "cart:v2" not in told


def a_namespace() -> Bodies:
    found = cluster()
    for name in ("mail", "search", "stock", "users"):
        bodies = app(name, 9000, TRACING="collector:4317")
        found |= {(body["kind"], body["metadata"]["name"]): body for body in bodies}
    return found


def test_what_all_others_of_the_namespace_have_alike() -> None:
    found = a_namespace()
    assert namespace_differences(read(found), the_app(found, "mail")) == []
    container = found["Deployment", "mail"]["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": "TRACING", "value": "elsewhere:4317"}]
    container["image"] = "mirror.example/mail:v1"
    differences = namespace_differences(read(found), the_app(found, "mail"))
    assert [(d.field, d.own, d.usual) for d in differences] == [
        ("registry", "mirror.example", "registry.example"),
        ("env", "elsewhere:4317", "collector:4317"),
    ]
    container = found["Deployment", "users"]["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": "TRACING", "value": "third:4317"}]
    assert [d.field for d in namespace_differences(read(found), the_app(found, "mail"))] == ["registry"]


def test_an_image_from_elsewhere_supports_what_the_pull_says() -> None:
    found = a_namespace()
    container = found["Deployment", "mail"]["spec"]["template"]["spec"]["containers"][0]
    container["image"] = "registri.example/mail:v1"
    pod = found["Pod", "mail-7d9f-x"]
    unready(pod, state={"waiting": {"reason": "ImagePullBackOff"}}, image=container["image"])
    message = 'Failed to pull image "registri.example/mail:v1": lookup registri.example: no such host'
    said = event(pod, "Failed", message)
    first = findings([*found.values(), said])[0]
    assert first.mechanism == "image_registry_dns_failure"
    assert "the registry of the image is registri.example" in first.evidence[-1]


def test_one_that_is_well_is_left_alone_however_it_differs() -> None:
    found = a_namespace()
    found["Deployment", "mail"]["spec"]["template"]["spec"]["containers"][0]["image"] = "mirror.example/mail:v1"
    assert findings(found.values()) == []


def test_what_may_be_a_secret_is_not_told() -> None:
    found = cluster()
    container = rolling(found)
    old = found["Pod", "cart-7d9f-x"]["spec"]["containers"][0]
    old["env"] = [{"name": "DB_PASS", "value": "hunter-one"}, {"name": "DB_URL", "value": "mysql://u:hunter-two@h:1"}]
    container["env"] = [{"name": "DB_PASS", "value": "hunter-3"}, {"name": "DB_URL", "value": "mysql://u:hunter-4@h:1"}]
    told = " ".join(difference.says for difference in template_differences(the_app(found)))
    assert "env DB_PASS of container server is [redacted]" in told
    assert "mysql://u:[redacted]@h:1" in told
    assert "hunter" not in told
