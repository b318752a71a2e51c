"""What was approved is carried out once, in order, and what dies in between is looked at, never repeated."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from incident_pipeline.application import Application
from incident_pipeline.close_out.chronicle import entries_of
from incident_pipeline.config import RemediationSettings
from incident_pipeline.models import Envelope, EvidenceKind, Gathered, MetricSeries, SeriesCheck
from incident_pipeline.remediation.approvals import Choice, decide, proposed
from incident_pipeline.remediation.carrying_out import carry_out
from incident_pipeline.remediation.executors.base import Outcome
from incident_pipeline.remediation.records import ExecutedAction, Verification
from incident_pipeline.remediation.rehearsals import rehearse
from incident_pipeline.storage.inbox.schema import incidents
from tests.unit.remediation.place import NOW, Killed, Place, Target, an_action

AFTER_THE_LEASE = timedelta(minutes=5)
CHECK = SeriesCheck(name="error_ratio", series="error_ratio", service="payments", threshold=0.01)

SILENT = "prometheus did not answer"


class Scene(Place):
    """A place with a target, and a clock that is set by hand."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        super().__init__(folder, settings, "production")
        self.target = Target()
        self.now = NOW
        self.plan(an_action())

    def run(self, run_id: str = "run") -> tuple[ExecutedAction, ...]:
        return carry_out(self.application, self.incident_id, run_id, lambda: self.now, lambda _: self.target)

    def is_now(self) -> str:
        return self.state(self.now)


Make = Callable[..., Scene]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return lambda settings=None: Scene(tmp_path, settings or {})


def test_nothing_happens_without_an_approval(make: Make) -> None:
    scene = make()
    assert scene.run() == ()
    assert scene.target.effects == 0


def test_what_was_approved_is_carried_out_once(make: Make) -> None:
    scene = make()
    scene.decide()
    (done,) = scene.run()
    assert (done.state, done.approved_by, done.exit_status, done.output) == ("done", ("dana",), 0, "done")
    assert done.steps == ("rollback before",)
    scene.run()
    assert scene.target.effects == 1
    assert scene.is_now() == "done"


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("a\n\nb\n", "Step: done (a / b)"),
        ("1\n2\n3\n4", "Step: done (1 / 2 / 3 ...)"),
        ("", "Step: done"),
        ("password=hunter2hunter2", "Step: done (password=[redacted])"),
    ],
)
def test_what_the_target_said_stands_in_the_timeline(make: Make, output: str, told: str) -> None:
    scene = make()
    scene.decide()
    scene.target.outcome = Outcome(True, output, 0)
    scene.run()
    events = scene.application.inbox.events(scene.incident_id)
    assert told in [entry.text for entry in entries_of(events, {"rollback-1a2b3c": "Step"})]


@pytest.mark.parametrize("what", ["reject", "expire", "change", "gone", "freeze", "forbid", "approvers"])
def test_what_takes_an_approval_back_before_it_begins(make: Make, what: str) -> None:
    scene = make()
    scene.decide()
    if what == "reject":
        scene.decide(Choice.REJECTED, by="erin")
    elif what == "expire":
        scene.now += timedelta(hours=1)
    elif what == "change":
        scene.plan(an_action(command="something else"))
    elif what == "gone":
        scene.plan(an_action(action_id="rollback-other"))
    elif what == "freeze":
        scene.application.inbox.freeze("erin", "", NOW)
    else:
        rule = {"action": "rollback", "environment": "production", "decide": "approval", "approvers": ["erin"]}
        rule |= {"decide": "forbidden"} if what == "forbid" else {}
        changed = {"remediation": RemediationSettings.model_validate({"policy": [rule]})}
        scenario = scene.application.scenario.model_copy(update=changed)
        object.__setattr__(scene.application, "scenario", scenario)
    scene.run()
    scene.now += timedelta(seconds=40)
    scene.run()
    assert scene.target.effects == 0
    assert scene.is_now() in {"rejected", "expired", "proposed", "approved"}


def test_freezing_holds_and_unfreezing_lets_go(make: Make) -> None:
    scene = make()
    scene.decide()
    scene.application.inbox.freeze("erin", "", NOW)
    scene.run()
    scene.application.inbox.unfreeze("erin", "", NOW)
    scene.run()
    assert scene.target.effects == 1


def test_a_freeze_between_the_dry_run_and_the_intent_still_holds(make: Make) -> None:
    scene = make()
    scene.decide()
    scene.target.point = lambda: scene.application.inbox.freeze("erin", "", NOW)
    scene.run()
    assert scene.target.effects == 0


