"""A full disk: what was accepted is stored, what cannot be stored is refused, and nothing is damaged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.unit.cli.runner import ROOT


def fill(what: str, folder: Path) -> Any:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.integration.filling_disk", what, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_alerts_are_accepted_or_refused_and_none_is_lost(tmp_path: Path) -> None:
    seen = fill("receiver", tmp_path)
    *before, refused, still, after = seen["statuses"]
    assert set(before) == {202}
    assert (refused, still, after) == (503, 503, 202)
    assert seen["full"]["/metrics"] == 200
    # one that was refused may be there, for its sender repeats it and the same delivery is not a second alert
    assert set(seen["accepted"]) <= set(seen["stored"])
    assert len(seen["stored"]) == len(set(seen["stored"]))
    assert seen["integrity"] == "ok"


def test_an_incident_keeps_what_it_had(tmp_path: Path) -> None:
    seen = fill("store", tmp_path)
    assert "could not be written" in seen["failed"]
    assert seen["kept"] == seen["expected"]
    assert seen["read"] == 2000
    assert seen["after"] == seen["kept"] + 1
