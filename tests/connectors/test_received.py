"""Webhooks of changes, through the receiver: signed, kept, found again as evidence of an incident."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from incident_pipeline.application import Application
from incident_pipeline.config import Scenario
from incident_pipeline.connectors.base import Received
from incident_pipeline.connectors.gitlab_rows import deployment_from_webhook
from incident_pipeline.console.receiver import create_receiver
from incident_pipeline.evidence.gather import gather_now
from incident_pipeline.evidence.received import with_previous
from incident_pipeline.models import CodeChange, Deployment, EvidenceKind
from tests.connectors.questions import AROUND, incident
from tests.shared_data import shared_path

SECRET = "s3cr3t-0123"  # noqa: S105
BOTH = [EvidenceKind.DEPLOYMENTS, EvidenceKind.CODE_CHANGES]
REPOSITORY = {"full_name": "shop/payments", "name": "payments", "default_branch": "main"}


def moment(minutes: float) -> str:
    return (AROUND + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def application(tmp_path: Path) -> Iterator[Application]:
    settings = Scenario.model_validate(
        {
            "receiver": {"tokens": {"github": SECRET, "gitlab": SECRET}},
            "context": {"code": {"repositories": {"payments": ["https://github.com/shop/payments"]}}},
        }
    )
    made = Application(settings, tmp_path)
    yield made
    made.close()


def post(application: Application, source: str, body: Any, headers: dict[str, str] | None = None) -> httpx.Response:
    app = create_receiver(application.inbox, application.scenario, (), lambda: None, lambda: AROUND)
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    signed = hmac.new(SECRET.encode(), content, hashlib.sha256).hexdigest()
    proof = {"github": {"X-Hub-Signature-256": f"sha256={signed}"}, "gitlab": {"X-Gitlab-Token": SECRET}}[source]

    async def run() -> httpx.Response:
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app, client=("203.0.113.9", 50_000))
            async with httpx.AsyncClient(transport=transport, base_url="https://receiver.example") as sender:
                return await sender.post(
                    f"/webhooks/{source}", content=content, headers=proof if headers is None else headers
                )

    return asyncio.run(run())


def deployment(state: str | None, minutes: float, number: int = 7, sha: str = "b") -> dict[str, Any]:
    about = {"id": number, "sha": sha * 40, "ref": "main", "environment": "production", "created_at": moment(-9)}
    status = {"deployment_status": {"state": state, "created_at": moment(minutes)}} if state else {}
    return {"deployment": {**about, "creator": {"login": "dev"}}, "repository": REPOSITORY, **status}


def push(branch: str = "main") -> dict[str, Any]:
    commit = {"id": "a" * 40, "message": "Halve the pool", "timestamp": moment(-20), "modified": ["config/pool.yaml"]}
    return {"ref": f"refs/heads/{branch}", "commits": [commit], "repository": REPOSITORY}


def gathered(application: Application, as_of: datetime = AROUND) -> dict[EvidenceKind, Any]:
    kinds = [kind for kind, asked in application.sources().items() if asked and kind in BOTH]
    return gather_now(kinds, application.sources(), incident(), application.scenario, as_of)


def test_what_github_sends_is_evidence_without_any_key(application: Application) -> None:
    application.inbox.close()
    assert EvidenceKind.DEPLOYMENTS in application.sources()
    assert not any(source.name == "webhooks" for asked in application.sources().values() for source in asked)
    for body in (deployment(None, 0), deployment("success", -5), deployment("in_progress", -8), push(), push("topic")):
        assert post(application, "github", body).status_code == 202
    found = gathered(application)
    (released,) = found[EvidenceKind.DEPLOYMENTS].rows
    assert (released.id, released.service, released.status) == ("7", "payments", "success")
    assert (released.version, released.actor, released.environment) == ("b" * 12, "dev", "production")
    assert released.finished_at == AROUND - timedelta(minutes=5)
    (change,) = found[EvidenceKind.CODE_CHANGES].rows
    assert (change.service, change.files, change.message) == ("payments", ("config/pool.yaml",), "Halve the pool")


def test_an_inbox_elsewhere_is_where_evidence_and_limits_are_looked_up(
    application: Application, tmp_path: Path
) -> None:
    url = SecretStr(f"sqlite:///{tmp_path / 'elsewhere.sqlite'}")
    shared = application.scenario.model_copy(update={"inbox_url": url})
    receiving, running = (Application(shared, tmp_path / name) for name in ("one", "two"))
    assert post(receiving, "github", deployment("success", -5)).status_code == 202
    receiving.rates.pause("github", 3600)
    assert any(source.name == "webhooks" for source in running.sources()[EvidenceKind.DEPLOYMENTS])
    assert running.rates.paused("github") > 0
    for one in (receiving, running):
        one.close()


def test_only_who_knows_the_secret_is_let_in(application: Application) -> None:
    for headers in ({}, {"X-Hub-Signature-256": "sha256=00"}, {"X-Gitlab-Token": "no"}):
        for source in ("github", "gitlab"):
            assert post(application, source, push(), headers).status_code == 401
    assert application.inbox.has_changes() == frozenset()


@pytest.mark.parametrize("source", ["github", "gitlab"])
def test_every_recorded_webhook_is_taken(application: Application, source: str) -> None:
    files = sorted(shared_path(f"contracts/{source}/webhooks").rglob("*.json"))
    assert files
    for file in files:
        answer = post(application, source, file.read_bytes())
        assert answer.status_code == 202, (file, answer.text)
    assert application.inbox.has_changes()


@pytest.mark.parametrize("body", [[], 3, None, {"commits": [{"id": "a"}], "ref": "refs/heads/main"}])
def test_what_cannot_be_read_is_told(application: Application, body: Any) -> None:
    assert post(application, "github", body).status_code == 400


def test_a_ping_holds_nothing(application: Application) -> None:
    assert post(application, "github", {"zen": "Design for failure.", "hook": {}}).json() == {"accepted": 0}
    assert post(application, "gitlab", {"object_kind": "note"}).json() == {"accepted": 0}


def test_runs_count_where_their_workflow_deploys(application: Application) -> None:
    run = {"id": 9, "name": "CI", "head_sha": "c" * 40, "created_at": moment(-7), "conclusion": "success"}
    assert post(application, "github", {"workflow_run": run, "repository": REPOSITORY}).json() == {"accepted": 0}
    run["name"] = "Deploy to production"
    assert post(application, "github", {"workflow_run": run, "repository": REPOSITORY}).json() == {"accepted": 1}


def test_a_pipeline_of_gitlab_counts_where_one_of_its_jobs_deploys(application: Application) -> None:
    attributes = {"id": 31, "ref": "main", "sha": "d" * 40, "created_at": "2026-11-23 14:30:00 UTC"}
    jobs = [{"stage": "test", "name": "unit", "status": "success", "created_at": "2026-11-23 14:30:10 UTC"}]
    body = {"object_kind": "pipeline", "object_attributes": attributes, "project": {"name": "cart"}, "builds": jobs}
    assert deployment_from_webhook(body) is None
    jobs.append({**jobs[0], "stage": "deploy", "name": "prod", "finished_at": "2026-11-23 14:33:00 UTC"})
    assert post(application, "gitlab", body).json() == {"accepted": 1}
    (row,) = gathered(application)[EvidenceKind.DEPLOYMENTS].rows
    assert (row.id, row.service, row.status, row.version) == ("pipeline:31", "cart", "success", "d" * 12)
    assert row.finished_at == AROUND - timedelta(minutes=2)


def test_what_a_system_tells_when_asked_is_not_told_twice(application: Application) -> None:
    class Asked:
        name, kinds = "github", frozenset(BOTH)

        async def fetch(self, question: Any) -> Any:
            from incident_pipeline.evidence.envelopes import answered

            return answered(question.kind, "github", [Deployment(id="7", source="github", started_at=AROUND)])

        async def close(self) -> None: ...

    for number in (7, 8):
        post(application, "github", deployment("success", -5, number))
    (received,) = application.sources()[EvidenceKind.DEPLOYMENTS]
    sources = {EvidenceKind.DEPLOYMENTS: [Asked(), received]}
    found = gather_now(sources, sources, incident(), application.scenario, AROUND)[EvidenceKind.DEPLOYMENTS]
    assert sorted(row.id for row in found.rows) == ["7", "8"]
    assert [len(envelope.rows) for envelope in found.envelopes] == [1, 1]


def test_the_version_before_is_that_which_stood_there() -> None:
    def row(number: int, version: str, status: str = "success", environment: str = "production") -> Deployment:
        return Deployment(id=str(number), service="a", version=version, status=status, environment=environment)

    rows = with_previous([row(1, "v1"), row(2, "v2", "failed"), row(3, "v9", environment="staging"), row(4, "v3")])
    assert [one.previous_version for one in rows] == [None, "v1", None, "v1"]


def test_secrets_are_gone_and_old_rows_are_dropped(application: Application) -> None:
    inbox = application.inbox
    old = CodeChange(sha="1", message="old", committed_at=AROUND - timedelta(days=200))
    secret = CodeChange(sha="2", message="password=hunter2-abcdef", committed_at=AROUND)
    inbox.accept_changes(Received(changes=(old,)), AROUND - timedelta(days=200))
    inbox.accept_changes(Received(changes=(secret, secret)), AROUND)
    (row,) = inbox.changes_between(EvidenceKind.CODE_CHANGES, AROUND - timedelta(days=999), AROUND + timedelta(days=1))
    assert row.sha == "2"
    assert "hunter2" not in row.message