def test_a_dry_run_that_fails_keeps_it_from_happening(make: Make) -> None:
    scene = make()
    scene.decide()
    scene.target.dry_outcome = Outcome(False, "admission webhook denied it", 1)
    (done,) = scene.run()
    assert (done.state, scene.target.effects) == ("failed", 0)
    assert "admission webhook denied it" in done.reason


def test_a_target_that_changed_since_it_was_shown_voids_the_approval(make: Make) -> None:
    scene = make()
    assert rehearse(scene.application, scene.incident_id, an_action(), NOW, lambda _: scene.target) is not None
    scene.decide()
    scene.target.state = "another release came"
    (done,) = scene.run()
    assert (done.state, scene.target.effects) == ("failed", 0)
    assert "changed since the approval" in done.reason


def test_a_target_that_does_not_answer_is_tried_until_the_approval_runs_out(make: Make) -> None:
    scene = make()
    scene.decide()
    scene.target.unreachable = True
    scene.run()
    assert scene.is_now() == "approved"
    scene.target.unreachable = False
    scene.run()
    assert scene.is_now() == "done"


def test_a_refusal_is_a_failure_and_can_be_approved_again(make: Make) -> None:
    scene = make()
    scene.decide()
    scene.target.outcome = Outcome(False, "forbidden", 1)
    (done,) = scene.run()
    assert (done.state, done.output, done.exit_status) == ("failed", "forbidden", 1)
    scene.run()
    scene.target.outcome = Outcome(True, "done", 0)
    scene.decide(by="erin")
    scene.run()
    assert scene.target.effects == 1
    assert scene.is_now() == "done"


def test_no_answer_is_looked_after_and_not_repeated(make: Make) -> None:
    scene = make()
    scene.decide()
    scene.target.outcome = Outcome(False, "timed out", uncertain=True)
    scene.run()
    assert scene.is_now() == "unknown"
    scene.now += timedelta(seconds=10)
    scene.run()
    assert (scene.is_now(), scene.target.effects) == ("done", 1)


def test_what_nobody_can_tell_a_person_settles(make: Make) -> None:
    scene = make()
    scene.decide()
    scene.target.outcome = Outcome(False, "timed out", uncertain=True)
    scene.target.can_tell = False
    scene.run()
    scene.now += AFTER_THE_LEASE
    (done,) = scene.run()
    assert done.state == "unknown"
    assert "settle" in done.reason
    scene.application.inbox.settle_execution(scene.incident_id, done.action_id, True, "dana", scene.now)
    assert scene.is_now() == "done"


def test_a_process_that_lost_its_lease_cannot_write_over_what_came_after(make: Make) -> None:
    scene = make()
    scene.decide()
    inbox = scene.application.inbox

    def stolen() -> None:
        scene.now += AFTER_THE_LEASE
        inbox.recheck_execution(1, "another", scene.now)

    scene.target.at_effect = stolen
    scene.run()
    assert scene.is_now() == "unknown"


class Dying:
    """Stands in for the inbox of a process that dies at one of the moments at which it could."""

    def __init__(self, inner: Any, point: Callable[[], None]) -> None:
        self._inner, self._point = inner, point

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found

        def call(*args: Any, **more: Any) -> Any:
            self._point()
            answer = found(*args, **more)
            self._point()
            return answer

        return call


def dying_at(scene: Scene, when: int) -> Callable[[], None]:
    """A point that kills at its n-th time."""
    passed = iter(range(10_000))

    def point() -> None:
        if next(passed) == when:
            raise Killed

    return point


def run_until_killed(scene: Scene, when: int, run_id: str) -> bool:
    """One run that dies at a moment; False where it had ended before."""
    inbox = scene.application.inbox
    point = dying_at(scene, when)
    scene.application.__dict__["inbox"] = Dying(inbox, point)
    scene.target.point = point
    try:
        scene.run(run_id)
    except Killed:
        return True
    else:
        return False
    finally:
        scene.application.__dict__["inbox"] = inbox
        scene.target.point = lambda: None


