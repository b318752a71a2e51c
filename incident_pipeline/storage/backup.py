"""A copy of everything that people would miss, in one file, and back.

Belongs here: the stores below the data directory: incidents, inbox, knowledge base. Does not belong here: Dagster's own
history, which is made anew, and logs.

A backup can be taken while everything runs: an incident's file is copied under its lock, the inbox by SQLite's own
online backup, and the knowledge base is only ever replaced as a whole.
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
from incident_pipeline.storage.archive import FOLDER as ARCHIVE
from incident_pipeline.storage.incident_file import SUFFIX, locked

INCIDENTS = "incidents"
INBOX = "inbox.sqlite"
_PLAIN = "knowledge_base.duckdb"
_ARCHIVED = re.compile(rf"{INCIDENTS}/{ARCHIVE}/[A-Za-z0-9_-]+/\w+\.parquet")


def backup(data_dir: Path, target: Path, *, patience: float = 30.0) -> tuple[str, ...]:
    """Write a `.tar.gz` of the stores; returns the names of what is in it.

    Raises:
        StoreError: there is nothing to save, the target exists, or an incident's file is in use for too long.
    """
    if target.exists():
        raise StoreError(f"{target} exists already; choose another name or remove it")
    fresh = target.with_name(f".{target.name}.new")
    try:
        with tempfile.TemporaryDirectory() as folder, tarfile.open(fresh, "w:gz", compresslevel=1) as archive:
            names = []
            for name, file in _copies(data_dir, Path(folder), patience):
                archive.add(file, arcname=name)
                file.unlink()
                names.append(name)
        if not names:
            raise StoreError(f"there is nothing to save in {data_dir}")
        fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)
    return tuple(names)


def restore(source: Path, data_dir: Path) -> tuple[str, ...]:
    """Put a backup in the place of an empty data directory; returns the names of what came back.

    Raises:
        StoreError: the data directory holds something already.
        InputError: the file is no backup.
    """
    if data_dir.exists() and any(data_dir.iterdir()):
        raise StoreError(f"{data_dir} is not empty; restore into a new directory (--data-dir)")
    fresh = data_dir.with_name(f".{data_dir.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        with tarfile.open(source, "r:gz") as archive:
            members = [member for member in archive.getmembers() if member.isfile()]
            strangers = [member.name for member in members if not _is_ours(member.name)]
            if strangers or not members:
                raise InputError(
                    f"{source} is not a backup of this program: it holds {(strangers or ['nothing'])[0]!r}"
                )
            archive.extractall(fresh, members, filter="data")
        if data_dir.exists():
            data_dir.rmdir()
        fresh.replace(data_dir)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise InputError(f"{source} cannot be restored: {error}") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return tuple(member.name for member in members)


def _copies(data_dir: Path, folder: Path, patience: float) -> Iterator[tuple[str, Path]]:
    """Each store's name within the backup, with a copy of it that nobody writes to."""
    for path in sorted((data_dir / INCIDENTS).glob(f"*{SUFFIX}")):
        with locked(path, patience):
            for part in (path, path.with_name(f"{path.name}.wal")):
                if part.exists():
                    yield f"{INCIDENTS}/{part.name}", Path(shutil.copy2(part, folder))
    for path in sorted((data_dir / INCIDENTS / ARCHIVE).glob("[!.]*/*.parquet")):
        yield f"{INCIDENTS}/{ARCHIVE}/{path.parent.name}/{path.name}", Path(shutil.copy2(path, folder))
    inbox = data_dir / INBOX
    if inbox.exists():
        copy = folder / INBOX
        with closing(sqlite3.connect(inbox)) as live, closing(sqlite3.connect(copy)) as saved:
            live.backup(saved)
        yield INBOX, copy
    if (data_dir / _PLAIN).exists():
        yield _PLAIN, Path(shutil.copy2(data_dir / _PLAIN, folder))


def _is_ours(name: str) -> bool:
    folder, _, file = name.rpartition("/")
    if folder == INCIDENTS:
        return file.endswith((SUFFIX, f"{SUFFIX}.wal"))
    return name in (INBOX, _PLAIN) or _ARCHIVED.fullmatch(name) is not None
