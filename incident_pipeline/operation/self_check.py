"""What `doctor --all` asks this installation itself: can it store, does everything live, does anything wait.

Belongs here: one small question for each part, and what its answer means. Does not belong here: the sources of
evidence (`cli/doctor.py`), or repairing anything.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from incident_pipeline.application import Application
from incident_pipeline.errors import IncidentPipelineError
from incident_pipeline.storage.disk import disk_state
from incident_pipeline.storage.file_system import MOUNTS, is_shared, kind_of
from incident_pipeline.storage.incidents.file import SUFFIX
from kb.errors import KnowledgeBaseError

LITTLE_ROOM, NO_ROOM = 0.15, 0.03
SILENCE = timedelta(minutes=3)
LONG_WAIT = timedelta(minutes=2)
FEW_FILES = 1024


@dataclass(frozen=True)
class Answer:
    """What one part said; `status` as of a source: ok, warning or unavailable."""

    part: str
    status: str
    seconds: float
    said: str


Said = tuple[str, str]
"""Status, and one sentence."""


def check(application: Application, now: datetime) -> Iterator[Answer]:
    """Ask each part in turn; one that breaks is an answer, too."""
    for part, question in _QUESTIONS.items():
        began = time.monotonic()
        try:
            status, said = question(application, now)
        except (IncidentPipelineError, KnowledgeBaseError, OSError) as error:
            status, said = "unavailable", str(error)
        yield Answer(part, status, time.monotonic() - began, said)


def _configuration(application: Application, _now: datetime) -> Said:
    missing = [variable.sentence for variable in application.missing]
    if missing:
        return "warning", "; ".join(missing)
    return "ok", str(application.config_path or "the built-in default")


def _data_directory(application: Application, now: datetime) -> Said:
    place = application.data_dir
    if not os.access(place, os.R_OK | os.W_OK | os.X_OK):
        return "unavailable", f"{place} cannot be written by this user"
    room = disk_state(place, now)
    share = room.free_bytes / room.size_bytes
    status = "ok" if share > LITTLE_ROOM else "warning" if share > NO_ROOM else "unavailable"
    return status, f"{room.free_bytes / 1e9:.1f} GB free ({share:.0%}) in {place}"


def _file_system(application: Application, _now: datetime) -> Said:
    kind = kind_of(application.data_dir.resolve(), MOUNTS.read_text(encoding="utf-8"))
    if is_shared(kind) and isinstance(application.inbox_location, Path):
        return "unavailable", f"the inbox is a file on {kind}, where SQLite's locks do not hold: set inbox_url"
    return "ok", f"{kind or 'unknown'}, {'shared with other machines' if is_shared(kind) else 'of this machine'}"


def _open_files(_application: Application, _now: datetime) -> Said:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return ("ok" if limit >= FEW_FILES else "warning"), f"{limit} files may be open (ulimit -n)"


def _inbox(application: Application, now: datetime) -> Said:
    application.inbox.try_write()
    state = application.inbox.state(now)
    return "ok", f"takes alerts; {state.accepted} accepted so far"


def _waiting(application: Application, now: datetime) -> Said:
    state = application.inbox.state(now)
    waited = timedelta(seconds=round(state.oldest_unclaimed_seconds))
    if waited > LONG_WAIT:
        return "unavailable", f"an alert has waited for {waited}, and nobody diagnoses it"
    if state.given_up:
        return "warning", f"{state.given_up} incidents could not be diagnosed; `incidents list` says why"
    return "ok", "nothing waits"


def _incidents(application: Application, _now: datetime) -> Said:
    store = application.store
    files = [path.name.removesuffix(SUFFIX) for path in store.directory.glob(f"*{SUFFIX}")]
    if files:
        store.materializations(max(files))
    return "ok", f"{len(files)} incidents with a file of their own; the newest can be read"


def _knowledge_base(application: Application, now: datetime) -> Said:
    stats = application.knowledge_base.stats()
    age = disk_state(application.data_dir, now).knowledge_base_age_seconds
    if age is None:
        return "warning", "there is no index yet; `kb index` makes one"
    return "ok", f"{stats['documents']} documents, published {timedelta(seconds=round(age))} ago"


def _heartbeat(part: str) -> Callable[[Application, datetime], Said]:
    def ask(application: Application, now: datetime) -> Said:
        spoke = application.inbox.state(now).heartbeats.get(part)
        if spoke is None:
            return "warning", "has never run here"
        silent = timedelta(seconds=max(round((now - spoke).total_seconds()), 0))
        status = "ok" if silent <= SILENCE else "unavailable"
        return status, f"last spoke {silent} ago" + ("" if status == "ok" else f"; see logs/{part}.log")

    return ask


_QUESTIONS: dict[str, Callable[[Application, datetime], Said]] = {
    "configuration": _configuration,
    "data directory": _data_directory,
    "file system": _file_system,
    "open files": _open_files,
    "inbox": _inbox,
    "incidents": _incidents,
    "knowledge base": _knowledge_base,
    "receiver": _heartbeat("receiver"),
    "daemon": _heartbeat("daemon"),
    "waiting": _waiting,
}
