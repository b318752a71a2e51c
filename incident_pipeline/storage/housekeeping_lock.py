"""One housekeeping at a time: a backup must not read what `prune` is moving.

Belongs here: the lock. Does not belong here: what is done under it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from incident_pipeline.errors import StoreError

LOCK = ".housekeeping.lock"


@contextmanager
def housekeeping(data_dir: Path, patience: float = 60.0) -> Iterator[None]:
    """Keep other backups and prunes of this data directory away.

    Raises:
        StoreError: another one goes on for longer than `patience` seconds.
    """
    from filelock import FileLock, Timeout

    data_dir.mkdir(parents=True, exist_ok=True)
    lock = FileLock(data_dir / LOCK)
    try:
        lock.acquire(timeout=patience)
    except Timeout as error:
        raise StoreError(f"a backup or prune of {data_dir} is going on already; try again when it has ended") from error
    try:
        yield
    finally:
        lock.release()
