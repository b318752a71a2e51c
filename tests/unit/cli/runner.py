"""Calls the command line the way a shell does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from typer.testing import CliRunner, Result

from incident_pipeline.cli.main import app

ROOT = Path(__file__).resolve().parents[3]


def call(*words: str, stdin: str | bytes | None = None) -> Result:
    """In this process."""
    result = CliRunner().invoke(app, list(words), input=stdin, env={"COLUMNS": "200"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def process(
    *words: str, cwd: Path, stdin: bytes = b"", environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """In a process of its own, with an environment that says nothing of ours."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(cwd), **(environ or {})}
    return subprocess.run(
        [sys.executable, "-m", "incident_pipeline.cli", *words],
        cwd=cwd,
        input=stdin,
        env=environment,
        capture_output=True,
        timeout=60,
        check=False,
    )
