"""A Kubernetes API server that keeps its state in memory: enough of the API for the real kubectl to read and to act.

Discovery, get and list of whatever objects it is given, merge and JSON patches, the scale subresource, server-side dry
run, and what the deployment controller would do: a replica set for each template, revisions, replica counts. It has no
admission, no pods that start, no watch that ever tells anything; what is proven with it is how we talk to the API.
"""

from __future__ import annotations

import copy
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

REVISION = "deployment.kubernetes.io/revision"
Object = dict[str, Any]

RESOURCES: dict[str, list[tuple[str, str, str, bool]]] = {
    "v1": [
        ("pods", "Pod", "po", True),
        ("services", "Service", "svc", True),
        ("events", "Event", "ev", True),
        ("configmaps", "ConfigMap", "cm", True),
        ("resourcequotas", "ResourceQuota", "quota", True),
        ("serviceaccounts", "ServiceAccount", "sa", True),
        ("namespaces", "Namespace", "ns", False),
        ("nodes", "Node", "no", False),
    ],
    "apps/v1": [
        ("deployments", "Deployment", "deploy", True),
        ("replicasets", "ReplicaSet", "rs", True),
        ("statefulsets", "StatefulSet", "sts", True),
        ("daemonsets", "DaemonSet", "ds", True),
    ],
}


