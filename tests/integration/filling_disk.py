"""`python -m tests.integration.filling_disk receiver|store DIR`: writes until the disk is full, and after it.

The disk is full when the process may not make a file any longer (`RLIMIT_FSIZE`), which the kernel answers at the same
place as a full disk: in the middle of a write. Prints what it saw as JSON.
"""

from __future__ import annotations

import json
import resource
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from incident_pipeline.config import Scenario
from incident_pipeline.console.receiver import create_receiver
from incident_pipeline.errors import StoreError
from incident_pipeline.models import Envelope, EvidenceKind, Gathered, LogEntry
from incident_pipeline.storage.inbox import Inbox
from incident_pipeline.storage.incidents.store import IncidentStore

NOW = datetime(2026, 11, 23, 14, 35, tzinfo=UTC)
ROOM = 200_000
"""Bytes by which the largest file of an empty inbox may still grow."""
TEXT = "disk " * 400


def largest_file(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def receiver(folder: Path) -> dict[str, Any]:
    inbox = Inbox.open(folder / "inbox.sqlite")
    accepted: list[str] = []
    statuses: list[int] = []

    def send(client: TestClient, number: int) -> int:
        alert = {"source_id": f"a{number}", "title": f"errors {number}", "summary": TEXT, "severity": "P2"}
        status = client.post("/webhooks/custom", json=alert).status_code
        if status == 202:
            accepted.append(f"a{number}")
        return status

    app = create_receiver(inbox, Scenario(), (), lambda: None)
    with TestClient(app, base_url="http://127.0.0.1", client=("127.0.0.1", 1)) as client:
        largest_file(max(path.stat().st_size for path in folder.iterdir()) + ROOM)
        number = 0
        while not statuses or statuses[-1] == 202:
            statuses.append(send(client, number))
            number += 1
        full = {path: client.get(path).status_code for path in ("/health", "/metrics")}
        statuses.append(send(client, number))
        largest_file(resource.RLIM_INFINITY)
        statuses.append(send(client, number + 1))
    grouped = inbox.group(NOW, Scenario().alerts)
    stored = sorted(a.source_id for name in grouped.created for a in inbox.incident(name).alerts)
    with inbox._database.read() as connection:
        whole = connection.exec_driver_sql("PRAGMA integrity_check").scalar()
    inbox.close()
    return {
        "statuses": statuses,
        "full": full,
        "accepted": sorted(accepted),
        "stored": stored,
        "integrity": whole,
    }


def store(folder: Path) -> dict[str, Any]:
    incidents = IncidentStore(folder / "incidents")

    def write(number: int) -> int:
        lines = [LogEntry(timestamp=NOW, message=f"{number} {line} {hash((number, line))}") for line in range(2000)]
        logs = Gathered(kind=EvidenceKind.LOGS, envelopes=(Envelope.of("loki", lines, seconds=0.1),))
        written = incidents.write("INC-1", {"logs": logs}, run_id=f"r{number}", as_of=NOW, now=NOW)
        return written["logs"].version

    first = write(0)
    largest_file((folder / "incidents" / "INC-1.duckdb").stat().st_size + 50_000)
    failed = ""
    number = 0
    while not failed:
        number += 1
        try:
            write(number)
        except StoreError as error:
            failed = str(error)
    kept = incidents.materializations("INC-1", "logs")[-1].version
    largest_file(resource.RLIM_INFINITY)
    return {
        "first": first,
        "failed": failed,
        "kept": kept,
        "expected": number,
        "read": len(incidents.read("INC-1", "logs", kept).rows),
        "after": write(number + 1),
    }


if __name__ == "__main__":
    print(json.dumps({"receiver": receiver, "store": store}[sys.argv[1]](Path(sys.argv[2]))))
