"""Jenkins by its recordings and its habits."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from incident_pipeline.config import Connection
from incident_pipeline.connectors.jenkins import build, deployment_from, job_path
from incident_pipeline.connectors.projects import Project
from incident_pipeline.errors import ConfigurationError, PermanentSourceError
from incident_pipeline.models import Envelope, EvidenceKind
from tests.connectors.questions import AROUND, Recorder, fetch, question, settings_for
from tests.shared_data import shared_path

LOCAL = Connection(url="https://jenkins.example", username="oncall", token="11aa22bb")  # noqa: S106
PROJECTS = {"payments": ("shop/deploy payments",)}


def a_build(number: int, minutes: float, **about: Any) -> dict[str, Any]:
    start = int((AROUND + timedelta(minutes=minutes)).timestamp() * 1000)
    fields = {
        "number": number,
        "timestamp": start,
        "duration": 60_000,
        "result": "SUCCESS",
        "displayName": f"#{number}",
    }
    return {**fields, "url": f"https://jenkins.example/job/x/{number}/", "actions": [{}], **about}


def revision(sha: str, repository: str) -> dict[str, Any]:
    found = {"SHA1": sha * 40, "branch": [{"name": "origin/main"}]}
    return {"lastBuiltRevision": found, "remoteUrls": [f"https://git.example/shop/{repository}.git"]}


def ask(recorder: Recorder, **about: Any) -> Envelope[Any]:
    source = build(settings_for("jenkins", recorder.transport, connection=LOCAL))
    return fetch(source, question(EvidenceKind.DEPLOYMENTS, **{"projects": PROJECTS, **about}))


def test_builds_of_the_window() -> None:
    change = {"commitId": "c" * 40, "msg": "Validate", "author": {"fullName": "dev"}}
    builds = [
        a_build(4, -1, result=None, building=True),
        a_build(
            3,
            -20,
            result="FAILURE",
            actions=[
                {},
                {"causes": [{"shortDescription": "Started by user dev", "userName": "dev"}]},
                revision("b", "pipeline-library"),
                revision("c", "payments"),
                {"parameters": [{"name": "VERSION", "value": "v2.3.5"}, {"name": "ENV", "value": "prod"}]},
            ],
            changeSets=[{"items": [change]}],
        ),
        a_build(2, -400, displayName="v2.3.4"),
        a_build(1, -500),
    ]
    recorder = Recorder(lambda _: {"builds": builds})
    got = ask(recorder)
    request = recorder.requests[0]
    assert request.url.raw_path.startswith(b"/job/shop/job/deploy%20payments/api/json?tree=builds")
    assert request.headers["authorization"] == "Basic " + base64.b64encode(b"oncall:11aa22bb").decode()
    running, failed = got.rows
    assert (running.status, running.finished_at, running.previous_version) == ("in_progress", None, "v2.3.4")
    assert (failed.id, failed.service, failed.environment) == ("shop/deploy payments:3", "payments", "prod")
    assert (failed.version, failed.previous_version, failed.status) == ("v2.3.5", "v2.3.4", "failed")
    assert (failed.commit_sha, failed.actor) == ("c" * 40, "dev")
    assert failed.finished_at == AROUND - timedelta(minutes=19)
    assert failed.attributes == {"branch": "origin/main", "changes": [f"{'c' * 12} Validate"]}


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("deploy", "/job/deploy"),
        ("a/b c", "/job/a/job/b%20c"),
        ("/job/a/job/b/", "/job/a/job/b"),
        ("a/feature%2Fx", "/job/a/job/feature%2Fx"),
        ("https://jenkins.example/job/a/job/b/", "/job/a/job/b"),
    ],
)
def test_folders_are_jobs_of_jobs(name: str, path: str) -> None:
    assert job_path(name) == path


def test_recorded_builds() -> None:
    rows = json.loads(shared_path("contracts/jenkins/recorded-devlake/builds.json").read_text())["rows"]
    builds = [row["data"] if isinstance(row["data"], dict) else json.loads(row["data"]) for row in rows]
    found = [deployment_from(one, builds, Project(None, "devlake")) for one in builds]
    assert len(found) == len(builds)
    first = found[0]
    assert (first.id, first.status, first.actor) == ("devlake:31", "success", "abc")
    assert first.commit_sha == "0f886c74949c3ee7e489188911c7dc0c1d547418"
    assert first.started_at == datetime(2022, 4, 15, 12, 0, 49, 161000, tzinfo=UTC)
    assert {row.status for row in found} <= {
        "success",
        "failed",
        "cancelled",
        "unstable",
        "skipped",
        "in_progress",
        "not_build",
    }


def test_without_jobs_or_a_user_it_is_told() -> None:
    with pytest.raises(PermanentSourceError, match=r"context.deployments.projects names no job"):
        ask(Recorder(lambda _: {}), projects={})
    alone = Connection(url="https://jenkins.example", token="11aa22bb")  # noqa: S106
    with pytest.raises(ConfigurationError, match=r"connections.jenkins.username is not set"):
        build(settings_for("jenkins", connection=alone))


def test_a_build_that_failed_is_told_with_its_stages() -> None:
    stages = [{"name": "Build", "status": "SUCCESS"}, {"name": "Deploy", "status": "FAILED"}, {"name": None}, None]
    builds = [a_build(2, -5, result="FAILURE"), a_build(1, -9)]

    def answer(request: httpx.Request) -> Any:
        return {"stages": stages} if request.url.path.endswith("/2/wfapi/describe") else {"builds": builds}

    recorder = Recorder(answer)
    failed, good = ask(recorder).rows
    assert failed.attributes["stages"] == {"Build": "SUCCESS", "Deploy": "FAILED"}
    assert "stages" not in good.attributes
    assert len(recorder.requests) == 2
