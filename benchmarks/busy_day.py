"""24 hours of a busy company in a few minutes: is anything lost, does anything grow, how long do first updates take.

    python -m benchmarks.busy_day [--minutes 20] [--hours 24] [--incidents 60] [--alerts 2000] [--services 500] [--json]

Starts `incident-pipeline up` and sends it alerts: so many an hour, three hours of the day three times as many, each
incident on one service, resolved half an hour later. The alerts carry the times of the day that is played; the
responder lives in real time. Diagnoses are not repeated (`updates: [0s]`), for they are spaced in minutes of real time.
Every few seconds it notes what waits, and memory and open files of every process. At the end everything that was
answered 202 must be in exactly one incident, and every incident diagnosed. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from incident_pipeline.storage.inbox import IncidentRecord
from tests.e2e.stack import Stack, running

CONFIGURATION = "scenario:\n  diagnosis:\n    updates: [0s]\n"
RUSH_HOURS = (9, 14, 20)
RUSH = 3
LASTS = timedelta(minutes=30)
LOOK_SECONDS = 5.0
AT_ONCE = 100
PARTS = {
    "receiver": "console.serve",
    "runner": "assets.runner",
    "daemon": "dagster._daemon",
    "web server": "dagster_webserver",
    "code server": "api grpc",
}


@dataclass(frozen=True)
class Day:
    """What is played."""

    hours: float
    incidents: int
    alerts: int
    services: int

    def plan(self, rng: random.Random) -> list[tuple[float, dict[str, Any]]]:
        """Every alert of the day with its second, in order."""
        began = datetime.now(UTC) - timedelta(hours=self.hours)
        planned = []
        for number, second in enumerate(self._begins(rng)):
            service = f"service-{rng.randrange(self.services)}"
            for part in range(max(1, round(rng.expovariate(self.incidents / self.alerts)))):
                at = second + (rng.uniform(0, 300) if part else 0.0)
                planned.append((at, alert(f"{number}-{part}", service, began, at)))
                end = at + LASTS.total_seconds()
                planned.append((end, {**alert(f"{number}-{part}", service, began, at), **ended(began, end)}))
        return sorted(((at, each) for at, each in planned if at < self.hours * 3600), key=lambda pair: pair[0])

    def _begins(self, rng: random.Random) -> Iterator[float]:
        for hour in range(int(self.hours)):
            times = RUSH if hour in RUSH_HOURS else 1
            for _ in range(self.incidents * times):
                yield (hour + rng.random()) * 3600


@dataclass
class Seen:
    """What was noted while it ran."""

    accepted: set[str] = field(default_factory=set)
    refused: int = 0
    waiting: list[float] = field(default_factory=list)
    memory: dict[str, list[float]] = field(default_factory=dict)
    files: dict[str, list[int]] = field(default_factory=dict)

    def look(self, stack: Stack) -> None:
        """Note what waits, and what each process holds."""
        inbox = stack.inbox
        self.waiting.append(inbox.state(datetime.now(UTC)).oldest_unclaimed_seconds)
        inbox.close()
        for part, word in PARTS.items():
            pids = stack.pids(word)
            if pids:
                oldest = Path("/proc") / str(min(pids))
                self.memory.setdefault(part, []).append(resident(oldest))
                self.files.setdefault(part, []).append(len(list((oldest / "fd").iterdir())))


def alert(name: str, service: str, began: datetime, at: float) -> dict[str, Any]:
    """One alert as a source would send it."""
    return {
        "source_id": name,
        "dedup_key": name,
        "title": f"{service} answers with errors",
        "service": service,
        "severity": "P2",
        "environment": "production",
        "started_at": (began + timedelta(seconds=at)).isoformat(),
    }


def ended(began: datetime, at: float) -> dict[str, str]:
    """What its end adds."""
    return {"status": "resolved", "resolved_at": (began + timedelta(seconds=at)).isoformat()}


def resident(process: Path) -> float:
    """Memory of a process in MB."""
    pages = int((process / "statm").read_text().split()[1])
    return pages * 4096 / 1e6


def play(stack: Stack, planned: list[tuple[float, dict[str, Any]]], speed: float, seen: Seen) -> None:
    """Send the day at this speed (seconds of it in one of ours)."""
    began, next_look, place = time.monotonic(), 0.0, 0
    while place < len(planned):
        now = (time.monotonic() - began) * speed
        due = [each for at, each in planned[place : place + AT_ONCE] if at <= now]
        if due:
            if stack.send(due) == 202:
                seen.accepted.update(each["source_id"] for each in due)
                place += len(due)
            else:
                seen.refused += 1
        else:
            time.sleep(0.05)
        if time.monotonic() >= next_look:
            seen.look(stack)
            next_look = time.monotonic() + LOOK_SECONDS


def settle(stack: Stack, seen: Seen, seconds: float) -> list[IncidentRecord]:
    """Wait until every incident is diagnosed, or for so long."""
    deadline = time.monotonic() + seconds
    while True:
        records = stack.incidents()
        if (records and all(record.diagnosed_at for record in records)) or time.monotonic() > deadline:
            return records
        seen.look(stack)
        time.sleep(LOOK_SECONDS)


def over_time(records: list[IncidentRecord], slices: int) -> list[dict[str, float]]:
    """Median and 95th percentile of the time to first update, over the time of the run."""
    done = sorted((record for record in records if record.diagnosed_at), key=lambda record: record.received_at)
    found = []
    for start in range(0, len(done), max(1, -(-len(done) // slices))):
        some = done[start : start + max(1, -(-len(done) // slices))]
        took = sorted((r.diagnosed_at - r.received_at).total_seconds() for r in some if r.diagnosed_at)
        p95 = took[min(len(took) - 1, int(0.95 * len(took)))]
        found.append({"incidents": len(took), "p50": round(statistics.median(took), 1), "p95": round(p95, 1)})
    return found


def growth(values: list[float] | list[int]) -> dict[str, float]:
    """Where it stood after a quarter of the run, and at its end."""
    quarter = values[len(values) // 4 :]
    return {"after a quarter": round(quarter[0], 1), "highest": round(max(quarter), 1), "end": round(quarter[-1], 1)}


def members(stack: Stack, records: list[IncidentRecord]) -> Counter[str]:
    """In how many incidents each alert is."""
    inbox = stack.inbox
    counted = Counter(one.source_id for record in records for one in inbox.incident(record.incident_id).alerts)
    inbox.close()
    return counted


def run(day: Day, minutes: float, seed: int, patience: float) -> dict[str, Any]:
    """Play the day and report."""
    planned = day.plan(random.Random(seed))
    seen = Seen()
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), CONFIGURATION) as stack:
        began = time.monotonic()
        play(stack, planned, day.hours * 60 / minutes, seen)
        sent = time.monotonic() - began
        records = settle(stack, seen, patience)
        counted = members(stack, records)
        return {
            "seconds of sending": round(sent, 1),
            "seconds until all were diagnosed": round(time.monotonic() - began - sent, 1),
            "deliveries": len(planned),
            "alerts accepted": len(seen.accepted),
            "requests refused and repeated": seen.refused,
            "alerts lost": len(seen.accepted - set(counted)),
            "alerts in two incidents": sum(number > 1 for number in counted.values()),
            "incidents": len(records),
            "not diagnosed": sum(record.diagnosed_at is None for record in records),
            "longest wait for a run": round(max(seen.waiting), 1),
            "time to first update": over_time(records, 6),
            "memory in MB": {part: growth(values) for part, values in seen.memory.items()},
            "open files": {part: growth(values) for part, values in seen.files.items()},
        }


def main() -> None:
    """Measure and print; the exit status is 1 where something was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0, help="how long the day takes")
    parser.add_argument("--hours", type=float, default=24.0, help="how much of the day is played")
    parser.add_argument("--incidents", type=int, default=60, help="an hour")
    parser.add_argument("--alerts", type=int, default=2000, help="an hour")
    parser.add_argument("--services", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--patience", type=float, default=1800.0, help="seconds to wait for the last diagnosis")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    day = Day(options.hours, options.incidents, options.alerts, options.services)
    found = run(day, options.minutes, options.seed, options.patience)
    if options.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name}: {value}")
    raise SystemExit(int(bool(found["alerts lost"] or found["not diagnosed"])))


if __name__ == "__main__":
    main()
