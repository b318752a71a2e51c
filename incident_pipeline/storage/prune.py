"""What is kept for how long: incidents are archived when they are old, and forgotten when they are older.

Belongs here: which incidents, and in which order their stores let go of them. Does not belong here: how a file becomes
part of the archive (`incidents/archive.py`), Dagster's history (`assets/history.py`).

The files go before the inbox's rows: a process that dies in between leaves incidents that the next `prune` finds again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from incident_pipeline.config import Scenario
from incident_pipeline.models import Severity
from incident_pipeline.storage.inbox import Inbox
from incident_pipeline.storage.incidents.archive import archive
from incident_pipeline.storage.incidents.file import SUFFIX
from incident_pipeline.storage.incidents.store import IncidentStore


@dataclass(frozen=True)
class Pruned:
    """What was done, or would be."""

    archived: tuple[str, ...]
    forgotten: tuple[str, ...]
    in_use: tuple[str, ...] = ()
    """Old enough for the archive, and open in another program."""


def prune(inbox: Inbox, store: IncidentStore, scenario: Scenario, now: datetime, *, dry_run: bool = False) -> Pruned:
    """Forget what is older than its retention, archive what is older than `archive_after`; only what has ended.

    Raises:
        StoreError: the archive or the inbox cannot be written.
    """
    forgotten = inbox.ended({severity: _forget_before(scenario, severity, now) for severity in Severity})
    old = inbox.ended(dict.fromkeys(Severity, now - scenario.archive_after))
    with_files = {path.name.removesuffix(SUFFIX) for path in store.directory.glob(f"*{SUFFIX}")}
    due = [name for name in old if name in with_files and name not in set(forgotten)]
    if dry_run:
        return Pruned(tuple(due), tuple(forgotten))
    store.delete(*forgotten)
    inbox.forget(forgotten, now)
    archived = archive(store.directory, due, f"{now:%Y%m%d-%H%M%S}") if due else []
    return Pruned(tuple(archived), tuple(forgotten), tuple(name for name in due if name not in set(archived)))


def without_file(directory: Path, incident_ids: list[str]) -> list[str]:
    """Those of the incidents that have no file of their own."""
    return [name for name in incident_ids if not (directory / f"{name}{SUFFIX}").exists()]


def _forget_before(scenario: Scenario, severity: Severity, now: datetime) -> datetime | None:
    kept = scenario.retention_by_severity.get(severity, scenario.retention)
    return None if kept is None else now - kept
