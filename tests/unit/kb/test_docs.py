"""What docs/knowledge-base.md shows is run, and its commands exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from incident_pipeline.cli.lazy import Group
from incident_pipeline.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[3]
DOCS = (ROOT / "docs" / "knowledge-base.md").read_text()


def test_the_example_runs(tmp_path: Path) -> None:
    (script,) = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)
    command = [sys.executable, "-W", "error", "-c", script]
    finished = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True
    )
    assert re.fullmatch(r"\d+% .+: .+\n", finished.stdout)


def test_the_commands_exist_and_are_all_documented() -> None:
    shown = set(re.findall(r"incident-pipeline kb (\w+)", DOCS))
    group = COMMANDS["kb"]
    assert isinstance(group, Group)
    assert shown == set(group.commands)


def test_the_numbers_of_the_starter_corpus_are_right() -> None:
    from kb import starter_documents

    kinds = [document.kind for document in starter_documents()]
    assert f"({kinds.count('runbook')} runbooks, {kinds.count('postmortem')} postmortems)" in DOCS
