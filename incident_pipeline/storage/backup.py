"""A copy of everything that people would miss, in one file, and back.

Belongs here: the stores below the data directory: incidents, inbox, knowledge base. Does not belong here: Dagster's own
history, which is made anew, and logs.

A backup can be taken while everything runs: the inbox is copied first, by SQLite's own online backup, then each
incident's file under its lock, so that whatever the inbox says is stored; the knowledge base is only ever replaced as a
whole.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from incident_pipeline.errors import InputError, StoreError
from incident_pipeline.storage.housekeeping_lock import housekeeping
from incident_pipeline.storage.incidents.archive import FOLDER as ARCHIVE
from incident_pipeline.storage.incidents.file import SUFFIX, locked

INCIDENTS = "incidents"
INBOX = "inbox.sqlite"
_PLAIN = "knowledge_base.duckdb"
_MOUNT = "lost+found"
"""What an empty file system of its own holds."""
_ARCHIVED = re.compile(rf"{INCIDENTS}/{ARCHIVE}/[A-Za-z0-9_-]+/\w+\.parquet")


def backup(data_dir: Path, target: Path, *, patience: float = 30.0) -> tuple[str, ...]:
    """Write a `.tar.gz` of the stores, for its owner alone to read; returns the names of what is in it.

    Raises:
        StoreError: there is nothing to save, the target exists or cannot be written, or an incident's file is in use
            for too long.
    """
    if target.exists():
        raise StoreError(f"{target} exists already; choose another name or remove it")
    if not data_dir.is_dir():
        raise StoreError(f"there is nothing to save: {data_dir} does not exist")
    fresh = target.with_name(f".{target.name}.new")
    try:
        with housekeeping(data_dir):
            names = _write(fresh, data_dir, patience)
        if not names:
            raise StoreError(f"there is nothing to save in {data_dir}")
        fresh.replace(target)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"the backup {target} cannot be written: {error}") from error
    finally:
        fresh.unlink(missing_ok=True)
    return tuple(names)


def _write(fresh: Path, data_dir: Path, patience: float) -> list[str]:
    names = []
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    with tempfile.TemporaryDirectory(dir=fresh.parent) as folder, tarfile.open(fresh, "w:gz", compresslevel=1) as whole:
        for name, file in _copies(data_dir, Path(folder), patience):
            whole.add(file, arcname=name)
            file.unlink()
            names.append(name)
    return names


def restore(source: Path, data_dir: Path) -> tuple[str, ...]:
    """Put a backup into an empty data directory; returns the names of what came back.

    Raises:
        StoreError: the data directory holds something already.
        InputError: the file is no backup, or cannot be unpacked.
    """
    if data_dir.exists() and any(path.name != _MOUNT for path in data_dir.iterdir()):
        raise StoreError(f"{data_dir} is not empty; restore into a new directory (--data-dir)")
    made = not data_dir.exists()
    fresh = data_dir / ".restored"
    try:
        names = _unpack(source, fresh)
        # the inbox last: without it nobody takes the directory for a whole one
        for path in sorted(fresh.iterdir(), key=lambda path: path.name == INBOX):
            path.replace(data_dir / path.name)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise InputError(f"{source} cannot be restored: {error}") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        if made and data_dir.exists() and not any(data_dir.iterdir()):
            data_dir.rmdir()
    return names


def _unpack(source: Path, fresh: Path) -> tuple[str, ...]:
    with tarfile.open(source, "r:gz") as whole:
        members = [member for member in whole.getmembers() if member.isfile()]
        strangers = [member.name for member in members if not _is_ours(member.name)]
        if strangers or not members:
            raise InputError(f"{source} is not a backup of this program: it holds {(strangers or ['nothing'])[0]!r}")
        fresh.mkdir(parents=True)
        whole.extractall(fresh, members, filter="data")
    return tuple(member.name for member in members)


def _copies(data_dir: Path, folder: Path, patience: float) -> Iterator[tuple[str, Path]]:
    """Each store's name within the backup, with a copy of it that nobody writes to."""
    inbox = data_dir / INBOX
    if inbox.exists():
        copy = folder / INBOX
        with closing(sqlite3.connect(inbox)) as live, closing(sqlite3.connect(copy)) as saved:
            live.backup(saved)
        yield INBOX, copy
    for path in sorted((data_dir / INCIDENTS).glob(f"*{SUFFIX}")):
        with locked(path, patience):
            for part in (path, path.with_name(f"{path.name}.wal")):
                if part.exists():
                    yield f"{INCIDENTS}/{part.name}", Path(shutil.copy2(part, folder))
    for path in sorted((data_dir / INCIDENTS / ARCHIVE).glob("[!.]*/*.parquet")):
        yield f"{INCIDENTS}/{ARCHIVE}/{path.parent.name}/{path.name}", Path(shutil.copy2(path, folder))
    if (data_dir / _PLAIN).exists():
        yield _PLAIN, Path(shutil.copy2(data_dir / _PLAIN, folder))


def _is_ours(name: str) -> bool:
    folder, _, file = name.rpartition("/")
    if folder == INCIDENTS:
        return file.endswith((SUFFIX, f"{SUFFIX}.wal"))
    return name in (INBOX, _PLAIN) or _ARCHIVED.fullmatch(name) is not None
