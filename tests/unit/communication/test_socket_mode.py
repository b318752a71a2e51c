"""Clicks by Socket Mode, against a WebSocket server of ours: acknowledged, done once, however often it breaks."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.server import ServerConnection, serve

from incident_pipeline.config import Connection
from incident_pipeline.connectors.slack_socket import SlackSocket
from incident_pipeline.console.slack_clicks import Clicks
from incident_pipeline.console.slack_listening import SlackListening
from incident_pipeline.models import ActionState
from tests.unit.communication.slack_fake import FakeSlack, serving
from tests.unit.communication.test_clicks import Desk

TOKEN = "xapp-1-a-test"  # noqa: S105 - a test's
TICKET = "ticket-that-lets-in"
Talk = Callable[[ServerConnection], Awaitable[None]]


class OpeningSlack(FakeSlack):
    """Gives out addresses of WebSockets, after some refusals."""

    def __init__(self, *refusals: str) -> None:
        super().__init__()
        self.refusals = list(refusals)
        self.address = ""
        self.tokens: list[str] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/apps.connections.open"):
            return super().answer(request)
        self.tokens.append(request.headers["authorization"])
        if self.refusals:
            return httpx.Response(200, json={"ok": False, "error": self.refusals.pop(0)})
        return httpx.Response(200, json={"ok": True, "url": self.address})


def clicks_of(desk: Desk) -> Clicks:
    async def whisper(_channel: str, _user: str, text: str) -> None:
        desk.whispers.append(text)

    def wake() -> None:
        desk.woken += 1

    return Clicks(desk.application, wake, whisper, lambda: desk.now)


def listen(desk: Desk, *talks: Talk, slack: OpeningSlack | None = None) -> tuple[OpeningSlack, list[int]]:
    """Listens until every talk, one for each connection, has been held; gives the pauses that were made."""
    slack = slack or OpeningSlack()
    pauses: list[int] = []

    def pause(failures: int) -> float:
        pauses.append(failures)
        return 0.0

    async def run() -> None:
        left = list(talks)
        held = asyncio.Event()

        async def handle(connection: ServerConnection) -> None:
            if not left:
                return
            await connection.send(json.dumps({"type": "hello", "num_connections": 1}))
            try:
                await left.pop(0)(connection)
            finally:
                if not left:
                    held.set()

        async with serve(handle, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            slack.address = slack.address or f"ws://127.0.0.1:{port}/link/?ticket={TICKET}"
            with serving(slack) as url:
                socket = SlackSocket(Connection.model_validate({"url": url, "app_token": TOKEN}), pause)
                listening = asyncio.create_task(socket.listen(SlackListening(socket, clicks_of(desk)).take))
                async with asyncio.timeout(20):
                    await held.wait()
                listening.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await listening

    asyncio.run(run())
    return slack, pauses


def envelope(payload: Any, envelope_id: str = "e-1", kind: str = "interactive") -> str:
    said = {"envelope_id": envelope_id, "type": kind, "accepts_response_payload": False, "payload": payload}
    return json.dumps(said)


def says(*texts: str | bytes, acknowledged: int | None = None) -> Talk:
    """Sends these and waits for their acknowledgements."""

    async def talk(connection: ServerConnection) -> None:
        for text in texts:
            await connection.send(text)
        ids = [json.loads(await connection.recv()) for _ in range(len(texts) if acknowledged is None else acknowledged)]
        assert all(set(said) == {"envelope_id"} for said in ids)

    return talk


def test_a_click_is_acknowledged_and_done_as_over_http(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    slack, _ = listen(desk, says(envelope(desk.payload("approve"))))
    assert slack.tokens == [f"Bearer {TOKEN}"]
    assert desk.state is ActionState.APPROVED
    (decision,) = desk.inbox.action_decisions(desk.incident_id)
    assert (decision.who, decision.via, decision.origin) == ("dana", "slack", "workspace T1, user U1")
    assert desk.woken == 1


def test_a_refusal_is_whispered_to_whoever_clicked(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    listen(desk, says(envelope(desk.payload("approve", user="U2")), envelope(desk.payload("resolve"), "e-2")))
    assert desk.state is ActionState.PROPOSED
    assert sorted(text.partition(":")[0] for text in desk.whispers) == ["Not done", "Not done"]
    assert any("still fires" in text for text in desk.whispers)


def test_a_replay_is_acknowledged_and_not_done_again(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    click = desk.payload("acknowledge")
    other = desk.payload("acknowledge", user="U2")
    # the same envelope over another connection, with another content, and the same click in another envelope
    listen(
        desk,
        says(envelope(click, "e-1")),
        says(envelope(click, "e-1"), envelope(other, "e-1"), envelope(click, "e-2")),
    )
    done = [event.who for event in desk.inbox.events(desk.incident_id) if event.kind == "incident_acknowledged"]
    assert (done, desk.woken) == (["dana"], 1)


def test_a_lost_connection_and_a_disconnect_lead_to_a_new_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(tmp_path)
    caplog.set_level(logging.DEBUG)

    async def breaks(connection: ServerConnection) -> None:
        connection.transport.abort()

    async def disconnects(connection: ServerConnection) -> None:
        await connection.send(json.dumps({"type": "disconnect", "reason": "refresh_requested"}))
        await connection.wait_closed()

    slack = OpeningSlack("internal_error", "not_allowed_token_type")
    _, pauses = listen(desk, breaks, disconnects, says(envelope(desk.payload("reject"))), slack=slack)
    assert desk.state is ActionState.REJECTED
    # none before the first one, then one for each that failed in a row
    assert pauses[-1] >= 3
    assert pauses == sorted(pauses)
    told = "\n".join(record.getMessage() for record in caplog.records if "Socket Mode" in record.getMessage())
    assert "refresh_requested" in told
    assert "connections.slack.app_token" in told
    assert TICKET not in caplog.text
    assert TOKEN not in caplog.text


def test_what_is_not_a_click_of_ours_ends_nothing(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    broken = {**desk.payload("approve"), "actions": [{"action_id": "approve", "value": "[[["}]}
    listen(
        desk,
        says(
            "no JSON", "[1]", b"\xff\xfe", json.dumps({"type": "hello"}), json.dumps({"envelope_id": 7}),
            envelope({"event": {}}, "e-1", "events_api"), envelope(broken, "e-2"), envelope("text", "e-3"),
            envelope(desk.payload("approve"), "e-4"),
            acknowledged=4,
        ),
    )  # fmt: skip
    assert desk.state is ActionState.APPROVED


def test_an_address_without_tls_elsewhere_is_not_connected_to(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(tmp_path)
    slack = OpeningSlack()
    slack.address = "ws://wss.example.com/link"
    before = slack.answer

    def then_a_good_one(request: httpx.Request) -> httpx.Response:
        answer = before(request)
        slack.address = good
        return answer

    async def run() -> None:
        nonlocal good
        heard = asyncio.Event()

        async def handle(_connection: ServerConnection) -> None:
            heard.set()

        async with serve(handle, "127.0.0.1", 0) as server:
            good = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            with serving(slack) as url:
                socket = SlackSocket(Connection.model_validate({"url": url, "app_token": TOKEN}), lambda _failures: 0.0)
                listening = asyncio.create_task(socket.listen(SlackListening(socket, clicks_of(desk)).take))
                async with asyncio.timeout(20):
                    await heard.wait()
                listening.cancel()

    good = ""
    slack.answer = then_a_good_one  # type: ignore[method-assign]
    asyncio.run(run())
    assert "slack gave no wss:// address" in caplog.text


def test_the_thread_of_the_receiver_begins_and_ends(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    slack = OpeningSlack(*["invalid_auth"] * 1_000)
    with serving(slack) as url:
        socket = SlackSocket(Connection.model_validate({"url": url, "app_token": TOKEN}), lambda _failures: 0.01)
        listening = SlackListening(socket, clicks_of(desk))
        listening.start()
        listening.stop()
        listening.stop()
    assert not listening._thread.is_alive()
