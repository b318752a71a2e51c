"""GitLab by its recordings and its habits."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from incident_pipeline.config import Connection
from incident_pipeline.connectors.gitlab import build
from incident_pipeline.connectors.gitlab_rows import changes_from_push, deployment_from, deployment_from_webhook
from incident_pipeline.models import Envelope, EvidenceKind
from tests.connectors.questions import AROUND, Recorder, fetch, question, settings_for
from tests.shared_data import shared_path

PROJECTS = {"payments": ("team/shop/payments", "https://github.com/other/host")}


def moment(minutes: float) -> str:
    return (AROUND + timedelta(minutes=minutes)).isoformat()


def ask(recorder: Recorder, kind: EvidenceKind, **about: Any) -> Envelope[Any]:
    connection = Connection(url="https://gitlab.example", token="glpat-0123456789")  # noqa: S106
    source = build(settings_for("gitlab", recorder.transport, connection=connection))
    return fetch(source, question(kind, **{"projects": PROJECTS, **about}))


def deployment(number: int, minutes: float, **about: Any) -> dict[str, Any]:
    fields = {"id": number, "sha": str(number) * 40, "ref": "main", "status": "success", "created_at": moment(minutes)}
    times = {"started_at": moment(minutes), "finished_at": moment(minutes + 1), "status": "failed", "tag": False}
    return {**fields, "environment": {"name": "production"}, "user": {"username": "dev"}, "deployable": times, **about}


def test_deployments_of_the_window_over_pages() -> None:
    pages = {
        "1": [deployment(4, -5), deployment(3, -9, environment={"name": "staging"})],
        "2": [deployment(2, -30), deployment(1, -60, status="failed")],
    }

    def answer(request: httpx.Request) -> httpx.Response:
        page = request.url.params.get("page", "1")
        link = {"Link": '<https://gitlab.example/api/v4/next?page=2>; rel="next"'} if page == "1" else {}
        return httpx.Response(200, json=pages[page], headers=link)

    recorder = Recorder(answer)
    got = ask(recorder, EvidenceKind.DEPLOYMENTS)
    first = recorder.requests[0]
    assert first.url.raw_path.startswith(b"/api/v4/projects/team%2Fshop%2Fpayments/deployments?")
    assert first.url.params["order_by"] == "updated_at"
    assert first.headers["private-token"] == "glpat-0123456789"
    newest = got.rows[0]
    assert (newest.id, newest.service, newest.environment, newest.status) == ("4", "payments", "production", "success")
    assert (newest.version, newest.previous_version) == ("4" * 12, "2" * 12)
    assert newest.at == AROUND - timedelta(minutes=4)
    assert [row.status for row in got.rows] == ["success", "success", "success", "failed"]


def test_commits_with_their_diffs() -> None:
    commit = {
        "id": "a" * 40,
        "message": "Raise the pool\n",
        "author_name": "dev",
        "committed_date": moment(-10),
        "stats": {"additions": 1, "deletions": 2},
        "parent_ids": ["b"],
        "web_url": "https://gitlab.example/c/a",
    }
    diff = [{"old_path": "config/pool.yaml", "new_path": "config/pool.yaml", "diff": "@@ -1 +1 @@\n-1\n+2\n"}]
    recorder = Recorder(
        lambda request: diff if request.url.path.endswith("/diff") else [commit, {**commit, "id": None}]
    )
    got = ask(recorder, EvidenceKind.CODE_CHANGES, focus_areas=("config",))
    change = got.rows[0]
    assert (change.message, change.author, change.repository) == ("Raise the pool", "dev", "team/shop/payments")
    assert (change.files, change.deletions, change.focus_areas) == (("config/pool.yaml",), 2, ("config",))
    assert change.diff == "--- a/config/pool.yaml\n+++ b/config/pool.yaml\n@@ -1 +1 @@\n-1\n+2\n"


def test_recorded_deployments() -> None:
    rows = json.loads(shared_path("contracts/gitlab/recorded-devlake/deployments.json").read_text())["rows"]
    listed = [row["data"] if isinstance(row["data"], dict) else json.loads(row["data"]) for row in rows]
    found = [deployment_from(one, listed, "vdev") for one in listed]
    first = found[0]
    assert (first.id, first.environment, first.actor) == ("13426753", "staging", "hackwaly")
    assert first.commit_sha == "add237f6852e6108ee8e0246780a54ce909c6087"
    assert first.started_at == datetime(2019, 3, 13, 14, 17, 33, 559000, tzinfo=UTC)
    # words that are not known stay as they are
    assert {"success", "failed", "undeployed"} <= {row.status for row in found}


def test_example_webhooks() -> None:
    body = json.loads(shared_path("contracts/gitlab/webhooks/deployment.json").read_text())
    deployed = deployment_from_webhook(body, "payments")
    assert deployed is not None
    assert (deployed.id, deployed.status, deployed.environment) == ("15", "success", "staging")
    assert deployed.finished_at == datetime(2021, 4, 28, 19, 50, tzinfo=UTC)
    push = json.loads(shared_path("contracts/gitlab/webhooks/push.json").read_text())
    assert deployment_from_webhook(push) is None
    changes = changes_from_push(push)
    assert len(changes) == len(push["commits"])
    assert all(change.committed_at and change.files for change in changes)


def test_pipelines_that_deploy_without_an_environment() -> None:
    job = {"stage": "deploy", "name": "prod", "status": "failed", "started_at": moment(-8), "finished_at": moment(-6)}
    answers = {
        "deployments": [],
        "pipelines": [{"id": 5, "ref": "v1.2.0", "sha": "f" * 40, "status": "failed"}, {"id": 6, "sha": None}, None],
        "pipelines/5/jobs": [{"stage": "test", "name": "unit", "status": "success"}, job],
        "pipelines/6/jobs": [{"stage": "test", "name": "lint", "status": "success"}],
    }
    recorder = Recorder(lambda request: answers[request.url.path.partition("payments/")[2]])
    (row,) = ask(recorder, EvidenceKind.DEPLOYMENTS).rows
    assert (row.id, row.status, row.version, row.service) == ("pipeline:5", "failed", "v1.2.0", "payments")
    assert row.finished_at == AROUND - timedelta(minutes=6)


def test_what_a_deployment_brought_is_told_however_old_it_is() -> None:
    old = {"id": "o" * 40, "message": "Halve the pool", "committed_date": moment(-9000)}
    answers = {
        "deployments": [deployment(4, -5), deployment(1, -9999)],
        "repository/commits": [],
        "repository/compare": {"commits": [old], "diffs": [{"new_path": "pool.yaml", "old_path": "a", "diff": "@@"}]},
    }
    recorder = Recorder(lambda request: answers[request.url.path.partition("payments/")[2]])
    (row,) = ask(recorder, EvidenceKind.CODE_CHANGES).rows
    assert (row.files, row.attributes["released"]) == (("pool.yaml",), True)
    compared = next(r for r in recorder.requests if r.url.path.endswith("compare"))
    assert (compared.url.params["from"], compared.url.params["to"]) == ("1" * 40, "4" * 40)
