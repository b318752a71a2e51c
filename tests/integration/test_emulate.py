"""Slack and GitHub as `emulate` (npm, 0.11.2) plays them: it keeps what it is sent."""

from __future__ import annotations

import asyncio
import json
import os
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from incident_pipeline.communication.delivery import Delivery
from incident_pipeline.communication.telling import tell
from incident_pipeline.config import AlertSource, Connection
from incident_pipeline.connectors import github, slack
from incident_pipeline.models import AlertStatus, EvidenceKind, Window
from tests.connectors.questions import fetch, question, settings_for
from tests.integration.peers import free_port, program, running
from tests.shared_data import shared_path
from tests.unit.communication.newsroom import Newsroom

BOT = Connection(token="xoxb-incident")  # noqa: S106


@contextmanager
def emulate(folder: Path) -> Iterator[tuple[str, str]]:
    """Slack and GitHub on neighbouring ports of loopback."""
    binary = program("emulate")
    # it listens on every interface unless it is made not to
    pinned = shared_path("peers/loopback.cjs")
    seed = shared_path("peers/emulate.yaml")
    port = free_port()
    command = [binary, "start", "--service", "slack,github", "--port", str(port), "--seed", str(seed)]
    env = {**os.environ, "NODE_OPTIONS": f"--require {pinned}"}
    with running(command, folder, f"http://127.0.0.1:{port}/api/api.test", env):
        yield f"http://127.0.0.1:{port}/api", f"http://127.0.0.1:{port + 1}"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    with emulate(tmp_path_factory.mktemp("emulate")) as urls:
        yield urls


def test_what_is_posted_is_found_updated_and_read_as_an_alert(servers: tuple[str, str]) -> None:
    keys = AlertSource(channel="#incidents")
    settings = settings_for("slack", keys=keys, connection=BOT.model_copy(update={"url": servers[0]}))

    async def run() -> tuple[Any, ...]:
        one = slack.build(settings)
        try:
            alert = await one.post("#incidents", "🚨 P1 outage\nservice: payments")
            update = await one.post("#incidents", "our update", thread_ts=alert.ts, key="INC-1:1")
            await one.update(update, "our second update")
            found = await one.find("#incidents", "INC-1:1", thread_ts=alert.ts)
            return alert, update, found, await one.find("#incidents", "INC-9:9"), await one.permalink(update)
        finally:
            await one.close()

    alert, update, found, nothing, link = asyncio.run(run())
    assert found == update
    assert nothing is None
    assert link.startswith("http")
    now = datetime.now(UTC)
    window = Window(start=now - timedelta(minutes=5), end=now + timedelta(minutes=1))
    got = fetch(slack.build(settings), question(EvidenceKind.RELATED_ALERTS, window=window, around=now))
    (row,) = got.rows
    assert (row.dedup_key, row.service, row.status) == (
        f"{alert.channel}:{alert.ts}",
        "payments",
        AlertStatus.TRIGGERED,
    )


def test_commits_of_a_repository_that_changes(servers: tuple[str, str]) -> None:
    url = servers[1]
    put(
        f"{url}/repos/octocat/checkout/contents/config/pool.yaml",
        {"message": "Raise the pool", "content": "c2l6ZTogNQo="},
    )
    connection = Connection(url=url, token="gho_octo")  # noqa: S106
    now = datetime.now(UTC)
    window = Window(start=now - timedelta(hours=1), end=now + timedelta(minutes=1))
    source = github.build(settings_for("github", connection=connection))
    projects = {"checkout": ("octocat/checkout",)}
    got = fetch(source, question(EvidenceKind.CODE_CHANGES, window=window, projects=projects, services=("checkout",)))
    assert got.rows, got.notes
    change = got.rows[0]
    assert (change.service, change.repository) == ("checkout", "octocat/checkout")
    assert "config/pool.yaml" in {file for row in got.rows for file in row.files}


def test_an_incident_is_told_once_in_a_channel_that_a_server_keeps(servers: tuple[str, str], tmp_path: Path) -> None:
    connections = {"slack": {"url": servers[0], "token": "xoxb-incident"}}
    room = Newsroom(tmp_path, communication={"slack_channel": "#general"}, connections=connections)
    room.now = datetime.now(UTC)
    room.diagnosed(text="### Summary\nPayments *fail*")
    tell(room.application, room.now)
    # the process that took the header dies after it was posted: only its lease is left
    taken = room.inbox.take(room.now, timedelta(seconds=1))
    assert taken is not None
    settings = settings_for("slack", connection=Connection(url=servers[0], token="xoxb-incident"))  # noqa: S106

    async def post() -> None:
        one = slack.build(settings)
        await one.post("#general", str(taken.content["text"]), key=taken.key)
        await one.close()

    asyncio.run(post())
    delivery = Delivery(room.inbox, room.scenario, lambda: datetime.now(UTC) + timedelta(minutes=2))
    assert delivery.deliver() == 2
    room.inbox.acknowledge(room.incident_id, "jo", room.now)
    tell(room.application, room.now)
    assert delivery.deliver() == 1
    shown = ask(servers[0], "conversations.history", channel=channel_of(room))
    assert len(shown) == 1
    assert "Acknowledged by jo" in shown[0]["text"]
    thread = ask(servers[0], "conversations.replies", channel=channel_of(room), ts=shown[0]["ts"])
    assert [m["text"] for m in thread if m["ts"] != shown[0]["ts"]] == ["Summary\nPayments fail"]


def channel_of(room: Newsroom) -> str:
    return str(room.inbox.incident(room.incident_id).slack_channel)


def ask(url: str, method: str, **form: str) -> list[dict[str, Any]]:
    headers = {"Authorization": "Bearer xoxb-incident"}
    request = urllib.request.Request(f"{url}/{method}", urlencode(form).encode(), headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        found: list[dict[str, Any]] = json.load(answer)["messages"]
    return found


def put(url: str, body: dict[str, Any]) -> None:
    headers = {"Content-Type": "application/json", "Authorization": "Bearer gho_octo"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method="PUT")  # noqa: S310
    with urllib.request.urlopen(request, timeout=10):  # noqa: S310
        pass
