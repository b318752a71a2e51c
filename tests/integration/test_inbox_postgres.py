"""The inbox on a real Postgres: the same tables, the same answers, processes that do not get in each other's way."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import pytest

from incident_pipeline.config import Alerts
from incident_pipeline.errors import StoreError
from incident_pipeline.storage.inbox import Inbox
from incident_pipeline.storage.inbox.action_schema import action_decisions, freezes
from incident_pipeline.storage.inbox.outbox import Draft
from tests.integration.postgres import postgres
from tests.storms import make_storm
from tests.unit.intake.builders import NOW, alert, at, catalogue, resolved

LEASE = timedelta(seconds=90)


@pytest.mark.timeout(180)
def test_the_inbox_on_postgres(tmp_path: Path) -> None:
    with postgres(tmp_path) as url:
        one_incident_from_alert_to_close_out(url)
        people_decide(url)
        people_are_told(url)
        decisions_stay(url)
        several_at_once(url)


def one_incident_from_alert_to_close_out(url: str) -> None:
    inbox, other = Inbox.open(url), Inbox.open(url)
    inbox.accept([alert("a"), alert("c", "checkout", 5)], at(5))
    inbox.accept([alert("a")], at(6))
    grouped = inbox.group(at(6), Alerts(), catalogue(checkout="payments"))
    assert (len(grouped.created), grouped.alerts) == (1, 2)
    (claim,) = inbox.claim(at(7), LEASE, 4)
    assert other.claim(at(7), LEASE, 4) == []
    assert other.begin(claim.claim_id, "run-1", at(8))
    inbox.record_diagnosis(claim.incident_id, "run-1", at(9), cause="deployment", confidence=0.75)
    assert inbox.finish(claim.claim_id, at(9), succeeded=True)
    inbox.accept([resolved("a"), resolved("c", "checkout", 5)], at(60))
    other.group(at(60), Alerts())
    (closing,) = other.claim(at(61), LEASE, 4)
    assert (closing.job, closing.attempt) == ("close_out", 2)
    assert other.finish(closing.claim_id, at(62), succeeded=True)
    (record,) = inbox.incidents()
    assert (record.alerts, record.services, record.run_ids) == (2, ("payments", "checkout"), ("run-1",))
    assert inbox.state(at(63)).accepted == 5
    inbox.close()
    other.close()


def people_decide(url: str) -> None:
    inbox = Inbox.open(url)
    inbox.accept([alert("x", "cart", 5000), alert("y", "cart", 5001)], at(5001))
    (name,) = inbox.group(at(5001), Alerts()).created
    new = inbox.split(name, ["y"], "operator", at(5002))
    inbox.merge(new, name, "operator", at(5003))
    inbox.mute(at(9999), "known", "operator", at(5004), service="cart")
    assert inbox.claim(at(5010), LEASE, 9) == []
    inbox.heartbeat("receiver", at(5010))
    inbox.heartbeat("receiver", at(5011))
    assert inbox.state(at(5011)).heartbeats == {"receiver": at(5011)}
    inbox.close()


def decisions_stay(url: str) -> None:
    inbox = Inbox.open(url)
    inbox.accept([alert("z", "cart", 9000)], at(9000))
    (name,) = inbox.group(at(9000), Alerts()).created
    values = dict.fromkeys(("action_id", "action_hash", "decision", "who", "via", "origin", "comment", "rule"), "x")
    inbox.freeze("operator", "", at(9001))
    with inbox._database.write() as connection:
        row = {**values, "incident_id": name, "action": "{}", "dry_run": "", "at": 0.0}
        connection.execute(action_decisions.insert().values(row))
    tries = (action_decisions.update().values(who="y"), action_decisions.delete(), freezes.update().values(who="y"))
    for statement in (*tries, freezes.delete()):
        with pytest.raises(StoreError, match="only ever appended to"), inbox._database.write() as connection:
            connection.execute(statement)
    inbox.unfreeze("operator", "", at(9002))
    inbox.resolve(name, "operator", at(9003))
    inbox.forget([name], at(9004))
    with inbox._database.read() as connection:
        assert connection.execute(action_decisions.select().filter_by(incident_id=name)).first() is None
    inbox.close()


def people_are_told(url: str) -> None:
    inbox, other = Inbox.open(url), Inbox.open(url)
    inbox.accept([alert("t", "told")], at(5000))
    inbox.group(at(5000), Alerts(), ())
    name = next(record.incident_id for record in inbox.incidents() if record.services == ("told",))
    assert inbox.firing(name) == ["told is slow"]
    waiting, up_to = inbox.unheard()
    assert name in waiting
    inbox.heard(up_to)
    assert other.unheard() == ({}, up_to)
    about = {"medium": "slack", "target": "#c", "incident_id": name}
    header = Draft(key=f"{name}:slack:header", content={"text": "1"}, **about)
    replies = [Draft(key=f"r{n}", content={"text": str(n)}, thread=f"{name}:slack:header", **about) for n in range(2)]
    assert inbox.tell(name, {"status": "x"}, 0, [*replies, header], at(5001))
    assert not other.tell(name, {"status": "y"}, 0, [header], at(5001))
    first = inbox.take(at(5001), LEASE)
    assert first is not None
    assert first.key == header.key
    assert other.take(at(5002), LEASE) is None
    again = other.take(at(5002) + LEASE, LEASE)
    assert again is not None
    assert again.uncertain
    assert not inbox.sent(first, {"channel": "C", "ts": "1"}, at(5100))
    assert other.sent(again, {"channel": "C", "ts": "2"}, at(5100))
    keys = []
    while (taken := inbox.take(at(5101), LEASE)) is not None:
        keys.append((taken.key, taken.thread_reference))
        assert inbox.sent(taken, {"channel": "C", "ts": taken.key}, at(5101))
    assert keys == [(f"r{n}", {"channel": "C", "ts": "2"}) for n in range(2)]
    assert inbox.incident(name).slack_thread_ts == "2"
    assert [inbox.first_seen("x", at(n)) for n in (5200, 5201)] == [True, False]
    inbox.mitigate(name, "jo", at(5300))
    assert inbox.resolve_mitigated(at(9000), timedelta(minutes=15)) == []
    inbox.close()
    other.close()


def several_at_once(url: str) -> None:
    storm = make_storm(6, alerts=400, start=NOW + timedelta(days=1))
    inboxes = [Inbox.open(url) for _ in range(4)]
    now = storm.alerts[-1].started_at
    before = len(inboxes[0].incidents())
    claimed: list[str] = []

    def work(inbox: Inbox, part: int) -> None:
        for start in range(part * 20, len(storm.alerts), 80):
            inbox.accept(storm.alerts[start : start + 20], now)
            inbox.group(now, Alerts(), storm.catalogue)
            taken = inbox.claim(now + timedelta(minutes=5), timedelta(hours=1), 999)
            claimed.extend(
                claim.incident_id for claim in taken if "other" in claim.incident_id or "svc" in claim.incident_id
            )

    threads = [threading.Thread(target=work, args=(inbox, part)) for part, inbox in enumerate(inboxes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(inboxes[0].incidents()) == before + 45
    assert len(claimed) == len(set(claimed)) == 45
    for inbox in inboxes:
        inbox.close()
