"""The inbox under any order of what several processes do to it.

Holds at every step: each accepted alert is in exactly one incident once it is grouped; no incident has two live
claims; a run that was fenced off cannot begin; severity never drops; what is over gets closed out, and what is open
and undiagnosed waits or runs or was given up.
"""

from __future__ import annotations

import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from incident_pipeline.errors import InputError
from incident_pipeline.storage.inbox import Claim, Inbox
from incident_pipeline.storage.inbox.schema import LIVE_CLAIM_STATES, alert_keys, alerts, claims, incidents, tracks
from tests.examples import examples
from tests.unit.intake.builders import NOW, SETTINGS, alert, catalogue

SERVICES = catalogue(checkout="payments", frontend="checkout,search")
PROCESSES = 3
LEASE = timedelta(seconds=90)
WHO = "operator"


class InboxMachine(RuleBasedStateMachine):
    running = Bundle("running")
    fenced = Bundle("fenced")

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "inbox.sqlite"
        self.processes = [Inbox.open(path) for _ in range(PROCESSES)]
        self.now: datetime = NOW
        self.sent: set[tuple[str, str, str]] = set()
        self.worst: dict[str, str] = {}

    def teardown(self) -> None:
        if hasattr(self, "processes"):
            for process in self.processes:
                process.close()
            self.folder.cleanup()

    who = st.integers(0, PROCESSES - 1)

    @rule(
        process=who,
        name=st.integers(0, 9),
        service=st.sampled_from(["payments", "checkout", "frontend", "search", "mail", None]),
        status=st.sampled_from(["triggered", "triggered", "resolved", "acknowledged"]),
        severity=st.sampled_from(["P1", "P2", "P3"]),
        age=st.integers(0, 900),
    )
    def accept(self, process: int, name: int, service: str | None, status: str, severity: str, age: int) -> None:
        started = self.now - timedelta(seconds=age)
        sent = alert(f"a{name}", service, status=status, severity=severity).model_copy(update={"started_at": started})
        assert self.processes[process].accept([sent, sent], self.now) == 2
        self.sent.add((sent.source_id, sent.status.value, started.isoformat()))

    @rule(process=who)
    def group(self, process: int) -> None:
        self.processes[process].group(self.now, SETTINGS, SERVICES)
        with self.processes[process]._database.read() as connection:
            pending = sa.select(sa.func.count()).where(alerts.c.incident_id.is_(None))
            assert connection.execute(pending).scalar_one() == 0

    @rule(seconds=st.sampled_from([1, 5, 30, 61, 200, 1000]))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(target=running, process=who, limit=st.integers(1, 3))
    def claim(self, process: int, limit: int) -> object:
        taken = self.processes[process].claim(self.now, LEASE, limit)
        live = [each for each in self.processes[0].live_claims() if each.lease_until > self.now]
        assert len(live) <= max(limit, len(live) - len(taken))
        return multiple(*taken)

    @rule(process=who, claim=running, run=st.sampled_from(["a", "b"]))
    def begin(self, process: int, claim: Claim, run: str) -> None:
        live = {each.claim_id: each.run_id for each in self.processes[0].live_claims()}
        allowed = claim.claim_id in live and live[claim.claim_id] in (None, f"{claim.claim_id}/{run}")
        assert self.processes[process].begin(claim.claim_id, f"{claim.claim_id}/{run}", self.now) == allowed

    @rule(target=fenced, process=who, claim=consumes(running), succeeded=st.booleans())
    def finish(self, process: int, claim: Claim, succeeded: bool) -> Claim:
        live = {each.claim_id for each in self.processes[0].live_claims()}
        ended = self.processes[process].finish(claim.claim_id, self.now, succeeded, None if succeeded else "failed")
        assert ended == (claim.claim_id in live)
        return claim

    @rule(process=who, claim=running)
    def renew(self, process: int, claim: Claim) -> None:
        live = {each.claim_id for each in self.processes[0].live_claims()}
        assert self.processes[process].renew(claim.claim_id, self.now, LEASE) == (claim.claim_id in live)

    @rule(process=who)
    def release_expired(self, process: int) -> None:
        for claim in self.processes[process].expired(self.now):
            assert self.processes[process].release(claim.claim_id, self.now)

    @rule(target=fenced, process=who, claim=consumes(running))
    def put_back(self, process: int, claim: Claim) -> Claim:
        self.processes[process].put_back(claim.claim_id, self.now)
        return claim

    @rule(process=who, claim=fenced)
    def what_was_fenced_off_stays_so(self, process: int, claim: Claim) -> None:
        inbox = self.processes[process]
        assert not inbox.begin(claim.claim_id, f"{claim.claim_id}/a", self.now)
        assert not inbox.renew(claim.claim_id, self.now, LEASE)
        assert not inbox.finish(claim.claim_id, self.now, True)
        assert not inbox.release(claim.claim_id, self.now)

    @rule(process=who, pick=st.randoms(use_true_random=False))
    def merge(self, process: int, pick: object) -> None:
        names = sorted(record.incident_id for record in self.processes[process].incidents())
        if len(names) > 1:
            gone, kept = pick.sample(names, 2)  # type: ignore[attr-defined]
            self.processes[process].merge(gone, kept, WHO, self.now)

    @rule(process=who, pick=st.randoms(use_true_random=False))
    def split(self, process: int, pick: object) -> None:
        inbox = self.processes[process]
        names = sorted(record.incident_id for record in inbox.incidents())
        if not names:
            return
        name = pick.choice(names)  # type: ignore[attr-defined]
        members = sorted({each.source_id for each in inbox.incident(name).alerts})
        try:
            new = inbox.split(name, pick.sample(members, 1), WHO, self.now)  # type: ignore[attr-defined]
        except InputError as error:
            assert "has to stay" in str(error)  # noqa: PT017 - one member only is what the rule may meet
        else:
            assert new not in names

    @rule(process=who, pick=st.randoms(use_true_random=False), over=st.booleans())
    def resolve_or_reopen(self, process: int, pick: object, over: bool) -> None:
        inbox = self.processes[process]
        records = sorted((r.incident_id, r.status.value) for r in inbox.incidents())
        for name, status in pick.sample(records, min(1, len(records))):  # type: ignore[attr-defined]
            if over:
                inbox.resolve(name, WHO, self.now)
            elif status == "resolved":
                inbox.reopen(name, WHO, self.now)

    @invariant()
    def every_alert_is_there_and_in_one_incident_that_exists(self) -> None:
        if not hasattr(self, "processes"):
            return
        with self.processes[0]._database.read() as connection:
            stored = connection.execute(sa.select(alerts.c.source_id, alerts.c.status, alerts.c.incident_id)).all()
            states = dict(connection.execute(sa.select(incidents.c.incident_id, incidents.c.status)).all())
            keyed = set(connection.execute(sa.select(alert_keys.c.incident_id)).scalars())
            tracked = set(connection.execute(sa.select(tracks.c.incident_id)).scalars())
        assert {(source_id, status) for source_id, status, _ in self.sent} == {(a, b) for a, b, _ in stored}
        homes = {home for _, _, home in stored if home is not None}
        assert homes == {name for name, status in states.items() if status != "merged"}
        assert keyed <= homes
        assert tracked <= homes

    @invariant()
    def no_incident_has_two_live_claims(self) -> None:
        if not hasattr(self, "processes"):
            return
        with self.processes[0]._database.read() as connection:
            live = sa.select(claims.c.incident_id).where(claims.c.state.in_(LIVE_CLAIM_STATES))
            names = connection.execute(live).scalars().all()
            merged = set(connection.execute(sa.select(incidents.c.incident_id).filter_by(status="merged")).scalars())
        assert len(names) == len(set(names))
        assert not merged & set(names)

    @invariant()
    def severity_never_drops(self) -> None:
        if not hasattr(self, "processes"):
            return
        now = {r.incident_id: r.severity.value for r in self.processes[0].incidents(with_merged=True)}
        assert all(now[name] <= worst for name, worst in self.worst.items())
        self.worst = now
        with self.processes[0]._database.read() as connection:
            firing = sa.select(alerts.c.incident_id, alerts.c.severity).where(
                alerts.c.incident_id.is_not(None), alerts.c.status != "resolved"
            )
            assert all(now[name] <= severity for name, severity in connection.execute(firing))

    @invariant()
    def nothing_is_forgotten(self) -> None:
        if not hasattr(self, "processes"):
            return
        with self.processes[0]._database.read() as connection:
            rows = connection.execute(incidents.select()).mappings().all()
            live = set(
                connection.execute(
                    sa.select(claims.c.incident_id).where(claims.c.state.in_(LIVE_CLAIM_STATES))
                ).scalars()
            )
        for row in rows:
            if row["status"] == "merged" or row["failed_at"] is not None:
                continue
            waits = row["due_at"] is not None or row["incident_id"] in live
            diagnosed = row["responded_at"] is not None
            closed = row["status"] != "resolved" or row["closed_out_at"] is not None
            assert waits or (diagnosed and closed), dict(row)


InboxMachine.TestCase.settings = settings(stateful_step_count=40, max_examples=examples(12))
TestInbox = pytest.mark.timeout(3600)(InboxMachine.TestCase)
