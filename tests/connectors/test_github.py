"""GitHub by its specification, its recordings and its habits."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from incident_pipeline.config import Connection
from incident_pipeline.connectors import signatures
from incident_pipeline.connectors.answers import Answer
from incident_pipeline.connectors.github import build, is_transient, wait
from incident_pipeline.connectors.github_rows import (
    change_from,
    changes_from_push,
    deployment_from,
    deployment_from_webhook,
)
from incident_pipeline.connectors.projects import Project
from incident_pipeline.errors import PermanentSourceError
from incident_pipeline.models import Envelope, EvidenceKind
from tests.connectors.contracts import Contract
from tests.connectors.questions import AROUND, Recorder, fetch, question, settings_for
from tests.shared_data import shared_path

PROJECTS = {"payments": ("shop/payments",), "cart": ("shop/cart",)}
TOKEN = Connection(token="ghp_0123456789")  # noqa: S106


def moment(minutes: float) -> str:
    return (AROUND + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def ask(recorder: Recorder, kind: EvidenceKind, name: str = "github", **about: Any) -> Envelope[Any]:
    source = build(settings_for(name, recorder.transport, connection=TOKEN))
    return fetch(source, question(kind, **{"projects": PROJECTS, **about}))


def by_path(answers: dict[str, Any]) -> Callable[[httpx.Request], Any]:
    def answer(request: httpx.Request) -> Any:
        return answers.get(request.url.path, httpx.Response(404, json={"message": "Not Found"}))

    return answer


def valid(recorder: Recorder) -> bool:
    contract = Contract("github/rest.trim.json")
    problems = [problem for request in recorder.requests for problem in contract.problems(request)]
    assert problems == []
    return True


def exchanges(name: str) -> list[dict[str, Any]]:
    found = json.loads(shared_path(f"contracts/github/recorded-pygithub-replay/{name}.json").read_text())
    return list(found["exchanges"])


def deployment(number: int, minutes: float, sha: str, **about: Any) -> dict[str, Any]:
    fields = {"id": number, "sha": sha * 40, "ref": "main", "environment": "production", "created_at": moment(minutes)}
    return {**fields, "creator": {"login": "dev"}, "payload": {}, **about}


def test_deployments_with_their_outcome_and_the_version_before() -> None:
    listed = [
        deployment(4, -5, "d", ref="v2.3.5"),
        deployment(3, -20, "c"),
        deployment(2, -30, "b", environment="staging"),
        deployment(1, -600, "a", ref="v2.3.4"),
    ]
    root = "/repos/shop/payments/deployments"
    recorder = Recorder(
        by_path(
            {
                root: listed,
                f"{root}/4/statuses": [
                    {"state": "inactive", "created_at": moment(-1)},
                    {"state": "success", "created_at": moment(-4), "log_url": "https://ci.example/4"},
                    {"state": "in_progress", "created_at": moment(-5)},
                ],
                f"{root}/3/statuses": [
                    {"state": "failure", "created_at": moment(-19), "log_url": "https://ci.example/3"}
                ],
                f"{root}/2/statuses": [],
            }
        )
    )
    answer = ask(recorder, EvidenceKind.DEPLOYMENTS)
    assert valid(recorder)
    newest, failed, staged = answer.rows
    assert (newest.id, newest.service, newest.environment) == ("4", "payments", "production")
    assert (newest.version, newest.previous_version, newest.status) == ("v2.3.5", "v2.3.4", "success")
    assert (newest.started_at, newest.finished_at) == (AROUND - timedelta(minutes=5), AROUND - timedelta(minutes=4))
    assert (newest.actor, newest.commit_sha) == ("dev", "d" * 40)
    assert (failed.status, failed.version, failed.url) == ("failed", "c" * 12, "https://ci.example/3")
    assert (staged.status, staged.previous_version) == ("unknown", None)
    assert recorder.requests[0].headers["x-github-api-version"] == "2022-11-28"


def test_reading_of_deployments_stops_at_the_windows_start() -> None:
    def answer(request: httpx.Request) -> Any:
        if "statuses" in request.url.path:
            return []
        page = int(request.url.params.get("page", 1))
        link = f'<https://api.github.com/repositories/1/deployments?page={page + 1}>; rel="next"'
        items = [deployment(page, -50 * page, "a")]
        return httpx.Response(200, json=items, headers={"Link": link})

    recorder = Recorder(answer)
    answer_ = ask(recorder, EvidenceKind.DEPLOYMENTS)
    assert [row.id for row in answer_.rows] == ["1", "2"]
    assert sum("statuses" not in str(request.url) for request in recorder.requests) == 3


def test_runs_of_the_workflows_that_deploy() -> None:
    def run(number: int, name: str, **about: Any) -> dict[str, Any]:
        fields = {"id": number, "name": name, "path": f".github/workflows/{name.lower()}.yml", "workflow_id": name}
        times = {"created_at": moment(number - 10), "run_started_at": moment(number - 10), "updated_at": moment(number)}
        return {**fields, **times, "head_sha": str(number) * 40, "conclusion": "success", "run_attempt": 2, **about}

    runs = [
        run(-1, "Deploy", conclusion=None),
        run(-2, "Deploy", conclusion="failure", head_branch="v1.2.3", triggering_actor={"login": "dev"}),
        run(-3, "Tests"),
        run(-4, "Deploy"),
    ]
    recorder = Recorder(lambda _: {"total_count": 4, "workflow_runs": runs})
    answer = ask(recorder, EvidenceKind.DEPLOYMENTS, "github-actions")
    assert valid(recorder)
    assert recorder.requests[0].url.params["created"] == "2026-11-23T12:35:00Z..2026-11-23T14:45:00Z"
    assert [(row.id, row.status) for row in answer.rows] == [
        ("-2:2", "failed"),
        ("-4:2", "success"),
        ("-1:2", "in_progress"),
    ]
    failed = answer.rows[0]
    assert (failed.version, failed.previous_version, failed.actor) == ("v1.2.3", "-4" * 6, "dev")
    assert failed.finished_at == AROUND - timedelta(minutes=2)


def test_a_workflow_can_be_named_and_tests_alone_are_no_deployments() -> None:
    runs = [
        {
            "id": 1,
            "name": "Pipeline",
            "path": ".github/workflows/ci.yml",
            "created_at": moment(-1),
            "head_sha": "a" * 40,
        }
    ]
    recorder = Recorder(lambda _: {"workflow_runs": runs})
    answer = ask(recorder, EvidenceKind.DEPLOYMENTS, "github-actions")
    assert answer.rows == ()
    assert "no workflow of shop/payments is named like a deployment" in answer.notes[0]
    named = ask(recorder, EvidenceKind.DEPLOYMENTS, "github-actions", projects={"payments": ("shop/payments#ci",)})
    assert [row.id for row in named.rows] == ["1:1"]


def test_commits_with_files_and_patches() -> None:
    sha = "a" * 40
    listed = [
        {"sha": sha, "commit": {}},
        {"sha": "b" * 40, "commit": {"committer": {"date": moment(-9)}, "message": "b"}},
    ]
    files = [
        {"filename": "config/new.yaml", "previous_filename": "old.yaml", "patch": "@@ -1 +1 @@\n-1\n+2"},
        {"filename": "x.png"},
    ]
    whole = {
        "sha": sha,
        "html_url": "https://github.com/shop/payments/commit/a",
        "author": {"login": "dev"},
        "commit": {"message": "Change", "committer": {"date": moment(-10)}},
        "parents": [{}, {}],
        "stats": {"additions": 1, "deletions": 1},
        "files": files,
    }
    root = "/repos/shop/payments/commits"
    recorder = Recorder(by_path({root: listed, f"{root}/{sha}": whole}))
    answer = ask(recorder, EvidenceKind.CODE_CHANGES, focus_areas=("config",))
    assert valid(recorder)
    second, first = answer.rows
    assert (first.sha, first.author, first.message, first.repository) == (sha, "dev", "Change", "shop/payments")
    assert (first.files, first.additions, first.focus_areas) == (("config/new.yaml", "x.png"), 1, ("config",))
    assert first.diff == "--- a/old.yaml\n+++ b/config/new.yaml\n@@ -1 +1 @@\n-1\n+2"
    assert first.attributes == {"merge": True}
    assert second.message == "b"
    assert answer.notes == ("1 commits of shop/payments are told without their files",)


def test_one_repository_that_is_gone_costs_itself_alone() -> None:
    recorder = Recorder(by_path({"/repos/shop/payments/commits": []}))
    answer = ask(recorder, EvidenceKind.CODE_CHANGES, services=())
    assert answer.partial
    assert "shop/cart: github answered 404 Not Found" in answer.notes[0]


def test_repositories_are_taken_from_urls_of_this_host_alone() -> None:
    places = (
        "https://github.com/shop/payments.git",
        "https://gitlab.example/x/y",
        "/srv/clone",
        "git@github.com:shop/lib.git",
    )
    recorder = Recorder(lambda _: [])
    ask(recorder, EvidenceKind.CODE_CHANGES, projects={"payments": places})
    asked = {request.url.path.rpartition("/")[0] for request in recorder.requests}
    assert asked == {"/repos/shop/payments", "/repos/shop/lib"}
    with pytest.raises(PermanentSourceError, match=r"context.code.repositories names no repository"):
        ask(recorder, EvidenceKind.CODE_CHANGES, projects={"payments": ("/srv/clone", "../../etc")})


@pytest.mark.parametrize(
    ("status", "headers", "body", "transient", "seconds"),
    [
        (429, {"retry-after": "7"}, "", True, 7),
        (403, {"retry-after": "30"}, "", True, 30),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1100"}, "", True, 100),
        (403, {"x-ratelimit-remaining": "5"}, '{"message": "You have exceeded a secondary rate limit"}', True, 60),
        (403, {"x-ratelimit-remaining": "5"}, '{"message": "Resource not accessible"}', False, 60),
        (401, {}, "", False, None),
        (502, {}, "", True, None),
    ],
)
def test_the_limits_dialect(
    status: int, headers: dict[str, str], body: str, transient: bool, seconds: float | None
) -> None:
    answer = Answer("github", "GET", "https://api.github.com", status, headers, body.encode())
    assert is_transient(answer) is transient
    assert wait(answer, 1000.0) == seconds


# --- recordings and webhooks --------------------------------------------------------------------


def test_recorded_deployments_and_statuses() -> None:
    (exchange,) = exchanges("Repository.testGetDeployments")
    listed = exchange["response"]["body"]
    (statuses,) = exchanges("DeploymentStatus.testGetStatuses")
    found = deployment_from(listed[0], statuses["response"]["body"], listed, "payments")
    assert found.id == "263877258"
    assert found.environment == "test"
    assert found.started_at == datetime(2020, 8, 26, 11, 44, 53, tzinfo=UTC)
    assert found.status is not None
    assert found.commit_sha == listed[0]["sha"]


def test_recorded_commit() -> None:
    body = exchanges("Commit.setUp")[-1]["response"]["body"]
    change = change_from(body, Project("payments", "shop/payments"))
    assert change.sha == "1292bf0e22c796e91cc3d6e24b544aece8c21f2a"
    assert change.committed_at is not None
    assert change.files
    assert change.diff is not None


def test_recorded_list_of_commits_is_read_through_the_source() -> None:
    (exchange,) = exchanges("Repository.testGetCommitsWithArguments")
    recorder = Recorder(by_path({"/repos/shop/payments/commits": exchange["response"]["body"]}))
    answer = ask(recorder, EvidenceKind.CODE_CHANGES)
    assert len(answer.rows) == len(exchange["response"]["body"])
    assert answer.rows[0].committed_at == datetime(2012, 5, 28, 17, 21, 42, tzinfo=UTC)


def test_recorded_webhooks() -> None:
    status = json.loads(shared_path("contracts/github/webhooks/deployment_status/payload.json").read_text())
    deployed = deployment_from_webhook(status)
    assert deployed is not None
    assert (deployed.id, deployed.status, deployed.environment) == ("145988746", "success", "production")
    run = json.loads(shared_path("contracts/github/webhooks/workflow_run/completed.payload.json").read_text())
    released = deployment_from_webhook(run, "payments")
    assert released is not None
    assert (released.id, released.service, released.status) == ("289782451:1", "payments", "success")
    push = json.loads(shared_path("contracts/github/webhooks/push/payload.json").read_text())
    assert changes_from_push(push) == []
    assert deployment_from_webhook(push) is None
    commit = {
        "id": "a",
        "timestamp": "2026-11-23T15:35:00+01:00",
        "added": ["x"],
        "modified": ["y", "x"],
        "author": {"name": "dev"},
    }
    (change,) = changes_from_push({"commits": [commit], "repository": {"full_name": "shop/payments"}})
    assert (change.files, change.committed_at, change.author) == (("x", "y"), AROUND, "dev")


def test_the_signature_of_the_documentation() -> None:
    vector = json.loads(shared_path("contracts/github/signature_vector.json").read_text())
    headers = {"x-hub-signature-256": vector["x-hub-signature-256"]}
    secrets = [SecretStr("old"), SecretStr(vector["secret"])]
    body = vector["body"].encode()
    assert signatures.github(headers, body, secrets)
    assert not signatures.github(headers, body + b" ", secrets)
    assert not signatures.github(headers, body, [SecretStr("")])
    assert not signatures.github({}, body, secrets)
    assert not signatures.github({"x-hub-signature-256": "sha256=ünïcode"}, body, secrets)


def test_what_a_deployment_brought_is_told_however_old_it_is() -> None:
    def deployed(number: int, minutes: float, sha: str, environment: str = "production") -> dict[str, Any]:
        return {"id": number, "sha": sha * 40, "environment": environment, "created_at": moment(minutes)}

    old = {"sha": "o" * 40, "commit": {"message": "Halve the pool", "committer": {"date": moment(-9000)}}}
    listed = [deployed(3, -5, "c"), deployed(2, -7, "b", "staging"), deployed(1, -9999, "a")]
    pulls = [{"number": 12, "title": "Smaller pool", "html_url": "https://github.com/shop/payments/pull/12"}]
    new = {"sha": "n" * 40, "commit": {"message": "x", "committer": {"date": moment(-6)}}}
    recorder = Recorder(
        by_path(
            {
                "/repos/shop/payments/deployments": listed,
                f"/repos/shop/payments/compare/{'a' * 40}...{'c' * 40}": {
                    "commits": [old, new],
                    "files": [{"filename": "pool.yaml"}],
                },
                "/repos/shop/payments/commits": [new],
                f"/repos/shop/payments/commits/{'n' * 40}": {**new, "files": [{"filename": "x.py"}]},
                f"/repos/shop/payments/commits/{'n' * 40}/pulls": pulls,
            }
        )
    )
    got = ask(recorder, EvidenceKind.CODE_CHANGES)
    contract = Contract("github/rest.trim.json")
    assert [p for request in recorder.requests for p in contract.problems(request)] == []
    first, second = got.rows
    assert (first.files, first.attributes["pull_request"]["number"]) == (("x.py",), 12)
    assert (second.message, second.attributes["released"]) == ("Halve the pool", True)
