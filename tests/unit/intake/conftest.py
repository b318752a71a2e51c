from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.intake.builders import Intake


@pytest.fixture
def intake(tmp_path: Path) -> Iterator[Intake]:
    intake = Intake(tmp_path / "inbox.sqlite")
    yield intake
    intake.inbox.close()
