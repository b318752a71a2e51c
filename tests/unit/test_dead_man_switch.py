"""The dead man's switch hears from us only while the responder works."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from incident_pipeline.console.dead_man_switch import DeadManSwitch, trouble
from incident_pipeline.errors import StoreError
from incident_pipeline.storage.inbox.records import InboxState
from tests.unit.intake.builders import NOW


class Inbox:
    def __init__(self, daemon: timedelta | None = timedelta(seconds=5), waits: float = 0) -> None:
        self.daemon, self.waits, self.broken = daemon, waits, False

    def state(self, now: datetime) -> InboxState:
        if self.broken:
            raise StoreError("the disk is gone")
        beats = {} if self.daemon is None else {"daemon": now - self.daemon}
        return InboxState(heartbeats=beats, oldest_unclaimed_seconds=self.waits)


@pytest.mark.parametrize(
    ("inbox", "why"),
    [
        (Inbox(), ""),
        (Inbox(daemon=None), "the Dagster daemon is silent"),
        (Inbox(daemon=timedelta(minutes=4)), "the Dagster daemon is silent"),
        (Inbox(waits=400), "an alert has waited for 400 s"),
    ],
)
def test_what_counts_as_working(inbox: Inbox, why: str) -> None:
    assert trouble(inbox.state(NOW), NOW) == why


def test_it_pings_while_all_is_well() -> None:
    inbox, pinged = Inbox(), []
    switch = DeadManSwitch(inbox, lambda: not pinged.append(1), lambda: NOW)
    assert switch.look()
    inbox.broken = True
    assert not switch.look()
    assert pinged == [1]
