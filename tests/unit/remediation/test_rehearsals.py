"""What is proposed is tried dry before anybody has to decide, and never more than dry."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from incident_pipeline.remediation.executors.base import Outcome
from incident_pipeline.remediation.records import action_hash
from incident_pipeline.remediation.rehearsals import rehearse_offered
from tests.unit.remediation.place import NOW, Place, Target, an_action


class Scene(Place):
    """A place whose proposals can be tried dry."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        super().__init__(folder, settings, "production")
        self.target = Target()
        self.now = NOW
        self.slowness = timedelta(0)
        self.target.point = self._time_passes

    def _time_passes(self) -> None:
        self.now += self.slowness

    def rehearse(self, *actions: Any, **about: Any) -> dict[str, str]:
        incident = self.application.inbox.incident(self.incident_id).model_copy(update=about)
        found = rehearse_offered(self.application, incident, actions, lambda: self.now, lambda _: self.target)
        return {action.action_id: rehearsal.output for action, rehearsal in found}

    def events(self) -> list[str]:
        return [event.kind for event in self.application.inbox.events(self.incident_id)]


def test_what_the_target_says_is_kept_for_whoever_decides(tmp_path: Path) -> None:
    scene = Scene(tmp_path, {})
    assert scene.rehearse(an_action()) == {"rollback-1a2b3c": "rollback before\nwould be done"}
    kept = scene.application.inbox.rehearsal(scene.incident_id, action_hash(an_action()))
    assert kept is not None
    assert kept.succeeded
    assert scene.target.effects == 0
    scene.rehearse(an_action())
    assert scene.events().count("action_rehearsed") == 1
    scene.target.dry_outcome = Outcome(False, "quota exceeded", 1)
    scene.rehearse(an_action())
    assert scene.events().count("action_rehearsed") == 2


@pytest.mark.parametrize(
    "about", [{"missing": "the previous version"}, {"requires_approval": False}, {"state": "rejected"}, {"call": None}]
)
def test_what_nobody_can_say_yes_to_is_not_asked(tmp_path: Path, about: dict[str, Any]) -> None:
    assert Scene(tmp_path, {}).rehearse(an_action(**about)) == {}


@pytest.mark.parametrize("settings", [{"shadow": True}, {"execution": {"rehearse": False}}])
def test_it_can_be_switched_off(tmp_path: Path, settings: dict[str, Any]) -> None:
    assert Scene(tmp_path, settings).rehearse(an_action()) == {}


def test_a_replayed_incident_asks_no_system(tmp_path: Path) -> None:
    assert Scene(tmp_path, {}).rehearse(an_action(), replayed_from="examples/payments-bad-deploy") == {}


def test_slow_targets_do_not_hold_the_run(tmp_path: Path) -> None:
    scene = Scene(tmp_path, {"execution": {"time_limit": "20s"}})
    scene.slowness = timedelta(seconds=15)
    assert list(scene.rehearse(an_action(action_id="one"), an_action(action_id="two"))) == ["one"]


def test_a_target_that_does_not_answer_is_told_as_that(tmp_path: Path) -> None:
    scene = Scene(tmp_path, {})
    scene.target.unreachable = True
    assert scene.rehearse(an_action()) == {"rollback-1a2b3c": "the target does not answer"}
