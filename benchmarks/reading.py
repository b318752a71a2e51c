"""How fast files become evidence, and how fast secrets are taken out of lines.

    python -m benchmarks.reading

Beside each: what Python's own `json` and `csv` need for the same bytes, in the same run.
"""

from __future__ import annotations

import csv
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from incident_pipeline.incident_folder.reading import load_folder
from kb.redaction import redact

LINE = (
    '{{"timestamp":"2026-11-23T14:{:02d}:00Z","service":"s{}","level":"info",'
    '"message":"request {} took 12 ms","attributes":{{"pod":"p"}}}}'
)
COMPLAINT = (
    "2026-11-23T14:32:{:02d}Z ERROR checkout request {:032x} to payments failed: connection refused, key=cart:{}"
)


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        lines = [LINE.format(i % 35, i % 9, i) for i in range(10_000)]
        rows = [f"2026-11-23T14:{minute:02d}:00Z,s{n % 9},m{n},{n}.5" for n in range(500) for minute in range(60)]
        (folder / "alerts.json").write_text(json.dumps([{"title": "slow", "started_at": "2026-11-23T14:35:00Z"}]))
        (folder / "logs.jsonl").write_text("\n".join(lines))
        (folder / "metrics.csv").write_text("timestamp,service,metric,value\n" + "\n".join(rows))
        say("10,000 log lines and 500 series of 60 points, read as evidence", lambda: load_folder(folder))
        say("the same bytes by json and csv alone", lambda: plainly(folder))
    complaints = [COMPLAINT.format(i % 60, i, i) for i in range(10_000)]
    say("10,000 lines without their secrets", lambda: [redact(line) for line in complaints])


def plainly(folder: Path) -> None:
    """Parse, and make nothing of it."""
    for line in (folder / "logs.jsonl").read_text().splitlines():
        json.loads(line)
    with (folder / "metrics.csv").open() as file:
        for row in csv.DictReader(file):
            float(row["value"])


def say(what: str, work: Callable[[], object], repeats: int = 5) -> None:
    """The fastest of several runs, in seconds of processor time."""
    seconds = []
    for _ in range(repeats):
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    print(f"{what}: {min(seconds):.3f} s")


if __name__ == "__main__":
    main()
