"""The rehearsal leaves a process that can be forked: nothing open, nothing running, nothing changed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import os, sys, threading
from pathlib import Path
from assets.rehearsal import rehearse
from incident_pipeline.application import Application

before = dict(os.environ)
application = Application.load(None, Path(sys.argv[1]), {})
rehearse(application)
application.close()
assert dict(os.environ) == before, "the environment changed"
assert threading.enumerate() == [threading.main_thread()], threading.enumerate()
open_files = [Path("/proc/self/fd") / number for number in os.listdir("/proc/self/fd")]
files = [os.readlink(path) for path in open_files if path.exists()]
assert not [name for name in files if name.endswith((".db", ".duckdb", ".sqlite")) or "sqlite" in name], files
assert "duckdb" in sys.modules and "assets.dagster_storage" in sys.modules
print(sorted(os.listdir(sys.argv[1])) if os.path.isdir(sys.argv[1]) else [])
"""


def test_a_rehearsal_loads_what_runs_need_and_leaves_nothing(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    # what others share is no stage for an invented incident
    shared = tmp_path / "shared.sqlite"
    config = tmp_path / "incident.yaml"
    config.write_text(f"scenario:\n  inbox_url: sqlite:///{shared}\n")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "data")],
        env={**os.environ, "TMPDIR": str(temporary), "INCIDENT_PIPELINE_CONFIG": str(config)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]", "an incident that nobody had was stored"
    assert list(temporary.iterdir()) == []
    assert "failed" not in done.stderr
    assert not shared.exists()
