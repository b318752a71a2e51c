"""10,000 alerts of 40 services within a minute, and five incidents that have nothing to do with it."""

from __future__ import annotations

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.e2e.stack import Stack, wait_for
from tests.e2e.storm import UNRELATED, storm

A_MINUTE = 60.0


def pairs(sizes: Counter[Any]) -> int:
    return sum(size * (size - 1) // 2 for size in sizes.values())


@pytest.mark.timeout(600)
def test_a_storm_becomes_few_incidents_and_hides_no_other(responder: Stack, rng: random.Random) -> None:
    alerts = storm(rng)
    truth = {alert["source_id"]: belongs_to for alert, belongs_to in alerts}
    batches = [[alert for alert, _ in alerts[start : start + 20]] for start in range(0, len(alerts), 20)]
    before = {record.incident_id for record in responder.incidents()}
    began = time.monotonic()
    with ThreadPoolExecutor(8) as senders:
        answers = list(senders.map(responder.send, batches))
    sent = time.monotonic() - began
    assert set(answers) == {202}
    assert sent < A_MINUTE

    def unrelated_diagnosed() -> bool:
        done = [r for r in responder.incidents() if r.diagnosed_at and r.services[0].startswith("billing-")]
        return len(done) == UNRELATED

    wait_for("diagnosis of the unrelated incidents", unrelated_diagnosed, A_MINUTE, every=1.0)
    inbox = responder.inbox
    records = [record for record in inbox.incidents() if record.incident_id not in before]
    found = {a.source_id: r.incident_id for r in records for a in inbox.incident(r.incident_id).alerts}
    inbox.close()
    assert set(found) == set(truth)
    together = pairs(Counter((truth[alert], found[alert]) for alert in found))
    precision = together / pairs(Counter(found.values()))
    recall = together / pairs(Counter(truth.values()))
    print(f"sent in {sent:.1f} s; {len(records)} incidents, precision {precision:.3f}, recall {recall:.3f}")
    assert precision >= 0.95
    assert recall >= 0.95
    assert len(records) <= 60
    assert sum(len(r.run_ids) for r in records) <= 120


@pytest.mark.timeout(300)
def test_it_stops_in_the_midst_of_it_when_it_is_told_to(responder: Stack) -> None:
    assert responder.stop() < 10
    assert responder.process.returncode == 0
