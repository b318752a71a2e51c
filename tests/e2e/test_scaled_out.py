"""Past one machine, by configuration alone: two receivers, two Celery workers of which one dies."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.scaled_out import scaled_out
from tests.e2e.stack import Stack, alert, wait_for
from tests.e2e.test_kill import unfinished_runs
from tests.integration.peers import free_port

CONFIGURATION = "scenario:\n  diagnosis:\n    updates: [0s]\n    max_concurrent: 4\n"


@pytest.mark.timeout(900)
def test_two_workers_and_the_death_of_one(tmp_path: Path, whole: bool) -> None:
    count = 8 if whole else 4
    with scaled_out(tmp_path, CONFIGURATION) as stack:
        stack.start()
        second = free_port()
        receiver = subprocess.Popen(
            [
                *(sys.executable, "-m", "incident_pipeline.console.serve"),
                *("--port", str(second), "--web-server", stack.ui),
            ],
            stderr=subprocess.DEVNULL,
        )
        try:
            first = stack.receiver
            for number in range(count):
                stack.receiver = first if number % 2 else f"http://127.0.0.1:{second}"
                wait_for("receiver", lambda n=number: accepted(stack, n), seconds=60)  # type: ignore[misc]
            wait_for("first diagnosis", lambda: any(r.diagnosed_at for r in stack.incidents()), seconds=180)
            stack.workers["one"].kill()
            stack.wait_diagnosed(count, seconds=400)
            inbox = stack.inbox
            members = Counter(
                one.source_id for record in inbox.incidents() for one in inbox.incident(record.incident_id).alerts
            )
            inbox.close()
            assert members == {f"alert-{number}": 1 for number in range(count)}
            wait_for("end of every run", lambda: not unfinished_runs(stack), seconds=60)
            assert not (stack.data_dir / "inbox.sqlite").exists()
        finally:
            receiver.kill()
            receiver.wait(10)


def accepted(stack: Stack, number: int) -> bool:
    try:
        return stack.send(alert(number, f"service-{number}")) == 202
    except OSError:
        return False
