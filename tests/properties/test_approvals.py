"""Deciding and carrying out, in any order of events: nothing acts without a valid approval or a rule, and never twice.

The model keeps its own account, in a few lines: which complete approvals are good for what, and whether they are spent.
At the very moment of an effect it asks that account.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from incident_pipeline.errors import PolicyError
from incident_pipeline.remediation.approvals import Choice, permit_automatic
from incident_pipeline.remediation.carrying_out import carry_out
from incident_pipeline.remediation.executors.base import Outcome
from tests.unit.remediation.place import NOW, Killed, Place, Target, an_action
from tests.unit.remediation.test_carrying_out import Dying, dying_at

VALID = timedelta(minutes=10)
PEOPLE = ("dana", "erin", "finn", "mallory")
APPROVERS = ("dana", "erin", "finn")
BY_PEOPLE = {
    "action": "*", "environment": "*", "decide": "approval", "approvers": APPROVERS, "approvals": 2, "valid_for": "10m",
}  # fmt: skip
BY_ITSELF = {"action": "rollback", "environment": "staging", "valid_for": "10m", "per_day": 2}
COMMANDS = ("to v1", "to v2")


class ApprovalMachine(RuleBasedStateMachine):
    """One action whose content changes between two, people, processes that die, a clock and a switch."""

    @initialize(automatic=st.booleans())
    def open(self, automatic: bool) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.automatic = automatic
        policy = [BY_ITSELF, BY_PEOPLE] if automatic else [BY_PEOPLE]
        rules = {"policy": policy, "approvers": APPROVERS}
        self.place = Place(Path(self.folder.name), rules, "staging" if automatic else "production")
        self.inbox = self.place.application.inbox
        self.target = Target()
        self.target.at_effect = self.account
        self.now: datetime = NOW
        self.command = COMMANDS[0]
        self.frozen = False
        self.violations: list[str] = []
        self.permitted = False
        self.approvals: list[tuple[str, str, datetime]] = []
        """Who, for what, until when; those that are not yet part of a complete approval."""
        self.complete: list[tuple[str, datetime]] = []
        """For what, until when; unspent."""
        self.decided_once = False
        self.runs = 0
        self.planned()

    def teardown(self) -> None:
        if hasattr(self, "place"):
            self.inbox.close()
            self.folder.cleanup()

    def planned(self) -> None:
        environment = "staging" if self.automatic else "production"
        action = an_action(command=self.command, environment=environment, requires_approval=not self.automatic)
        self.place.plan(action)

    def account(self) -> None:
        """An effect happens now: something must be good for it, which is spent by it."""
        good = [one for one in self.complete if one[0] == self.command and one[1] > self.now]
        if self.frozen or not good:
            # raised here it would be taken for a failure of the target
            self.violations.append(f"frozen {self.frozen}, good for it {good}")
        else:
            self.complete.remove(good[0])

    # --- people ---------------------------------------------------------------------------------

    @rule(who=st.sampled_from(PEOPLE), again=st.booleans())
    def approve(self, who: str, again: bool) -> None:
        before = len(self.inbox.executions(self.place.incident_id))
        try:
            self.place.decide(by=who, now=self.now, again=again)
        except PolicyError:
            return
        assert who in APPROVERS
        self.decided_once = True
        self.approvals = [one for one in self.approvals if one[1] == self.command and one[2] > self.now]
        assert who not in {one[0] for one in self.approvals}
        self.approvals.append((who, self.command, self.now + VALID))
        if len(self.approvals) >= (1 if self.automatic else 2):
            self.complete = [(self.command, min(until for _, _, until in self.approvals))]
            self.approvals = []
            assert len(self.inbox.executions(self.place.incident_id)) == before + 1

    @rule()
    def enough_people_approve(self) -> None:
        for who in APPROVERS:
            self.approve(who, True)

    @rule(minutes=st.sampled_from([0, 9, 11]))
    def enough_people_approve_and_somebody_carries_it_out(self, minutes: int) -> None:
        self.enough_people_approve()
        self.wait(minutes)
        self.run()

    @rule(who=st.sampled_from(PEOPLE))
    def reject(self, who: str) -> None:
        try:
            self.place.decide(Choice.REJECTED, by=who, now=self.now)
        except PolicyError:
            return
        assert who in APPROVERS
        self.decided_once = True
        self.approvals, self.complete = [], []

    @rule(happened=st.booleans())
    def settle(self, happened: bool) -> None:
        try:
            self.inbox.settle_execution(self.place.incident_id, an_action().action_id, happened, "dana", self.now)
        except PolicyError:
            return

    @rule()
    def freeze(self) -> None:
        self.inbox.freeze("dana", "", self.now)
        self.frozen = True

    @rule()
    def unfreeze(self) -> None:
        self.inbox.unfreeze("dana", "", self.now)
        self.frozen = False

    # --- the world ------------------------------------------------------------------------------

    @rule(minutes=st.sampled_from([0, 1, 4, 6, 30]))
    def wait(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes, seconds=1)

    @rule(command=st.sampled_from(COMMANDS))
    def plan_changes(self, command: str) -> None:
        self.command = command
        self.planned()

    @rule(outcome=st.sampled_from(["done", "done", "refused", "no answer"]), can_tell=st.booleans(), dry=st.booleans())
    def target_changes(self, outcome: str, can_tell: bool, dry: bool) -> None:
        self.target.outcome = Outcome(outcome == "done", outcome, None, uncertain=outcome == "no answer")
        self.target.can_tell = can_tell
        self.target.dry_outcome = Outcome(dry, "dry run")

    # --- processes ------------------------------------------------------------------------------

    @precondition(lambda self: self.automatic)
    @rule()
    def diagnosed_again(self) -> None:
        actions = self.place.store.remediation.actions if self.place.store.remediation else ()
        for execution in permit_automatic(self.place.application, self.place.incident_id, actions, self.now):
            assert not self.permitted
            assert not self.decided_once
            self.permitted = True
            self.complete = [(self.command, execution.valid_until)]

    @rule()
    def run(self) -> None:
        self._run(lambda: None)

    @rule(moment=st.integers(0, 40), noticed=st.booleans())
    def run_and_die(self, moment: int, noticed: bool) -> None:
        name = self._run(dying_at(self.place, moment))  # type: ignore[arg-type]
        if noticed:
            self.inbox.abandon_executions(name, self.now)

    def _run(self, point: Callable[[], None]) -> str:
        application: Any = self.place.application
        self.runs += 1
        name = f"run-{self.runs}"
        application.__dict__["inbox"] = Dying(self.inbox, point)
        self.target.point = point
        try:
            carry_out(application, self.place.incident_id, name, lambda: self.now, lambda _: self.target)
        except Killed:
            pass
        finally:
            application.__dict__["inbox"] = self.inbox
            self.target.point = lambda: None
        return name

    @invariant()
    def nothing_acted_without_being_permitted(self) -> None:
        assert not getattr(self, "violations", [])

    @invariant()
    def at_most_one_is_on_its_way(self) -> None:
        if hasattr(self, "place"):
            live = [e for e in self.inbox.executions() if e.state in ("queued", "executing", "unknown")]
            assert len(live) <= 1


ApprovalMachine.TestCase.settings = settings(
    stateful_step_count=25, phases=[Phase.explicit, Phase.reuse, Phase.generate]
)
TestApprovals = pytest.mark.timeout(3600)(ApprovalMachine.TestCase)
