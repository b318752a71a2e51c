"""How the inbox answers when it holds years of incidents, and a day of 10,000.

    python -m benchmarks.scale [--stored 10000,100000,1000000] [--url URL] [--repeats N] [--json]

Fills an inbox with ended incidents (one alert, one claim and one run each), then measures what every user and every
alert waits for: the list, one incident, `/metrics`, accepting, grouping and claiming. Wanted: no answer above 200 ms.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from incident_pipeline.config import Alerts
from incident_pipeline.models import Alert, Severity
from incident_pipeline.storage.inbox import Inbox
from incident_pipeline.storage.inbox.rows import alert_row
from incident_pipeline.storage.inbox.schema import alert_keys, alerts, claims, incidents, runs, tracks

NOW = datetime(2026, 11, 23, 14, 35, tzinfo=UTC)
A_DAY = 10_000
AT_ONCE = 5_000
LEASE = timedelta(seconds=90)


def alert(number: int, at: datetime, status: str = "triggered") -> Alert:
    """One of 500 services complains."""
    fields: dict[str, Any] = {"resolved_at": at} if status == "resolved" else {}
    return Alert(
        source="alertmanager",
        source_id=f"a{number}",
        dedup_key=f"d{number}",
        title=f"service-{number % 500} answers with errors",
        severity=Severity(f"P{1 + number % 5}"),
        status=status,
        service=f"service-{number % 500}",
        environment="production",
        started_at=at,
        received_at=at,
        **fields,
    )


def rows(numbers: range) -> Iterator[tuple[sa.Table, dict[str, Any]]]:
    """All rows of ended incidents, 10,000 of them a day before now."""
    for number in numbers:
        at = NOW - timedelta(days=1) - timedelta(days=number / A_DAY)
        name, moment = f"INC-{at:%Y%m%d-%H%M%S}-service-{number % 500}-{number:07x}", at.timestamp()
        one = alert(number, at)
        yield alerts, {**alert_row(one, at), "incident_id": name}
        yield (
            incidents,
            {
                **{column.name: None for column in incidents.columns},
                **{"incident_id": name, "title": one.title, "status": "resolved", "severity": one.severity.value},
                **{"pinned": False, "attempts": 2, "failures": 0, "losses": 0, "repeats": 0},
                **dict.fromkeys(("started_at", "last_alert_at", "received_at", "newest_received_at"), moment),
                **{"resolved_at": moment + 600, "closed_out_at": moment + 700, "responded_at": moment + 5},
                **{
                    "diagnosed_at": moment + 5,
                    "last_diagnosed_at": moment + 5,
                    "cause": "a deployment",
                    "confidence": 0.8,
                },
            },
        )
        key = {"source": one.source, "dedup_key": one.dedup_key, "source_id": one.source_id, "incident_id": name}
        yield alert_keys, {**key, "active": False, "at": moment}
        place = {"service": one.service, "environment": one.environment, "wording": "", "incident_id": name}
        yield tracks, {**place, "onset": moment, "last": moment, "alerts": 1}
        claim = {"claim_id": f"{name}:1", "incident_id": name, "attempt": 1, "job": "respond", "reason": "new incident"}
        done = {"claimed_at": moment, "lease_until": moment + 90, "finished_at": moment + 5, "state": "succeeded"}
        yield claims, {**claim, **done, "severity": one.severity.value, "again": False, "run_id": name, "error": None}
        yield runs, {"run_id": name, "incident_id": name, "at": moment}


def fill(inbox: Inbox, begin: int, end: int) -> None:
    """Store incidents `begin` to `end`."""
    for start in range(begin, end, AT_ONCE):
        by_table: dict[sa.Table, list[dict[str, Any]]] = {}
        for table, row in rows(range(start, min(start + AT_ONCE, end))):
            by_table.setdefault(table, []).append(row)
        with inbox._database.write() as connection:
            for table, some in by_table.items():
                connection.execute(table.insert(), some)


def measure(inbox: Inbox, repeats: int) -> dict[str, float]:
    """Median milliseconds of each question."""
    newest = inbox.incidents(limit=1)[0].incident_id
    number = iter(range(10_000_000, 20_000_000))

    def accept() -> None:
        inbox.accept([alert(next(number), NOW)], NOW)

    def group() -> None:
        inbox.group(NOW, Alerts())

    questions: dict[str, Callable[[], object]] = {
        "list the 50 newest": lambda: inbox.incidents(limit=50),
        "list the open ones": lambda: inbox.incidents(limit=50, status=["investigating", "identified"]),
        "one incident": lambda: inbox.incident(newest),
        "/metrics": lambda: inbox.state(NOW),
        "accept one alert": accept,
        "group it": group,
        "claim": lambda: inbox.claim(NOW, LEASE, 0),
        "what prune asks": lambda: inbox.ended(dict.fromkeys(Severity, NOW - timedelta(days=4000))),
    }
    return {name: timed(question, repeats) for name, question in questions.items()}


def timed(question: Callable[[], object], repeats: int) -> float:
    """Median milliseconds."""
    took = []
    for _ in range(repeats):
        began = time.perf_counter()
        question()
        took.append((time.perf_counter() - began) * 1000)
    return round(statistics.median(took), 2)


def partitions(count: int) -> dict[str, float]:
    """Dagster's own part: milliseconds to add one partition, and to ask for all, where so many are there."""
    import dagster as dg

    with tempfile.TemporaryDirectory() as home, dg.DagsterInstance.local_temp(home) as instance:
        for start in range(0, count, AT_ONCE):
            names = [f"INC-{number:09}" for number in range(start, min(start + AT_ONCE, count))]
            instance.add_dynamic_partitions("incident", names)
        one = iter(range(1000))
        return {
            "add a partition": timed(lambda: instance.add_dynamic_partitions("incident", [f"new-{next(one)}"]), 5),
            "all partitions": timed(lambda: instance.get_dynamic_partitions("incident"), 5),
            "is it there": timed(lambda: instance.has_dynamic_partition("incident", "INC-000000001"), 5),
        }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stored", default="10000,100000")
    parser.add_argument("--url", help="a database; without it, an SQLite file")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    answers: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        inbox, held = Inbox.open(options.url or Path(folder) / "inbox.sqlite"), 0
        for stored in map(int, options.stored.split(",")):
            began = time.perf_counter()
            fill(inbox, held, stored)
            held = stored
            print(f"{stored} incidents after {time.perf_counter() - began:.0f} s", file=sys.stderr)
            answers[f"{stored} incidents"] = measure(inbox, options.repeats)
            if not options.url:
                size = sqlite3.connect(Path(folder) / "inbox.sqlite").execute(
                    "SELECT page_count * page_size / 1e6 FROM pragma_page_count(), pragma_page_size()"
                )
                answers[f"{stored} incidents"]["MB"] = round(size.fetchone()[0], 1)
        inbox.close()
    for count in (10_000, 100_000):
        answers[f"{count} partitions of Dagster"] = partitions(count)
    if options.json:
        print(json.dumps(answers))
        return
    for what, values in answers.items():
        print(what)
        for name, value in values.items():
            print(f"  {name:22} {value:10.2f}{'' if name == 'MB' else ' ms'}")


if __name__ == "__main__":
    main()
