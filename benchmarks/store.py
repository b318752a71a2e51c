"""How fast the incident store is: one write, one read, many writers, one query over many incidents.

    python -m benchmarks.store [--repeats N] [--incidents N] [--json]

Wanted: open to close at most about 60 ms; 1,000 log lines and 20 series of 240 points written within 100 ms.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from incident_pipeline.models import Envelope, EvidenceKind, Gathered, LogEntry, MetricSeries, StatusUpdate
from incident_pipeline.storage.incidents import across
from incident_pipeline.storage.incidents.store import IncidentStore

NOW = datetime(2026, 11, 23, 14, 35, tzinfo=UTC)
WRITERS = 8
WRITES = 15
WRITER = """
import sys
from pathlib import Path
from benchmarks.store import NOW, WRITES, logs
from incident_pipeline.storage.incidents.store import IncidentStore
store = IncidentStore(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for number in range(WRITES):
    store.write(sys.argv[2], {"logs": logs(200, f"{sys.argv[3]}-{number}")}, run_id="r", as_of=NOW, now=NOW)
"""


def logs(lines: int, salt: str) -> Gathered[LogEntry]:
    """Log lines of which no two are equal."""
    rows = [
        LogEntry(
            timestamp=NOW + timedelta(seconds=number),
            service="payments",
            level="error",
            message=f"{salt}: request {number} to db-1 failed after {number * 3} ms: connection refused",
            attributes={"trace_id": f"{number:032x}", "pod": "payments-1"},
        )
        for number in range(lines)
    ]
    return Gathered(kind=EvidenceKind.LOGS, envelopes=(Envelope.of("loki", rows),))


def metrics(series: int, points: int, salt: float) -> Gathered[MetricSeries]:
    """Series with labels."""
    rows = [
        MetricSeries(
            name=f"metric_{number}",
            service="payments",
            labels={"pod": "payments-1"},
            timestamps=tuple(NOW.timestamp() + 15 * point for point in range(points)),
            values=tuple(math.sin(point / 9) + salt for point in range(points)),
        )
        for number in range(series)
    ]
    return Gathered(kind=EvidenceKind.METRICS, envelopes=(Envelope.of("prometheus", rows),))


def timed(work: Callable[[Any], object], inputs: Sequence[Any]) -> dict[str, float]:
    """Milliseconds of each call, the first one left out; of the processor too, for a machine that has other work."""
    took, computed = [], []
    for given in inputs:
        began, used = time.perf_counter(), time.process_time()
        work(given)
        took.append((time.perf_counter() - began) * 1000)
        computed.append((time.process_time() - used) * 1000)
    rest = sorted(took[1:])
    return {
        "median_ms": round(statistics.median(rest), 1),
        "p95_ms": round(rest[int(0.95 * (len(rest) - 1))], 1),
        "cpu_ms": round(statistics.median(computed[1:]), 1),
    }


def one_incident(directory: Path, repeats: int) -> dict[str, Any]:
    """Writes and reads of one file."""
    store = IncidentStore(directory)

    def write(values: dict[str, Any]) -> None:
        store.write("INC-1", values, run_id="r", as_of=NOW, now=NOW)

    numbers = range(repeats + 1)
    return {
        "write a small document": timed(
            write, [{"status_update": StatusUpdate(markdown=f"{n}", as_of=NOW)} for n in numbers]
        ),
        "write 1,000 lines and 20 series of 240 points": timed(
            write, [{"logs": logs(1000, str(n)), "metrics": metrics(20, 240, n)} for n in numbers]
        ),
        "write the same again": timed(
            write, [{"logs": logs(1000, "0"), "metrics": metrics(20, 240, 0)} for _ in numbers]
        ),
        "read a small document": timed(lambda _: store.read("INC-1", "status_update"), numbers),
        "read 1,000 lines": timed(lambda _: store.read("INC-1", "logs"), numbers),
        "read 20 series of 240 points": timed(lambda _: store.read("INC-1", "metrics"), numbers),
    }


def writers(directory: Path, *, shared: bool) -> dict[str, float]:
    """Eight processes that write 200 lines at a time, each to its own incident or all to one."""
    command = [sys.executable, "-c", WRITER, str(directory)]
    running = [
        subprocess.Popen(
            [*command, "INC-1" if shared else f"INC-{number}", str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(WRITERS)
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    began = time.perf_counter()
    for process in running:
        process.communicate("go\n")
        assert process.returncode == 0
    seconds = time.perf_counter() - began
    return {"writes_per_second": round(WRITERS * WRITES / seconds, 1)}


def over_all(directory: Path, incidents: int) -> dict[str, Any]:
    """Queries over many incidents."""
    store = IncidentStore(directory)
    for number in range(incidents):
        values = {"logs": logs(200, str(number)), "status_update": StatusUpdate(markdown="#", as_of=NOW)}
        store.write(f"INC-{number}", values, run_id="r", as_of=NOW, now=NOW)
    sizes = [path.stat().st_size for path in directory.glob("*.duckdb")]
    return {
        f"sql, a small asset of {incidents} incidents": timed(
            lambda _: across.query(directory, "SELECT count(*) FROM status_update"), range(4)
        ),
        f"sql, {200 * incidents} log lines of {incidents} incidents": timed(
            lambda _: across.query(directory, "SELECT level, count(*) FROM logs GROUP BY 1"), range(4)
        ),
        "file of two assets": {"kilobytes": round(statistics.median(sizes) / 1024)},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--incidents", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        results = one_incident(root / "one", wanted.repeats)
        results["8 processes, a file each"] = writers(root / "each", shared=False)
        results["8 processes, one file"] = writers(root / "shared", shared=True)
        results |= over_all(root / "many", wanted.incidents)
    if wanted.json:
        print(json.dumps(results, indent=2))
        return
    for name, figures in results.items():
        print(f"{name:48}" + ", ".join(f"{value:g} {unit.replace('_', ' ')}" for unit, value in figures.items()))


if __name__ == "__main__":
    main()