class Cluster:
    """The state, and what was asked of it."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Object] = {}
        """(resource, namespace, name) -> the object."""
        self.writes: list[tuple[str, str, Any]] = []
        """Method, path and body of every request that changed something."""
        self.dry_runs: list[tuple[str, str, Any]] = []
        self.refuse: str | None = None
        """Answered with 403 and this sentence to every write, where set."""
        self.on_write: Callable[[], None] = lambda: None
        """Called after every change, before it is answered."""
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()
        self._url = ""

    # --- what tests do with it ------------------------------------------------------------------

    def add(self, resource: str, item: Object) -> Object:
        """Put an object in."""
        with self._lock:
            meta = item.setdefault("metadata", {})
            meta.setdefault("namespace", "default")
            number = next(self._numbers)
            meta |= {"uid": f"uid-{number}", "resourceVersion": str(number), "generation": 1}
            self.objects[resource, meta["namespace"], meta["name"]] = item
            return item

    def deploy(self, name: str, image: str, replicas: int = 3, namespace: str = "default") -> None:
        """Release an image, as `kubectl apply` would."""
        with self._lock:
            known = self.objects.get(("deployments", namespace, name))
            template = {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": name, "image": image}]},
            }
            if known is None:
                spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
                item = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}
                item["metadata"]["namespace"] = namespace
                known = self.add("deployments", item)
            else:
                known["spec"]["template"] = template
            self._reconcile(known)

    def image(self, name: str, namespace: str = "default") -> str:
        """What a deployment runs."""
        found = self.objects["deployments", namespace, name]
        image: str = found["spec"]["template"]["spec"]["containers"][0]["image"]
        return image

    def replicas(self, name: str, namespace: str = "default") -> int:
        """How many replicas a deployment wants."""
        count: int = self.objects["deployments", namespace, name]["spec"]["replicas"]
        return count

    def kubeconfig(self, path: Path) -> Path:
        """A kubeconfig whose contexts `here` and `default` are this cluster."""
        context = {"cluster": "here", "user": "tester"}
        path.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "here", "cluster": {"server": self._url}}],
                    "users": [{"name": "tester", "user": {"token": "not-a-secret"}}],
                    "contexts": [{"name": "here", "context": context}],
                    "current-context": "here",
                }
            )
        )
        return path

    # --- what the controllers do ----------------------------------------------------------------

    def _reconcile(self, deployment: Object) -> None:
        meta = deployment["metadata"]
        sets = [
            item
            for (resource, namespace, _), item in self.objects.items()
            if resource == "replicasets"
            and namespace == meta["namespace"]
            and item["metadata"]["ownerReferences"][0]["uid"] == meta["uid"]
        ]
        newest = max((int(one["metadata"]["annotations"][REVISION]) for one in sets), default=0)
        template = _without_hash(deployment["spec"]["template"])
        current = next((one for one in sets if _without_hash(one["spec"]["template"]) == template), None)
        if current is None:
            current = self._new_set(deployment, newest + 1)
            sets.append(current)
        elif int(current["metadata"]["annotations"][REVISION]) != newest:
            current["metadata"]["annotations"][REVISION] = str(newest + 1)
        for one in sets:
            one["spec"]["replicas"] = deployment["spec"]["replicas"] if one is current else 0
        meta.setdefault("annotations", {})[REVISION] = current["metadata"]["annotations"][REVISION]
        count = deployment["spec"]["replicas"]
        deployment["status"] = {
            "observedGeneration": meta["generation"], "replicas": count, "updatedReplicas": count,
            "readyReplicas": count, "availableReplicas": count,
        }  # fmt: skip

    def _new_set(self, deployment: Object, revision: int) -> Object:
        meta = deployment["metadata"]
        digest = f"hash{revision}"
        template = copy.deepcopy(deployment["spec"]["template"])
        labels = template.setdefault("metadata", {}).setdefault("labels", {})
        labels["pod-template-hash"] = digest
        owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": meta["name"], "uid": meta["uid"]}
        return self.add(
            "replicasets",
            {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "metadata": {
                    "name": f"{meta['name']}-{digest}",
                    "namespace": meta["namespace"],
                    "annotations": {REVISION: str(revision)},
                    "labels": dict(labels),
                    "ownerReferences": [{**owner, "controller": True}],
                },
                "spec": {"replicas": 0, "selector": {"matchLabels": dict(labels)}, "template": template},
            },
        )

    # --- HTTP -----------------------------------------------------------------------------------

    def answer(self, method: str, target: str, body: Any, content_type: str) -> tuple[int, Any]:
        """Status and body of the answer to one request."""
        parts = urlsplit(target)
        query = parse_qs(parts.query)
        with self._lock:
            found = _discovery(parts.path)
            if found is not None:
                return 200, found
            place = _place(parts.path)
            if place is None:
                return 404, _failure(404, "NotFound", f"there is no {parts.path}")
            resource, namespace, name, sub = place
            if method == "GET" and name is None:
                return 200, self._list(resource, namespace, query)
            item = self.objects.get((resource, namespace or "default", name or ""))
            if item is None:
                return 404, _failure(404, "NotFound", f'{resource} "{name}" not found')
            if method == "GET":
                return 200, _scale_of(item) if sub == "scale" else _typed(resource, item)
            return self._write(method, target, item, resource, sub, body, content_type, "dryRun" in query)

    def _write(
        self, method: str, target: str, item: Object, resource: str, sub: str | None, body: Any, kind: str, dry: bool
    ) -> tuple[int, Any]:
        if self.refuse:
            return 403, _failure(403, "Forbidden", self.refuse)
        changed = copy.deepcopy(item)
        if sub == "scale":
            changed["spec"]["replicas"] = body["spec"]["replicas"]
        elif "json-patch" in kind:
            for step in body:
                _json_patch(changed, step)
        elif method == "PATCH":
            _merge(changed, body)
        else:
            changed = body
        (self.dry_runs if dry else self.writes).append((method, target, body))
        if not dry:
            changed["metadata"]["generation"] += 1
            changed["metadata"]["resourceVersion"] = str(next(self._numbers))
            self.objects[resource, changed["metadata"]["namespace"], changed["metadata"]["name"]] = changed
            if resource == "deployments":
                self._reconcile(changed)
            self.on_write()
        return 200, _scale_of(changed) if sub == "scale" else _typed(resource, changed)

    def _list(self, resource: str, namespace: str | None, query: dict[str, list[str]]) -> Object:
        wanted = [part.split("=") for part in ",".join(query.get("labelSelector", [])).split(",") if "=" in part]
        items = [
            _typed(resource, item)
            for (kind, place, _), item in self.objects.items()
            if kind == resource
            and namespace in (None, place)
            and all(item["metadata"].get("labels", {}).get(key) == value for key, _, value in map(_pair, wanted))
        ]
        group, kind = next(
            (group, kind) for group, rows in RESOURCES.items() for name, kind, _, _ in rows if name == resource
        )
        return {"kind": f"{kind}List", "apiVersion": group, "metadata": {"resourceVersion": "1"}, "items": items}


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """A cluster that listens on a free port of loopback until the block ends."""
    cluster = Cluster()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            raw = self.rfile.read(length)
            body = json.loads(raw) if raw else None
            if self.path.startswith("/openapi/v2"):
                status, text, kind = 200, openapi(), "application/octet-stream"
            else:
                status, found = cluster.answer(self.command, self.path, body, self.headers.get("Content-Type", ""))
                text, kind = json.dumps(found).encode(), "application/json"
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_PATCH = do_PUT = do_POST = _serve  # noqa: N815 - the base class's names

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    cluster._url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield cluster
    finally:
        server.shutdown()
        server.server_close()


def openapi() -> bytes:
    """That every kind can be patched with `dryRun`, as OpenAPI v2 in protocol buffers: older kubectls ask for it first.

    The numbers are those of the fields in gnostic's openapi_v2.proto.
    """
    query = _field(2, b"query") + _field(4, b"dryRun")
    parameter = _field(8, _field(1, _field(2, _field(3, query))))
    paths = b""
    for version, rows in RESOURCES.items():
        group, _, number = version.rpartition("/")
        for name, kind, _, _ in rows:
            known = f"group: '{group}'\nkind: {kind}\nversion: {number}\n".encode()
            extension = _field(13, _field(1, b"x-kubernetes-group-version-kind") + _field(2, _field(2, known)))
            item = _field(8, parameter + extension)
            paths += _field(2, _field(1, f"/{version}/{name}/{{name}}".encode()) + _field(2, item))
    return _field(1, b"2.0") + _field(8, paths)


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited field of protocol buffers."""
    return _number(number << 3 | 2) + _number(len(content)) + content


