"""What the executors that speak HTTP send, and what they make of the answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from incident_pipeline.config import Scenario
from incident_pipeline.connectors.addresses import checked_address
from incident_pipeline.errors import ConfigurationError, PermanentSourceError
from incident_pipeline.models import ActionCall
from incident_pipeline.remediation.executors.base import Effect, Executor
from incident_pipeline.remediation.executors.registry import EXECUTORS, executor_named

OLD = datetime.now(UTC) - timedelta(minutes=5)
SECRET = "not-a-real-credential-1"  # noqa: S105
MARK = "INC-1.rollback-1.7"


class Server:
    """Answers by method and path; remembers what came."""

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, Any] = {key.replace("__", " "): value for key, value in answers.items()}
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        found = self.answers.get(f"{request.method} {request.url.path}")
        if found is None:
            return httpx.Response(404, json={"message": f"no {request.method} {request.url.path}"})
        if isinstance(found, Exception):
            raise found
        return found if isinstance(found, httpx.Response) else httpx.Response(200, json=found)

    @property
    def written(self) -> list[httpx.Request]:
        return [request for request in self.requests if request.method != "GET"]


def made(name: str, server: Callable[[httpx.Request], httpx.Response], **remediation: Any) -> Executor:
    urls = ("argocd", "github", "gitlab", "jenkins", "unleash", "launchdarkly", "pager")
    connections: dict[str, Any] = {each: {"url": f"https://{each}.example", "token": SECRET} for each in urls}
    connections["jenkins"]["username"] = "robot"
    scenario = Scenario.model_validate({"connections": connections, "remediation": remediation})
    return executor_named(name, scenario, httpx.MockTransport(server))


def call(name: str, operation: str = "rollback", **parameters: str) -> ActionCall:
    return ActionCall(
        executor=name, operation=operation, parameters={k.replace("__", "."): v for k, v in parameters.items()}
    )


def test_argocd_goes_back_to_the_sync_of_the_version_and_back_again() -> None:
    history = [{"id": 4, "revision": "a" * 40}, {"id": 5, "revision": "b" * 40}]
    application = {"spec": {"syncPolicy": {}}, "status": {"history": history}}
    server = Server()
    server.answers = {
        "GET /api/v1/applications/pay": application,
        "POST /api/v1/applications/pay/rollback": {"ok": True},
    }
    argocd, what = made("argocd", server), call("argocd", application="pay", version="a" * 12)
    planned = argocd.plan(what)
    assert "id=4" in planned.steps[0]
    dry = argocd.dry_run(what, planned)
    assert dry is not None
    assert dry.succeeded
    assert argocd.verify(what, planned, MARK, OLD).effect is Effect.NOT_HAPPENED
    assert argocd.execute(what, planned, MARK).exit_status == 200
    bodies = [json.loads(request.content) for request in server.written]
    assert [(body["id"], body["dryRun"]) for body in bodies] == [(4, True), (4, False)]
    assert server.requests[0].headers["authorization"] == f"Bearer {SECRET}"
    history.append({"id": 6, "revision": "a" * 40})
    assert argocd.verify(what, planned, MARK, OLD).effect is Effect.HAPPENED
    undo = argocd.undo(what, planned)
    assert undo is not None
    assert undo.parameters == {"application": "pay", "history_id": "5"}


def test_argocd_does_not_fight_automated_sync_nor_guess_a_version() -> None:
    application = {"spec": {"syncPolicy": {"automated": {}}}, "status": {"history": [{"id": 1, "revision": "a" * 40}]}}
    server = Server()
    server.answers = {"GET /api/v1/applications/pay": application}
    with pytest.raises(PermanentSourceError, match="automated sync of pay is on"):
        made("argocd", server).plan(call("argocd", application="pay", version="a" * 40))
    application["spec"] = {}
    with pytest.raises(PermanentSourceError, match="no earlier sync is of v9"):
        made("argocd", server).plan(call("argocd", application="pay", version="v9"))


def test_github_starts_a_workflow_and_finds_its_run_by_the_name_of_the_execution() -> None:
    path = "/repos/org/pay/actions/workflows/rollback.yml"
    runs: list[dict[str, Any]] = [{"id": 7, "display_title": "older"}]
    server = Server()
    server.answers = {
        f"GET {path}": {"state": "active"},
        f"GET {path}/runs": {"workflow_runs": runs},
        f"POST {path}/dispatches": httpx.Response(204),
    }
    github = made("github-actions", server)
    what = call(
        "github-actions", repository="org/pay", workflow="rollback.yml", inputs__to="v1", inputs__mark="{{ execution }}"
    )
    planned = github.plan(what)
    assert github.dry_run(what, planned) is None
    assert github.execute(what, planned, MARK).succeeded
    assert json.loads(server.written[0].content) == {"ref": "main", "inputs": {"to": "v1", "mark": MARK}}
    assert github.verify(what, planned, MARK, datetime.now(UTC)).effect is Effect.CANNOT_TELL
    assert github.verify(what, planned, MARK, OLD).effect is Effect.NOT_HAPPENED
    runs.insert(0, {"id": 8, "display_title": "somebody's"})
    assert github.verify(what, planned, MARK, OLD).effect is Effect.CANNOT_TELL
    runs.insert(0, {"id": 9, "display_title": f"rollback {MARK}", "status": "queued", "html_url": "https://x"})
    assert github.verify(what, planned, MARK, OLD).effect is Effect.HAPPENED


def test_gitlab_starts_a_pipeline_and_finds_it_by_its_variable() -> None:
    base = "/api/v4/projects/org/pay"
    pipelines: list[dict[str, Any]] = [{"id": 3}]
    server = Server()
    server.answers = {
        f"GET {base}/repository/branches/main": {"name": "main"},
        f"GET {base}/pipelines": pipelines,
        f"GET {base}/pipelines/4/variables": [{"key": "INCIDENT_EXECUTION", "value": MARK}],
        f"POST {base}/pipeline": {"id": 4},
    }
    gitlab, what = made("gitlab", server), call("gitlab", project="org/pay", variables__VERSION="v1")
    planned = gitlab.plan(what)
    assert gitlab.execute(what, planned, MARK).succeeded
    (written,) = server.written
    assert written.headers["private-token"] == SECRET
    assert b"org%2Fpay" in written.url.raw_path
    assert {"key": "VERSION", "value": "v1"} in json.loads(written.content)["variables"]
    assert gitlab.verify(what, planned, MARK, OLD).effect is Effect.NOT_HAPPENED
    pipelines.insert(0, {"id": 4})
    assert gitlab.verify(what, planned, MARK, OLD).effect is Effect.HAPPENED


def test_jenkins_builds_a_job_and_finds_it_in_the_queue_or_among_the_builds() -> None:
    marked = [{"parameters": [{"name": "INCIDENT_EXECUTION", "value": MARK}]}]
    job: dict[str, Any] = {"buildable": True, "builds": [{"number": 5}]}
    queue: dict[str, Any] = {"items": []}
    server = Server()
    server.answers = {
        "GET /job/ops/job/rollback/api/json": job,
        "GET /queue/api/json": queue,
        "POST /job/ops/job/rollback/buildWithParameters": httpx.Response(201),
    }
    jenkins, what = made("jenkins", server), call("jenkins", job="ops/rollback", parameters__VERSION="v1")
    planned = jenkins.plan(what)
    assert jenkins.execute(what, planned, MARK).succeeded
    assert parse_qs(server.written[0].content.decode()) == {"VERSION": ["v1"], "INCIDENT_EXECUTION": [MARK]}
    assert server.written[0].headers["authorization"].startswith("Basic ")
    assert jenkins.verify(what, planned, MARK, OLD).effect is Effect.NOT_HAPPENED
    queue["items"] = [{"actions": marked}]
    assert jenkins.verify(what, planned, MARK, OLD).effect is Effect.HAPPENED
    queue["items"], job["builds"] = [], [{"number": 6}]
    assert jenkins.verify(what, planned, MARK, OLD).effect is Effect.CANNOT_TELL
    job["builds"] = [{"number": 6, "actions": marked}]
    assert jenkins.verify(what, planned, MARK, OLD).effect is Effect.HAPPENED


@pytest.mark.parametrize("provider", ["launchdarkly", "unleash"])
def test_a_flag_is_turned_and_turned_back(provider: str) -> None:
    state = {"on": True}

    def serve(request: httpx.Request) -> httpx.Response:
        if request.method != "GET":
            said = request.content.decode() + request.url.path
            state["on"] = "turnFlagOn" in said or said.endswith("/on")
        if provider == "unleash":
            return httpx.Response(200, json={"environments": [{"name": "production", "enabled": state["on"]}]})
        return httpx.Response(200, json={"environments": {"production": {"on": state["on"]}}})

    flags = made("flags", serve)
    what = call("flags", "disable_flag", provider=provider, flag="new", flag_environment="production", state="off")
    planned = flags.plan(what)
    assert flags.verify(what, planned, MARK, OLD).effect is Effect.NOT_HAPPENED
    assert flags.execute(what, planned, MARK).succeeded
    assert flags.verify(what, planned, MARK, OLD).effect is Effect.HAPPENED
    undo = flags.undo(what, planned)
    assert undo is not None
    flags.execute(undo, flags.plan(undo), MARK)
    assert state["on"]


def test_no_answer_is_uncertain_and_a_refusal_is_not() -> None:
    server = Server()
    server.answers = {"POST /x": httpx.ReadTimeout("slow"), "POST /y": httpx.Response(403, json={"message": SECRET})}
    http = made("http", server, execution={"hosts": ["127.0.0.1"]})
    for path, uncertain in (("/x", True), ("/y", False)):
        what = call("http", url=f"http://127.0.0.1{path}", body="{}")
        outcome = http.execute(what, http.plan(what), MARK)
        assert (outcome.succeeded, outcome.uncertain) == (False, uncertain)
    assert [request.headers["idempotency-key"] for request in server.written] == [MARK, MARK]


def test_nothing_that_writes_is_sent_twice() -> None:
    server = Server()
    server.answers = {"POST /x": httpx.Response(503)}
    http = made("http", server, execution={"hosts": ["127.0.0.1"]})
    what = call("http", url="http://127.0.0.1/x")
    assert http.execute(what, http.plan(what), MARK).uncertain
    assert len(server.written) == 1


PRIVATE = (
    "http://127.0.0.1/x", "http://localhost/x", "http://[::1]/x", "http://169.254.169.254/latest/meta-data",
    "http://10.1.2.3/x", "http://192.168.0.1/x", "http://172.16.0.1/x", "http://0.0.0.0/x", "http://2130706433/x",
    "http://0x7f000001/x", "http://127.1/x", "http://[::ffff:127.0.0.1]/x", "http://[fe80::1]/x", "http://[fd00::1]/x",
    "http://[64:ff9b::7f00:1]/x", "http://100.64.0.1/x", "http://224.0.0.1/x", "http://[::]/x",
)  # fmt: skip


@pytest.mark.parametrize("url", PRIVATE)
def test_addresses_that_are_not_public_are_refused(url: str) -> None:
    server = Server()
    with pytest.raises(PermanentSourceError, match=r"not a public address|not known"):
        made("http", server).plan(call("http", url=url))
    assert server.requests == []


@pytest.mark.parametrize("url", ["ftp://x.example", "file:///etc/passwd", "http://user@93.184.216.34/", "", "http://"])
def test_what_is_no_plain_web_address_is_refused(url: str) -> None:
    with pytest.raises(PermanentSourceError, match="not an http or https URL"):
        made("http", Server()).plan(call("http", url=url))


def test_the_address_that_was_checked_is_the_one_that_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that means something else a moment later finds nobody who looks again."""
    answers = iter(["93.184.216.34", "93.184.216.34", "93.184.216.34", "127.0.0.1"])
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [(2, 1, 6, "", (next(answers), 0))])
    server = Server()
    server.answers = {"POST /x": {}}
    http, what = made("http", server), call("http", url="http://rebinding.example/x")
    http.execute(what, http.plan(what), MARK)
    (request,) = server.written
    assert (request.url.host, request.headers["host"]) == ("93.184.216.34", "rebinding.example")
    with pytest.raises(PermanentSourceError, match=r"127\.0\.0\.1"):
        http.plan(what)


