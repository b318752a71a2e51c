"""The sensor of the knowledge base: another file, another model, or another word of somebody starts one run."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from assets.resources import Responder
from assets.sensors import knowledge_base_sources
from incident_pipeline.storage.inbox import Inbox

NOW = datetime(2026, 11, 23, 14, 35, tzinfo=UTC)


class Ticks:
    """Turns of the sensor, each with the cursor of the one before."""

    def __init__(self, folder: Path) -> None:
        self.config, self.data, self.cursor = folder / "incident.yaml", folder / "data", None

    def configure(self, settings: str) -> None:
        self.config.write_text(f"scenario:\n  knowledge_base: {{{settings}}}\n")

    def starts_a_run(self) -> bool:
        resources = {"responder": Responder(config_file=str(self.config), data_dir=str(self.data))}
        with dg.build_sensor_context(cursor=self.cursor, resources=resources) as context:
            answer = knowledge_base_sources(context)
            self.cursor = context.cursor
        return isinstance(answer, dg.RunRequest)


def test_what_changes_is_read_once(tmp_path: Path) -> None:
    runbooks = tmp_path / "runbooks"
    runbooks.mkdir()
    ticks = Ticks(tmp_path)
    ticks.configure(f"sources: ['{runbooks}']")
    assert [ticks.starts_a_run(), ticks.starts_a_run()] == [True, False]
    (runbooks / "disk.md").write_text("# Disk is full")
    assert [ticks.starts_a_run(), ticks.starts_a_run()] == [True, False]
    ticks.configure(f"sources: ['{runbooks}'], model: none")
    assert [ticks.starts_a_run(), ticks.starts_a_run()] == [True, False]
    ticks.data.mkdir(exist_ok=True)
    inbox = Inbox.open(ticks.data / "inbox.sqlite")
    try:
        inbox.judge("rb/disk", "disk full", True, "ann", NOW)
    finally:
        inbox.close()
    assert [ticks.starts_a_run(), ticks.starts_a_run()] == [True, False]
