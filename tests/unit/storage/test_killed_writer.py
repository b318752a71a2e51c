"""kill -9 at any moment of a write leaves every version that was there, and lets the next writer go on.

The moments are drawn from the seed that pytest prints; `--whole` asks for more of them.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from incident_pipeline.models import Envelope, EvidenceKind, Gathered, LogEntry
from incident_pipeline.storage.incidents.store import IncidentStore

NOW = datetime(2026, 11, 23, 14, 35, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[3]
WRITER = """
import sys
from pathlib import Path
from tests.unit.storage.test_killed_writer import NOW, content
from incident_pipeline.storage.incidents.store import IncidentStore
store, start = IncidentStore(Path(sys.argv[1])), int(sys.argv[2])
print("ready", flush=True)
for number in range(start, start + 1000):
    store.write("INC-1", {"logs": content(number)}, run_id=str(number), as_of=NOW, now=NOW)
    print(number, flush=True)
"""


def content(number: int) -> Gathered[LogEntry]:
    lines = [LogEntry(timestamp=NOW, message=f"write {number} line {line} " + "x" * 40) for line in range(120)]
    return Gathered(kind=EvidenceKind.LOGS, envelopes=(Envelope.of("loki", lines),))


def moments(rng: random.Random, count: int) -> Iterator[float]:
    """Seconds after the writer is ready, some of them within the first write of all."""
    for _ in range(count):
        yield rng.choice([0.08, 0.4]) * rng.random()


def written_until_killed(directory: Path, start: int, seconds: float) -> int:
    """How many writes had returned when the writer was killed."""
    command = [sys.executable, "-c", WRITER, str(directory), str(start)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        try:
            writer.wait(seconds)
        except subprocess.TimeoutExpired:
            writer.send_signal(signal.SIGKILL)
        return len(writer.stdout.read().splitlines())


@pytest.mark.timeout(600)
def test_what_was_written_survives_and_nothing_half_written_shows(
    tmp_path: Path, rng: random.Random, whole: bool
) -> None:
    store = IncidentStore(tmp_path, patience=5)
    known = 0
    for seconds in moments(rng, 100 if whole else 6):
        returned = written_until_killed(tmp_path, known, seconds)
        records = store.materializations("INC-1", "logs") if store.exists("INC-1") else []
        assert known + returned <= len(records) <= known + returned + 1
        assert [record.version for record in records] == list(range(1, len(records) + 1))
        assert [record.run_id for record in records] == [str(number) for number in range(len(records))]
        for version in {1, len(records)} if records else ():
            assert store.read("INC-1", "logs", version) == content(version - 1)
        known = len(records)
    store.write("INC-1", {"logs": content(known)}, run_id=str(known), as_of=NOW, now=NOW)
    assert store.read("INC-1", "logs") == content(known)