def test_redirects_to_another_host_are_not_followed() -> None:
    server = Server()
    server.answers = {"POST /x": httpx.Response(302, headers={"location": "http://169.254.169.254/latest"})}
    http = made("http", server, execution={"hosts": ["127.0.0.1"]})
    what = call("http", url="http://127.0.0.1/x")
    assert not http.execute(what, http.plan(what), MARK).succeeded
    assert len(server.requests) == 1


def test_credentials_go_to_their_own_host_alone() -> None:
    http = made("http", Server(), execution={"hosts": ["127.0.0.1"]})
    what = call("http", url="http://127.0.0.1/x", connection="pager")
    with pytest.raises(PermanentSourceError, match="are not for"):
        http.execute(what, http.plan(what), MARK)


def test_a_host_may_be_allowed_with_its_port_alone() -> None:
    assert checked_address("127.0.0.1", 8080, ["127.0.0.1:8080"]) == "127.0.0.1"
    with pytest.raises(PermanentSourceError):
        checked_address("127.0.0.1", 22, ["127.0.0.1:8080"])


def test_every_executor_says_what_it_lacks_instead_of_crashing() -> None:
    for name in EXECUTORS:
        if name == "kubectl":
            continue
        with pytest.raises(PermanentSourceError):
            made(name, Server()).plan(call(name))
    with pytest.raises(ConfigurationError, match="there is no executor 'nope'"):
        made("nope", Server())