@pytest.mark.parametrize("noticed", [True, False])
@pytest.mark.parametrize("can_tell", [True, False])
def test_whenever_it_dies_it_happens_at_most_once(make: Make, noticed: bool, can_tell: bool) -> None:
    moments = 0
    scene = make()
    for when in range(200):
        action = an_action(action_id=f"rollback-{when}")
        scene.plan(action)
        scene.target = Target()
        scene.target.can_tell = can_tell
        scene.decide(now=scene.now)
        killed = run_until_killed(scene, when, f"run-{when}")
        if noticed:
            scene.application.inbox.abandon_executions(f"run-{when}", scene.now)
        run_until_killed(scene, when % 7, f"second-{when}")
        for _ in range(4):
            scene.now += AFTER_THE_LEASE
            scene.run("after")
        state = scene.is_now()
        assert scene.target.effects <= 1
        assert state in ({"done", "failed"} if can_tell else {"done", "unknown"}), when
        if state in ("done", "failed"):
            assert (state == "done") == (scene.target.effects == 1)
        if state == "unknown":
            scene.application.inbox.settle_execution(scene.incident_id, action.action_id, True, "dana", scene.now)
        moments += killed
        if not killed:
            break
    assert moments > 15


def test_a_verification_that_fails_proposes_to_take_it_back(make: Make) -> None:
    scene = make()
    scene.plan(an_action(check=CHECK))
    scene.decide()
    scene.run()
    scene.now += timedelta(minutes=11)
    inbox = scene.application.inbox
    (execution,) = inbox.executions_due(scene.now)
    inbox.record_verification(execution.execution_id, Verification.FAILED, "errors go on", scene.now)
    undo, original = proposed(scene.application, scene.incident_id, scene.now)
    assert (undo.action_id, undo.undo_of, undo.state) == ("undo-rollback-1a2b3c", "rollback-1a2b3c", "proposed")
    assert undo.requires_approval
    assert "errors go on" in undo.why
    assert original.state == "done"
    decide(scene.application, scene.incident_id, undo.action_id, Choice.APPROVED, by="dana", via="http", now=scene.now)
    scene.run()
    states = {one.action_id: one.state for one in proposed(scene.application, scene.incident_id, scene.now)}
    assert states == {"undo-rollback-1a2b3c": "done", "rollback-1a2b3c": "undone"}
    assert scene.target.effects == 2


def test_a_verification_without_a_source_is_said_to_be_untold(make: Make) -> None:
    scene = make()
    scene.plan(an_action(check=CHECK))
    scene.decide()
    scene.run()
    scene.now += timedelta(minutes=11)
    (done,) = scene.run()
    assert (done.state, done.verification) == ("done", "untold")


@pytest.fixture
def one_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Application, "sources", lambda _self: {EvidenceKind.METRICS: [object()]})


def answering(*rows: MetricSeries) -> Any:
    envelope = Envelope.of("prometheus", rows) if rows else Envelope.unavailable("prometheus", SILENT)
    found: Gathered[MetricSeries] = Gathered(kind=EvidenceKind.METRICS, envelopes=(envelope,))
    return lambda *_: {EvidenceKind.METRICS: found}


@pytest.mark.usefixtures("one_source")
def test_a_source_that_does_not_answer_is_asked_again_until_a_deadline(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = make()
    scene.plan(an_action(check=CHECK))
    scene.decide()
    scene.run()
    gather = "incident_pipeline.evidence.gather.gather_now"
    monkeypatch.setattr(gather, answering())
    scene.now += timedelta(minutes=11)
    (waits,) = scene.run()
    assert (waits.verification, SILENT in waits.verification_text) == ("pending", True)
    inbox = scene.application.inbox
    assert not inbox.executions_due(scene.now)
    scene.now += timedelta(minutes=1)
    good = MetricSeries(
        name="error_ratio",
        service="payments",
        timestamps=((scene.now - timedelta(minutes=1)).timestamp(),),
        values=(0,),
    )
    monkeypatch.setattr(gather, answering(good))
    (told,) = scene.run()
    assert told.verification == "passed"
    assert not inbox.postpone_verification(told.execution_id, "too late", scene.now)


@pytest.mark.usefixtures("one_source")
def test_after_the_deadline_nobody_can_tell(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = make()
    scene.plan(an_action(check=CHECK))
    scene.decide()
    scene.run()
    monkeypatch.setattr("incident_pipeline.evidence.gather.gather_now", answering())
    outcomes = []
    for _ in range(35):
        scene.now += timedelta(minutes=2)
        outcomes += [one.verification for one in scene.run()]
    assert outcomes.index(Verification.UNTOLD) in range(17, 21)
    assert set(outcomes) == {"pending", "untold"}


def test_a_replayed_incident_is_never_acted_on(make: Make) -> None:
    scene = make()
    with scene.application.inbox._database.write() as connection:
        connection.execute(incidents.update().values(replayed_from="/somewhere"))
    assert "nothing is carried out" in scene.decide()
    scene.run()
    assert scene.target.effects == 0
