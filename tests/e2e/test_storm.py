"""10,000 alerts of 40 services within a minute, and five incidents that have nothing to do with it."""

from __future__ import annotations

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.stack import running, wait_for

STORM_ALERTS, STORM_SERVICES, UNRELATED = 10_000, 40, 5
CONFIGURATION = "scenario:\n  services_file: services.yaml\n"
A_MINUTE = 60.0


def storm(rng: random.Random) -> list[tuple[dict[str, Any], str]]:
    """Alerts with the name of the incident that they belong to."""
    now = datetime.now(UTC).isoformat()
    made = []
    for number in range(STORM_ALERTS):
        service = f"shop-{rng.randrange(STORM_SERVICES)}"
        kind = rng.choice(["latency", "errors", "saturation", "probe"])
        made.append(
            (_alert(number, service, f"{kind} of {service}", f"{service}/{kind}/{rng.randrange(60)}", now), "storm")
        )
    for number in range(UNRELATED):
        service = f"billing-{number}"
        alert = _alert(STORM_ALERTS + number, service, f"{service} is down", f"{service}/down", now)
        made.insert(rng.randrange(len(made)), (alert, service))
    return made


def _alert(number: int, service: str, title: str, key: str, at: str) -> dict[str, Any]:
    return {
        "source": "custom",
        "source_id": f"a{number}",
        "dedup_key": key,
        "title": title,
        "severity": "P2",
        "status": "triggered",
        "service": service,
        "environment": "production",
        "started_at": at,
    }


def catalogue() -> str:
    """The storm's services call one another in a tree; the unrelated ones stand alone."""
    lines = ["services:"]
    for number in range(STORM_SERVICES):
        called = [f"shop-{child}" for child in (2 * number + 1, 2 * number + 2) if child < STORM_SERVICES]
        lines.append(f"  - {{name: shop-{number}, depends_on: [{', '.join(called)}]}}")
    lines += [f"  - {{name: billing-{number}}}" for number in range(UNRELATED)]
    return "\n".join(lines) + "\n"


def pairs(sizes: Counter[Any]) -> int:
    return sum(size * (size - 1) // 2 for size in sizes.values())


@pytest.mark.timeout(600)
def test_a_storm_becomes_few_incidents_and_hides_no_other(tmp_path: Path, rng: random.Random) -> None:
    (tmp_path / "services.yaml").write_text(catalogue())
    alerts = storm(rng)
    truth = {alert["source_id"]: belongs_to for alert, belongs_to in alerts}
    batches = [[alert for alert, _ in alerts[start : start + 20]] for start in range(0, len(alerts), 20)]
    with running(tmp_path, CONFIGURATION) as stack:
        began = time.monotonic()
        with ThreadPoolExecutor(8) as senders:
            answers = list(senders.map(stack.send, batches))
        sent = time.monotonic() - began
        assert set(answers) == {202}
        assert sent < A_MINUTE

        def unrelated_diagnosed() -> bool:
            done = [r for r in stack.incidents() if r.diagnosed_at and r.services[0].startswith("billing-")]
            return len(done) == UNRELATED

        wait_for("diagnosis of the unrelated incidents", unrelated_diagnosed, A_MINUTE, every=1.0)
        inbox = stack.inbox
        records = inbox.incidents()
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
