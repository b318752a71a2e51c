"""How good and how fast the look at the cluster is: against simple rules on labelled faults, and on 10,000 pods.

    python -m benchmarks.cluster FOLDER       incident folders with kubernetes.json and truth.json below FOLDER
    python -m benchmarks.cluster --pods       reading and understanding a cluster of 10,000 pods

Two simple rules run in the same pass: (a) blame the object with the most warnings; (b) blame the app of the first pod
that is not ready, with the mechanism from a table of its reason.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from incident_pipeline.backtest.folder_diagnosis import diagnose_folder, diagnosis_record
from incident_pipeline.backtest.measure import labelled_folders
from incident_pipeline.backtest.scores import expected_calibration_error, score
from incident_pipeline.config import Connection, Scenario
from incident_pipeline.connectors.base import Question, SourceSettings
from incident_pipeline.connectors.kubernetes import build
from incident_pipeline.diagnosis.cluster_state import cluster_findings
from incident_pipeline.diagnosis.kubernetes.cluster import Cluster, cluster_of, is_ready
from incident_pipeline.diagnosis.kubernetes.fields import number_at, rows_at, text_at
from incident_pipeline.evidence.envelopes import gathered
from incident_pipeline.incident_folder.reading import incident_from, load_folder
from incident_pipeline.incident_folder.truth import load_truth
from incident_pipeline.models import Alert, Evidence, EvidenceKind, Window
from incident_pipeline.moments import parse_moment

Answer = tuple[str, str, str]
"""(kind of object, its name, mechanism)."""
_REASONS = (
    ("oom", "oom_killed"),
    ("imagepull", "incorrect_image_reference"),
    ("pull", "incorrect_image_reference"),
    ("secret", "missing_secret_binding"),
    ("insufficient cpu", "cpu_capacity_mismatch"),
    ("insufficient memory", "memory_capacity_mismatch"),
    ("anti-affinity", "pod_anti_affinity_conflict"),
    ("taint", "taint_toleration_mismatch"),
    ("affinity/selector", "node_selector_mismatch"),
    ("persistentvolume", "pvc_storage_class_mismatch"),
    ("crashloop", "liveness_probe_incorrect_port"),
)


def most_warnings(cluster: Cluster) -> Answer:
    """Rule a."""
    counts: Counter[str] = Counter()
    for body in cluster.bodies("Event"):
        if text_at(body, "type") == "Warning":
            name = text_at(body, "involvedObject", "name")
            app = next((app for app in cluster.apps if name == app.name or name.startswith(f"{app.name}-")), None)
            counts[app.name if app else name] += number_at(body, "count") or 1
    return ("app", counts.most_common(1)[0][0] if counts else "", "")


def first_not_ready(cluster: Cluster) -> Answer:
    """Rule b."""
    for app in cluster.apps:
        for pod in app.pods:
            if not is_ready(pod):
                told = _told(cluster, pod)
                return ("app", app.name, next((slug for word, slug in _REASONS if word in told), ""))
    return ("app", "", "")


def _told(cluster: Cluster, pod: Any) -> str:
    statuses = rows_at(pod, "status", "containerStatuses")
    waiting = [text_at(status, "state", "waiting", "reason") for status in statuses]
    return " ".join([*waiting, *(event.message for event in cluster.events_of("Pod", pod))]).lower()


def labelled(root: Path) -> None:
    """Print the shares of right objects, mechanisms and both."""
    rows: dict[str, list[tuple[bool, bool]]] = {"most warnings": [], "first not ready": [], "the engine": []}
    scores = []
    for path in labelled_folders(root):
        truth, folder = load_truth(path), load_folder(path)
        if truth is None or truth.root_cause_object is None:
            continue
        wanted = (truth.root_cause_object.kind, truth.root_cause_object.name, truth.root_cause_mechanism)
        began = time.process_time()
        record = diagnosis_record(diagnose_folder(path, Scenario()))
        record["seconds"] = time.process_time() - began
        scores.append(score(record, truth))
        cluster = cluster_of(folder.incident, folder.evidence)
        answers = (most_warnings(cluster), first_not_ready(cluster), _engine(record))
        for found, (kind, name, mechanism) in zip(rows.values(), answers, strict=True):
            found.append(((kind, name) == wanted[:2], mechanism == wanted[2]))
    for name, found in rows.items():
        count = len(found)
        shares = [sum(column) / count for column in zip(*[(o, m, o and m) for o, m in found], strict=True)]
        print(f"{name:16} object {shares[0]:.2f}  mechanism {shares[1]:.2f}  both {shares[2]:.2f}  ({count})")
    print(f"calibration error {expected_calibration_error(scores):.3f}, ", end="")
    seconds = [one.seconds for one in scores]
    print(f"processor seconds at most {max(seconds):.2f}, on average {_mean(seconds):.2f}")


def _engine(record: dict[str, Any]) -> Answer:
    first = record["hypotheses"][0] if record["hypotheses"] else {}
    blamed = first.get("object") or {}
    return (blamed.get("kind", ""), blamed.get("name", ""), first.get("mechanism") or "")


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


# --- 10,000 pods --------------------------------------------------------------------------------


def large(count: int = 10_000) -> None:
    """Print seconds and memory for reading and understanding so many pods, from a server in this process."""
    began = time.process_time()
    asked: Counter[str] = Counter()

    def answer(request: httpx.Request) -> httpx.Response:
        plural = request.url.path.rpartition("/")[2]
        asked[plural] += 1
        start, limit = int(request.url.params.get("continue", "0")), int(request.url.params.get("limit", "500"))
        total = count if plural == "pods" else count // 10 if plural in {"deployments", "services"} else 0
        numbers = range(start, min(start + limit, total))
        items = [_MAKE[plural](number) for number in numbers]
        following = {"continue": str(start + limit)} if start + limit < total else {}
        return httpx.Response(200, content=json.dumps({"metadata": following, "items": items}))

    connection = Connection(url="https://cluster.example", token="x-0123456789")  # noqa: S106  # nobody's
    source = build(SourceSettings("kubernetes", Scenario(), connection, transport=httpx.MockTransport(answer)))
    at = parse_moment("2026-11-23T14:35:00Z")
    window = Window(start=parse_moment("2026-11-23T12:00:00Z"), end=at)
    question = Question(kind=EvidenceKind.KUBERNETES_STATE, window=window, around=at, seconds=60.0)
    envelope = asyncio.run(source.fetch(question))
    read = time.process_time()
    alert = Alert(source="custom", source_id="1", dedup_key="1", title="slow", started_at=at)
    evidence = Evidence(kubernetes_state=gathered(EvidenceKind.KUBERNETES_STATE, [envelope]))
    found = cluster_findings(incident_from([alert]), evidence)
    done = time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{count} pods in {asked['pods']} pages, processor time: read {read - began:.1f} s, ", end="")
    print(f"understood {done - read:.1f} s; {peak:.0f} MB at most, {len(envelope.rows)} objects, {len(found)} findings")


def _meta(name: str, labels: dict[str, str]) -> dict[str, Any]:
    padding = {f"annotation.example/{number}": "x" * 80 for number in range(8)}
    return {"name": name, "namespace": "shop", "labels": labels, "annotations": padding, "uid": name}


def _pod(number: int) -> dict[str, Any]:
    app = f"app-{number // 10}"
    container = {
        "name": "app",
        "image": f"registry.example/{app}:v1",
        "env": [{"name": f"SETTING_{key}", "value": "v" * 40} for key in range(20)],
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
        "ports": [{"containerPort": 8080}],
    }
    status = {
        "phase": "Running",
        "conditions": [{"type": kind, "status": "True"} for kind in ("Initialized", "Ready", "PodScheduled")],
        "containerStatuses": [{"name": "app", "ready": True, "restartCount": 0, "state": {"running": {}}}],
    }
    owner = [{"kind": "ReplicaSet", "name": f"{app}-7d9f8c"}]
    metadata = {**_meta(f"{app}-7d9f8c-{number:05}", {"app": app}), "ownerReferences": owner}
    return {"metadata": metadata, "spec": {"nodeName": "node-a", "containers": [container]}, "status": status}


def _deployment(number: int) -> dict[str, Any]:
    labels = {"app": f"app-{number}"}
    template = {"metadata": {"labels": labels}, "spec": _pod(number * 10)["spec"]}
    spec = {"replicas": 10, "selector": {"matchLabels": labels}, "template": template}
    return {"metadata": _meta(f"app-{number}", labels), "spec": spec, "status": {"readyReplicas": 10}}


def _service(number: int) -> dict[str, Any]:
    labels = {"app": f"app-{number}"}
    ports = [{"port": 80, "targetPort": 8080, "protocol": "TCP"}]
    return {"metadata": _meta(f"app-{number}", labels), "spec": {"selector": labels, "ports": ports}}


_MAKE = {"pods": _pod, "deployments": _deployment, "services": _service}

if __name__ == "__main__":
    if sys.argv[1:] == ["--pods"]:
        large()
    else:
        labelled(Path(sys.argv[1]))
