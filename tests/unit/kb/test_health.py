"""What the index's metadata says of a memory that is used."""

from __future__ import annotations

from pathlib import Path

from assets.presentation import health_facts
from incident_pipeline.application import Application
from incident_pipeline.knowledge.health import look
from incident_pipeline.knowledge.sources import read_everything
from tests.unit.intake.builders import NOW, alert


def test_starter_questions_judged_suggestions_and_gaps(tmp_path: Path) -> None:
    application = Application.load(data_dir=tmp_path, environ={})
    read_everything(application)
    application.inbox.adopt([alert("errors", service="mailer")], NOW)
    application.inbox.judge("starter/redis-down", "redis does not answer", True, "ann", NOW)
    application.inbox.judge("starter/rate-limited", "redis does not answer", False, "ann", NOW)
    health = look(application)
    application.close()
    assert health.coverage.without_runbook == ("mailer",)
    assert (health.useful, health.rejected) == (1, 1)
    assert health.judged is not None
    assert health.judged.recall[5] == 1.0
    assert health.starter.recall[1] >= 0.9
    assert health.starter.confident_unmatched == 0.0
    assert health_facts(health)["services without a runbook"] == 1
