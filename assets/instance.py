"""The Dagster instance of a data directory; `DAGSTER_HOME` lies below it, never in a temporary folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from incident_pipeline.application import Application

_HERE = Path(__file__).resolve().parent
CONFIGURATIONS = (_HERE / "dagster.yaml", _HERE.parent / "dagster.yaml")
"""Where it lies in the wheel, and in a checkout."""


def prepare_home(application: Application) -> Path:
    """Create DAGSTER_HOME with the instance's configuration; a file that is there already is the user's and stays."""
    home = application.dagster_home
    home.mkdir(parents=True, exist_ok=True)
    target = home / "dagster.yaml"
    if not target.exists():
        shutil.copyfile(next(path for path in CONFIGURATIONS if path.is_file()), target)
    return home


@contextmanager
def open_instance(application: Application) -> Iterator[dg.DagsterInstance]:
    """The instance of the application's data directory."""
    home = prepare_home(application)
    os.environ.setdefault("DAGSTER_HOME", str(home))
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance
