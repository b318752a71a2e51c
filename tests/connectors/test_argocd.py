"""Argo CD by its specification, its recordings and its habits."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from incident_pipeline.config import Connection
from incident_pipeline.connectors.argocd import build, syncs_of
from incident_pipeline.models import Envelope, EnvelopeStatus, EvidenceKind
from tests.connectors.contracts import Contract
from tests.connectors.questions import AROUND, Recorder, fetch, question, settings_for
from tests.shared_data import shared_path

URL = "https://argocd.example"
SHAS = {name: name * 40 for name in "abcd"}


def moment(minutes: float) -> str:
    return (AROUND + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def application(name: str, *history: tuple[int, str, float], **status: Any) -> dict[str, Any]:
    entries = [
        {"id": number, "revision": revision, "deployedAt": moment(minutes), "deployStartedAt": moment(minutes - 1)}
        for number, revision, minutes in history
    ]
    metadata = {"name": name, "namespace": "argocd"}
    spec = {"destination": {"namespace": "production"}}
    return {"metadata": metadata, "spec": spec, "status": {"history": entries, **status}}


def ask(recorder: Recorder, **about: Any) -> Envelope[Any]:
    connection = Connection(url=URL, token="argo-0123456789")  # noqa: S106
    return fetch(
        build(settings_for("argocd", recorder.transport, connection=connection)),
        question(EvidenceKind.DEPLOYMENTS, **about),
    )


def answers(*applications: Any, metadata: Any = None) -> Recorder:
    def answer(request: httpx.Request) -> Any:
        if request.url.path == "/api/v1/applications":
            return {"items": list(applications)}
        return metadata or httpx.Response(403)

    return Recorder(answer)


def test_syncs_of_the_window_with_the_version_before() -> None:
    app = application(
        "payments-api",
        (1, SHAS["a"], -900),
        (3, SHAS["c"], -10),
        (2, SHAS["b"], -60),
        summary={"images": ["registry.example/payments:v2.3.5"]},
    )
    recorder = answers(app, metadata={"author": "dev <dev@example.org>", "message": "Validate payments"})
    got = ask(recorder, projects={"payments": ("payments-api",)})
    problems = {p for request in recorder.requests for p in Contract("argocd/swagger.trim.json").problems(request)}
    # the gateway takes `fields` for every path; its specification does not say so
    assert problems == {"unknown parameter fields"}
    newest, older = got.rows
    assert (newest.id, newest.service, newest.environment) == ("payments-api:3", "payments", "production")
    assert (newest.version, newest.previous_version, newest.commit_sha) == ("v2.3.5", "b" * 12, SHAS["c"])
    assert (newest.started_at, newest.finished_at) == (AROUND - timedelta(minutes=11), AROUND - timedelta(minutes=10))
    assert newest.url == "https://argocd.example/applications/payments-api"
    assert newest.attributes["message"] == "Validate payments"
    assert (older.version, older.previous_version) == ("b" * 12, "a" * 12)


def test_failed_and_running_syncs_are_only_in_the_operation() -> None:
    state = {
        "phase": "Failed",
        "message": "one or more objects failed to apply",
        "startedAt": moment(-5),
        "finishedAt": moment(-4),
        "operation": {"initiatedBy": {"automated": True}},
        "syncResult": {"revision": SHAS["d"]},
    }
    failed = application("cart", (1, SHAS["a"], -100), operationState=state)
    running = application(
        "web",
        operationState={"phase": "Running", "startedAt": moment(-1), "operation": {"sync": {"revisions": ["1.4.0"]}}},
    )
    got = ask(answers(failed, running))
    assert [(row.service, row.status, row.version) for row in got.rows] == [
        ("web", "in_progress", "1.4.0"),
        ("cart", "failed", "d" * 12),
        ("cart", "success", "a" * 12),
    ]
    assert (got.rows[1].actor, got.rows[1].previous_version) == ("automated", "a" * 12)
    assert got.rows[1].attributes["message"] == "one or more objects failed to apply"


def test_a_successful_operation_is_not_told_twice() -> None:
    state = {
        "phase": "Succeeded",
        "startedAt": moment(-11),
        "finishedAt": moment(-10),
        "syncResult": {"revision": SHAS["a"]},
    }
    got = ask(answers(application("cart", (1, SHAS["a"], -10), operationState=state)))
    assert [row.id for row in got.rows] == ["cart:1"]


def test_no_applications_and_broken_ones() -> None:
    assert ask(Recorder(lambda _: {"items": None})).status is EnvelopeStatus.EMPTY
    broken = [
        None,
        {"metadata": {"name": "x"}, "status": {"history": [None, {"id": 1}]}},
        application("ok", (1, "v1", -5)),
    ]
    got = ask(answers(*broken))
    assert [row.service for row in got.rows] == ["ok"]
    assert "2 applications could not be read" in got.notes[0]


def test_recorded_application() -> None:
    app = json.loads(shared_path("contracts/argocd/samples/roadie_applications-test-app.json").read_text())
    newest, *_, oldest = syncs_of(app, {}, URL)
    assert (oldest.id, oldest.service, oldest.status) == ("test-app:0", "test-app", "success")
    assert oldest.finished_at == datetime(2021, 3, 4, 17, 39, 7, tzinfo=UTC)
    assert oldest.commit_sha == "53e28ff20cc530b9ada2173fbbd64d48338583ba"
    assert newest.actor in ("iain", None)
