"""The receiver's answers, through ASGI and a real inbox."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from incident_pipeline.config import Scenario
from incident_pipeline.console.receiver import create_receiver
from incident_pipeline.errors import ConfigurationError
from incident_pipeline.storage.inbox import Inbox
from tests.unit.intake.builders import NOW

ALERT = {"title": "Payments are slow", "service": "payments", "severity": "P1", "started_at": "2026-11-23T14:32:00Z"}


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@asynccontextmanager
async def running(app: Starlette) -> AsyncIterator[None]:
    async with app.router.lifespan_context(app):
        yield


async def ask(
    app: Starlette,
    path: str,
    chunks: list[bytes] | None = None,
    headers: dict[str, str] | None = None,
    client: str = "127.0.0.1",
) -> Answer:
    """One request, as an ASGI server would make it; a body is a POST, in these chunks."""
    sent: list[Any] = []
    waiting = list(chunks or [])
    given = {"host": "localhost:3001", **(headers or {})}

    async def receive() -> dict[str, Any]:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    target, _, query = path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET" if chunks is None else "POST",
        "scheme": "http",
        "path": target,
        "raw_path": target.encode(),
        "query_string": query.encode(),
        "headers": [(k.lower().encode(), v.encode()) for k, v in given.items()],
        "client": (client, 5000),
        "server": ("127.0.0.1", 3001),
    }
    await app(scope, receive, send)
    return Answer(
        sent[0]["status"],
        {k.decode(): v.decode() for k, v in sent[0]["headers"]},
        b"".join(message.get("body", b"") for message in sent[1:]),
    )


@dataclass
class Place:
    inbox: Inbox
    woken: list[int]

    def app(self, inbox: Any = None, **scenario: Any) -> Starlette:
        settings = Scenario.model_validate(scenario)
        return create_receiver(inbox or self.inbox, settings, (), lambda: self.woken.append(1), now=lambda: NOW)

    def post(self, body: Any, path: str = "/webhooks/custom", app: Starlette | None = None, **how: Any) -> Answer:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()

        async def once() -> Answer:
            receiver = app or self.app()
            async with running(receiver):
                return await ask(receiver, path, [raw], **how)

        return asyncio.run(once())


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    inbox = Inbox.open(tmp_path / "inbox.sqlite")
    yield Place(inbox, [])
    inbox.close()


def test_an_alert_is_accepted_once_it_is_stored(place: Place) -> None:
    answer = place.post(ALERT)
    assert (answer.status, answer.json) == (202, {"accepted": 1})
    assert place.inbox.state(NOW).pending == 1
    assert place.woken == [1]


def test_a_list_is_accepted_as_a_whole_or_not_at_all(place: Place) -> None:
    assert place.post([ALERT, {**ALERT, "title": "Checkout fails"}]).json == {"accepted": 2}
    answer = place.post([{**ALERT, "title": "third"}, {"service": "payments"}])
    assert answer.status == 400
    assert "title" in answer.json["error"]
    assert place.inbox.state(NOW).pending == 2


def test_the_same_delivery_again_is_accepted_and_not_stored_twice(place: Place) -> None:
    assert [place.post(ALERT).status, place.post(ALERT).status] == [202, 202]
    assert place.inbox.state(NOW).pending == 1


def test_alertmanager_is_understood(place: Place) -> None:
    body = {
        "version": "4",
        "alerts": [
            {
                "status": "firing",
                "labels": {"alertname": "HighLatency", "service": "payments", "severity": "critical"},
                "annotations": {"summary": "Payments are slow"},
                "startsAt": "2026-11-23T14:32:00.123456789Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "fingerprint": "ab12",
            }
        ],
    }
    assert place.post(body, "/webhooks/alertmanager").json == {"accepted": 1}


def test_any_json_is_understood_through_a_mapping(place: Place) -> None:
    mapping = {"alerts": "events", "title": "message", "service": "app", "started_at": "time"}
    app = place.app(alerts={"sources": {"shop": {"mapping": mapping}}})
    body = {"events": [{"message": "Payments are slow", "app": "payments", "time": "2026-11-23T14:32:00Z"}]}
    assert place.post(body, "/webhooks/shop", app).json == {"accepted": 1}


def test_a_mapping_that_is_wrong_is_found_at_the_start(place: Place) -> None:
    with pytest.raises(ConfigurationError, match=r"alerts\.sources\.shop\.mapping\.title"):
        place.app(alerts={"sources": {"shop": {"mapping": {"title": "]["}}}})


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/webhooks/nobody", "taken for: alertmanager, custom"),
        ("/webhooks/shop", "alerts.sources.shop.mapping"),
        ("/webhooks/off", "alerts.sources.off.enabled"),
    ],
)
def test_an_unknown_source_is_answered_with_a_sentence(place: Place, path: str, words: str) -> None:
    app = place.app(alerts={"sources": {"shop": {}, "off": {"enabled": False, "mapping": {"title": "t"}}}})
    answer = place.post(ALERT, path, app)
    assert answer.status == 404
    assert words in answer.json["error"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe\x00", b"[1]", b'"text"', b"null", b"[" * 100_000, b'{"title": "x", "started_at": "never"}'],
)
def test_bad_input_is_answered_with_one_sentence(place: Place, body: bytes) -> None:
    answer = place.post(body)
    assert answer.status == 400
    assert "\n" not in answer.json["error"]
    assert place.inbox.state(NOW).pending == 0


def test_a_body_that_announces_to_be_too_large_is_not_read(place: Place) -> None:
    app = place.app(receiver={"max_body_bytes": 100})
    answer = place.post(b"{}", app=app, headers={"content-length": "101"})
    assert answer.status == 413


def test_a_body_in_chunks_is_cut_off_when_it_is_too_large(place: Place) -> None:
    app = place.app(receiver={"max_body_bytes": 100})

    async def once() -> Answer:
        async with running(app):
            return await ask(app, "/webhooks/custom", [b" " * 60] * 1000)

    assert asyncio.run(once()).status == 413


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": "Basic c2VjcmV0"}, 401),
        ({"authorization": "Bearer sécret"}, 401),
        ({"authorization": "Bearer secret"}, 202),
        ({"authorization": "bearer secret"}, 202),
    ],
)
def test_a_source_with_a_token_wants_it(place: Place, headers: dict[str, str], status: int) -> None:
    app = place.app(receiver={"tokens": {"custom": "secret"}})
    answer = place.post(ALERT, app=app, headers=headers, client="192.0.2.7")
    assert answer.status == status
    assert b"secret" not in answer.body


@pytest.mark.parametrize(
    ("client", "headers", "status"),
    [
        ("127.0.0.1", {}, 202),
        ("::1", {"host": "[::1]:3001"}, 202),
        ("::ffff:127.0.0.1", {}, 202),
        ("192.0.2.7", {}, 403),
        ("fe80::1%eth0", {}, 403),
        ("", {}, 403),
        ("127.0.0.1", {"origin": "https://example.com"}, 403),
        ("127.0.0.1", {"host": "rebound.example.com"}, 403),
    ],
)
def test_without_a_token_only_this_machine_may_send(
    place: Place, client: str, headers: dict[str, str], status: int
) -> None:
    assert place.post(ALERT, client=client, headers=headers).status == status


def test_the_token_of_one_source_opens_no_other(place: Place) -> None:
    app = place.app(receiver={"tokens": {"alertmanager": "secret"}})
    headers = {"authorization": "Bearer secret"}
    assert place.post(ALERT, app=app, headers=headers, client="192.0.2.7").status == 403


def test_secrets_are_gone_before_they_are_stored(place: Place, tmp_path: Path) -> None:
    token = "ghp_" + "a1B2" * 9
    place.post({**ALERT, "summary": f"login with password=hunter22 or {token}", "labels": {"api_key": "k3y-v4lue"}})
    place.inbox.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"Payments are slow" in stored
    for secret in (b"hunter22", token.encode(), b"k3y-v4lue"):
        assert secret not in stored


def test_while_it_cannot_store_it_says_so_and_that_it_is_worth_another_try(tmp_path: Path) -> None:
    path = tmp_path / "inbox.sqlite"
    holder = Inbox.open(path)
    place = Place(Inbox.open(path, busy_seconds=0.05), [])

    async def hold() -> None:
        app = place.app()
        async with running(app):
            with holder._database.write():
                health = await ask(app, "/health")
                answer = await ask(app, "/webhooks/custom", [json.dumps(ALERT).encode()])
            assert (health.status, health.json["status"]) == (503, "unavailable")
            assert (answer.status, answer.headers["retry-after"]) == (503, "2")
            assert "locked" in answer.json["error"]
            assert "INSERT" not in answer.json["error"]

    asyncio.run(hold())
    assert place.post(ALERT).status == 202
    place.inbox.close()
    holder.close()


def test_one_alert_that_cannot_be_stored_fails_alone(place: Place) -> None:
    class Picky:
        accept_rows, heartbeat = place.inbox.accept_rows, place.inbox.heartbeat

        def prepare(self, received: Any, now: Any) -> Any:
            if any("poison" in each.title for each in received):
                raise ValueError("no such moment")
            return place.inbox.prepare(received, now)

    async def both() -> list[Answer]:
        app = place.app(inbox=Picky())
        async with running(app):
            bodies = [json.dumps({**ALERT, "title": title}).encode() for title in ("good", "poison", "also good")]
            return await asyncio.gather(*(ask(app, "/webhooks/custom", [body]) for body in bodies))

    assert [answer.status for answer in asyncio.run(both())] == [202, 400, 202]
    assert place.inbox.state(NOW).pending == 2


def test_a_dispatcher_that_cannot_be_woken_costs_no_alert(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> None:
        raise RuntimeError("gone")

    app = create_receiver(place.inbox, Scenario(), (), broken, now=lambda: NOW)
    assert place.post(ALERT, app=app).status == 202
    assert "could not be woken" in caplog.text


def test_metrics_are_for_whoever_has_their_token(place: Place) -> None:
    token = "scrape-token-0123456789"  # noqa: S105
    app = create_receiver(place.inbox, Scenario.model_validate({"receiver": {"tokens": {"metrics": token}}}), (), list)

    async def statuses() -> list[int]:
        async with running(app):
            given = [{}, {"authorization": "Bearer wrong"}, {"authorization": f"Bearer {token}"}]
            return [(await ask(app, "/metrics", headers=headers, client="192.0.2.7")).status for headers in given]

    assert asyncio.run(statuses()) == [401, 401, 200]


def test_health_and_metrics(place: Place) -> None:
    async def both() -> tuple[Answer, Answer]:
        app = place.app()
        async with running(app):
            await ask(app, "/webhooks/custom", [json.dumps(ALERT).encode()])
            await ask(app, "/webhooks/nobody", [b"{}"])
            return await ask(app, "/health"), await ask(app, "/metrics")

    health, metrics = asyncio.run(both())
    assert (health.status, health.json) == (200, {"status": "ok"})
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = metrics.body.decode().splitlines()
    assert "incident_pipeline_alerts_accepted_total 1" in lines
    assert "incident_pipeline_alerts_pending 1" in lines
    assert 'incident_pipeline_webhook_requests_total{source="custom",code="202"} 1' in lines
    assert 'incident_pipeline_webhook_requests_total{source="unknown",code="404"} 1' in lines
    assert 'incident_pipeline_heartbeat_age_seconds{part="receiver"} 0' in lines
    assert 'incident_pipeline_heartbeat_age_seconds{part="daemon"} +Inf' in lines


def test_other_methods_are_not_taken(place: Place) -> None:
    assert asyncio.run(ask(place.app(), "/webhooks/custom")).status == 405


@pytest.mark.parametrize("make", [lambda text: {**ALERT, "title": text}, lambda text: {**ALERT, "service": text}])
@pytest.mark.parametrize(
    "text", ["\x00nul", "\ud800", "a" * 100_000, "'; DROP TABLE alerts;--", "{{ 7*7 }}", "\x1b[31mred", "🚨"]
)
def test_hostile_text_is_only_text(place: Place, make: Callable[[str], dict[str, Any]], text: str) -> None:
    assert place.post(make(text)).status == 202
    assert place.inbox.state(NOW).pending == 1


def test_health_says_when_the_daemon_is_gone(place: Place) -> None:
    async def health() -> Answer:
        app = place.app()
        async with running(app):
            return await ask(app, "/health")

    place.inbox.heartbeat("daemon", NOW - timedelta(seconds=20))
    assert asyncio.run(health()).json == {"status": "ok"}
    place.inbox.heartbeat("daemon", NOW - timedelta(seconds=90))
    answer = asyncio.run(health())
    assert answer.status == 200
    assert "daemon has been silent for 90 s" in answer.json["warnings"][0]
