"""What docs/communication.md shows is so."""

from __future__ import annotations

import re
from pathlib import Path

from incident_pipeline.configuration.file import load_scenario
from incident_pipeline.documents.render import PACKAGED_TEMPLATES
from incident_pipeline.models import Severity
from tests.unit.cli.runner import ROOT

PAGE = (ROOT / "docs" / "communication.md").read_text(encoding="utf-8")


def test_the_example_loads(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "incident.yaml"
    path.write_text(example)
    names = re.findall(r"\$\{(\w+)\}", example)
    loaded = load_scenario(path, environ=dict.fromkeys(names, "x"))
    assert loaded.missing == ()
    support, board = loaded.scenario.remediation.communication.stakeholders
    assert (support.quiet_hours is not None, board.webhook) == (True, "board")
    assert board.severities == (Severity.P1,)


def test_every_template_is_named_and_every_picture_is_there() -> None:
    assert {path.name for path in PACKAGED_TEMPLATES.glob("*.j2")} == set(re.findall(r"`(\w+\.\w+\.j2)`", PAGE))
    for picture in re.findall(r"\((images/[\w.-]+)\)", PAGE):
        assert (ROOT / "docs" / picture).stat().st_size > 10_000
