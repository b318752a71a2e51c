"""The Dagster instance of a data directory; `DAGSTER_HOME` lies below it, never in a temporary folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from filelock import FileLock

from incident_pipeline.application import Application

_HERE = Path(__file__).resolve().parent
CONFIGURATIONS = (_HERE / "dagster.yaml", _HERE.parent / "dagster.yaml")
"""Where it lies in the wheel, and in a checkout."""
STATEMENT_SECONDS, RECYCLE_SECONDS, MOST_CONNECTIONS = 60, 3600, 10


def prepare_home(application: Application) -> Path:
    """Create DAGSTER_HOME with the instance's configuration; a file that is there already is the user's and stays."""
    home = application.dagster_home
    home.mkdir(parents=True, exist_ok=True)
    target = home / "dagster.yaml"
    if not target.exists():
        shutil.copyfile(next(path for path in CONFIGURATIONS if path.is_file()), target)
    return home


def prepare_storage(application: Application) -> None:
    """Create Dagster's own tables, once: several processes that do so at the same time break each other's start."""
    home = prepare_home(application)
    with FileLock(home / "storage.lock"):
        done = home / "storage.created"
        if done.exists():
            return
        with open_home(home) as instance:
            # each is created when it is first asked for
            _ = (instance.run_storage, instance.event_log_storage, instance.schedule_storage)
        done.touch()


@contextmanager
def open_instance(application: Application) -> Iterator[dg.DagsterInstance]:
    """The instance of the application's data directory."""
    prepare_storage(application)
    with open_home(application.dagster_home) as instance:
        yield instance


def keep_connections(instance: dg.DagsterInstance) -> None:
    """Have a run keep its connections to Dagster's database, where that is a server: it makes 550 of them otherwise.

    Dagster's own switch for it is named after the process that it was made for. Nothing changes for SQLite
    (`dagster_storage.py`). The connections end with the instance.
    """
    instance.optimize_for_webserver(
        statement_timeout=STATEMENT_SECONDS * 1000, pool_recycle=RECYCLE_SECONDS, max_overflow=MOST_CONNECTIONS
    )


def open_home(home: Path) -> dg.DagsterInstance:
    """The instance of a DAGSTER_HOME, which the configuration in it names by this variable."""
    os.environ["DAGSTER_HOME"] = str(home)
    return dg.DagsterInstance.from_config(str(home))
