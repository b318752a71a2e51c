"""Keeps Dagster's SQLite files open.

Dagster opens and closes a connection for each event. SQLite folds its write-ahead log back into the file whenever the
last connection closes, with all that means for the disk; one idle connection spares that (measured for 22 empty assets
on a loaded machine: 5 s before, 1.3 s with it; 1.75 s and 1.1 s of processor time).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path


@contextmanager
def kept_open(home: Path, run_id: str | None = None) -> Iterator[None]:
    """Hold one idle connection to the instance's files, or to those of one run, while the block runs."""
    history = home / "history"
    files = [history / "runs" / f"{run_id}.db"] if run_id else []
    files += [history / "runs.db", history / "runs" / "index.db", home / "schedules" / "schedules.db"]
    with ExitStack() as stack:
        for file in files:
            if file.is_file():
                connection = stack.enter_context(closing(sqlite3.connect(file, check_same_thread=False)))
                # a connection counts as open from its first read on
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        yield