def _number(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _number(rest) if rest else bytes([low])


def _discovery(path: str) -> Object | None:
    if path == "/version":
        return {"major": "1", "minor": "32", "gitVersion": "v1.32.0"}
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        version = {"groupVersion": "apps/v1", "version": "v1"}
        groups = [{"name": "apps", "versions": [version], "preferredVersion": version}]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    group = {"/api/v1": "v1", "/apis/apps/v1": "apps/v1"}.get(path.rstrip("/"))
    if group is None:
        return None
    resources: list[Object] = []
    for name, kind, short, namespaced in RESOURCES[group]:
        verbs = ["get", "list", "patch", "update", "watch"]
        row = {"name": name, "singularName": kind.lower(), "namespaced": namespaced, "kind": kind}
        resources.append({**row, "verbs": verbs, "shortNames": [short]})
        if group == "apps/v1" and name != "daemonsets":
            scale = {"name": f"{name}/scale", "singularName": "", "namespaced": True, "kind": "Scale"}
            resources.append({**scale, "group": "autoscaling", "version": "v1", "verbs": ["get", "patch", "update"]})
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group, "resources": resources}


def _place(path: str) -> tuple[str, str | None, str | None, str | None] | None:
    """Resource, namespace, name and subresource of a path."""
    steps = path.strip("/").split("/")
    steps = steps[2:] if steps[0] == "api" else steps[3:] if steps[0] == "apis" else []
    namespace = None
    if len(steps) > 2 and steps[0] == "namespaces":
        namespace, steps = steps[1], steps[2:]
    if not steps or not any(steps[0] == row[0] for rows in RESOURCES.values() for row in rows):
        return None
    padded = [*steps, None, None]
    return str(steps[0]), namespace, padded[1], padded[2]


def _typed(resource: str, item: Object) -> Object:
    group, kind = next(
        (group, kind) for group, rows in RESOURCES.items() for name, kind, _, _ in rows if name == resource
    )
    return {**item, "kind": kind, "apiVersion": group}


def _scale_of(item: Object) -> Object:
    meta = item["metadata"]
    kept = {name: meta[name] for name in ("name", "namespace", "uid", "resourceVersion")}
    count = item["spec"]["replicas"]
    spec = {"replicas": count}
    return {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": kept, "spec": spec, "status": spec}


def _failure(code: int, reason: str, message: str) -> Object:
    return {
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message,
    }  # fmt: skip


def _merge(target: Object, patch: Object) -> None:
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target[key] = value


def _json_patch(target: Any, step: Object) -> None:
    *path, last = [part.replace("~1", "/").replace("~0", "~") for part in step["path"].strip("/").split("/")]
    for part in path:
        target = target[int(part)] if isinstance(target, list) else target[part]
    if step["op"] == "test":
        return
    if step["op"] == "remove":
        target.pop(last, None)
    else:
        target[last] = step["value"]


def _without_hash(template: Object) -> Object:
    found = copy.deepcopy(template)
    found.get("metadata", {}).get("labels", {}).pop("pod-template-hash", None)
    found.get("metadata", {}).pop("creationTimestamp", None)
    if found.get("metadata", {}).get("annotations") == {}:
        del found["metadata"]["annotations"]
    return found


def _pair(part: list[str]) -> tuple[str, None, str]:
    return part[0].rstrip("!"), None, part[-1]
