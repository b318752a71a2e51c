"""A real receiver process: what it answered 2xx survives kill -9, whoever else writes, and it is fast enough."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from incident_pipeline.config import Alerts
from incident_pipeline.storage.inbox import Inbox
from tests.receiving import Connection, Receiver, body_of, once
from tests.storms import make_storm

CLIENTS = 6


async def send_until(stop: asyncio.Event, port: int, client: int, accepted: set[str]) -> None:
    """Send alerts one after the other, some in lists; remember those that were answered 2xx; never give up."""
    connection = Connection(port)
    for number in range(1_000_000):
        if stop.is_set():
            connection.close()
            return
        names = [f"{client}-{number}-{part}" for part in range(1 + number % 3)]
        alerts = [{"title": "Payments are slow", "service": f"svc-{client}", "source_id": name} for name in names]
        try:
            status, body = await connection.ask("POST", "/webhooks/custom", json.dumps(alerts).encode())
        except (OSError, EOFError):
            await asyncio.sleep(0.01)
            continue
        assert (status, json.loads(body)) == (202, {"accepted": len(names)})
        accepted.update(names)


@pytest.mark.timeout(600)
def test_no_alert_that_was_answered_is_lost_when_the_receiver_is_killed(
    tmp_path: Path, rng: random.Random, whole: bool
) -> None:
    kills = 40 if whole else 4
    accepted: set[str] = set()
    receiver = Receiver(tmp_path, group=True)

    async def storm() -> None:
        stop = asyncio.Event()
        clients = [asyncio.create_task(send_until(stop, receiver.port, n, accepted)) for n in range(CLIENTS)]
        for _ in range(kills):
            await asyncio.to_thread(receiver.start)
            await asyncio.sleep(rng.uniform(0.05, 1.0))
            await asyncio.to_thread(receiver.kill)
        stop.set()
        await asyncio.gather(*clients)

    asyncio.run(storm())
    assert len(accepted) > kills * CLIENTS
    inbox = Inbox.open(tmp_path / "inbox.sqlite")
    now = datetime.now(UTC)
    inbox.group(now, Alerts())
    homes: dict[str, list[str]] = {}
    for record in inbox.incidents():
        for each in inbox.incident(record.incident_id).alerts:
            homes.setdefault(each.source_id, []).append(record.incident_id)
    inbox.close()
    assert accepted <= set(homes), f"{len(accepted - set(homes))} accepted alerts are gone"
    assert all(len(where) == 1 for where in homes.values()), "an alert is in two incidents"


@pytest.mark.timeout(180)
def test_a_storm_is_accepted_whole_and_grouped_while_it_comes(tmp_path: Path) -> None:
    storm = make_storm(5, alerts=2_000, seconds=60)
    with Receiver(tmp_path, group=True) as receiver:

        async def send(alerts: list[object]) -> None:
            connection = Connection(receiver.port)
            for each in alerts:
                status, _ = await connection.ask("POST", "/webhooks/custom", body_of([each]))
                assert status == 202
            connection.close()

        async def all_at_once() -> None:
            await asyncio.gather(*(send(list(storm.alerts[n::8])) for n in range(8)))

        asyncio.run(all_at_once())
        status, metrics = asyncio.run(once(receiver.port, "GET", "/metrics"))
        assert status == 200
        assert f"incident_pipeline_alerts_accepted_total {len(storm.alerts)}\n".encode() in metrics
    inbox = Inbox.open(tmp_path / "inbox.sqlite")
    inbox.group(datetime.now(UTC), Alerts())
    records = inbox.incidents()
    inbox.close()
    assert sum(record.alerts for record in records) == len(storm.alerts)
    assert len(records) == 45


@pytest.mark.timeout(120)
def test_many_processes_and_threads_group_and_claim_without_sharing(tmp_path: Path) -> None:
    storm = make_storm(6, alerts=400, seconds=60)
    inboxes = [Inbox.open(tmp_path / "inbox.sqlite") for _ in range(4)]
    now = storm.alerts[-1].started_at
    claimed: list[str] = []

    def work(inbox: Inbox, part: int) -> None:
        for start in range(part * 10, len(storm.alerts), 40):
            inbox.accept(storm.alerts[start : start + 10], now)
            inbox.group(now, Alerts(), storm.catalogue)
            claimed.extend(
                claim.incident_id for claim in inbox.claim(now + timedelta(minutes=5), timedelta(hours=1), 99)
            )

    threads = [threading.Thread(target=work, args=(inbox, part)) for part, inbox in enumerate(inboxes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records = inboxes[0].incidents()
    assert sum(record.alerts for record in records) == len(storm.alerts)
    assert len(records) == 45
    assert len(claimed) == len(set(claimed)) == 45
    for inbox in inboxes:
        inbox.close()


def test_a_large_body_is_refused_over_a_real_connection(tmp_path: Path) -> None:
    with Receiver(tmp_path) as receiver:
        status, body = asyncio.run(once(receiver.port, "POST", "/webhooks/custom", b" " * 2_000_001))
        assert status == 413
        assert b"2000000 bytes" in body
        assert asyncio.run(chunked(receiver.port, 40)) == 413
        assert asyncio.run(once(receiver.port, "GET", "/health"))[0] == 200


async def chunked(port: int, chunks: int) -> int:
    """A body of 100 kB chunks without a length, while the receiver listens; the status."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /webhooks/custom HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
    try:
        for _ in range(chunks):
            writer.write(b"186a0\r\n" + b" " * 100_000 + b"\r\n")
            await writer.drain()
            await asyncio.sleep(0)
    except ConnectionError:
        pass
    answer = await reader.readline()
    writer.close()
    return int(answer.split()[1])
