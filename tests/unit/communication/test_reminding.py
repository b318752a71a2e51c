"""Somebody is reminded when the next update falls due: once, in the thread, and only while the incident goes on."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from incident_pipeline.communication.speaker import Speaker
from tests.unit.communication.newsroom import Newsroom


class Waiting(Newsroom):
    """A newsroom that was told, in which time passes."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.diagnosed()
        self.speak()
        self.speaker = Speaker(self.application, "daemon", now=lambda: self.now, delivery=self.delivery, since=self.now)

    def wait(self, minutes: float) -> list[str]:
        """The reminders in the thread after so long."""
        self.now += timedelta(minutes=minutes)
        self.inbox.heartbeat("daemon", self.now)
        self.speaker.speak()
        return [message["text"] for message in self.replies if "next update is due" in message["text"]]


def test_a_reminder_comes_once_when_it_is_due(tmp_path: Path) -> None:
    room = Waiting(tmp_path)
    assert room.inbox.incident(room.incident_id).severity == "P1"
    assert room.wait(29) == []
    (text,) = room.wait(2)
    assert "since 15:05 UTC" in text
    assert len(room.wait(40)) == 1
    # a run that comes to the same result tells nobody anything, and promises nothing anew
    room.diagnosed()
    assert len(room.wait(40)) == 1
    # news does
    room.inbox.resolve(room.incident_id, "dana", room.now)
    room.wait(1)
    room.inbox.reopen(room.incident_id, "dana", room.now)
    assert len(room.wait(1)) == 1
    assert len(room.wait(29)) == 1
    assert len(room.wait(2)) == 2


@pytest.mark.parametrize("what", ["resolved", "forgotten"])
def test_nobody_is_reminded_of_what_is_over(tmp_path: Path, what: str) -> None:
    room = Waiting(tmp_path)
    if what == "resolved":
        room.inbox.resolve(room.incident_id, "dana", room.now)
        room.speak()
        assert room.wait(40) == []
    else:
        assert room.wait(60 * 25) == []


def test_a_reminder_that_was_given_up_is_not_queued_again(tmp_path: Path) -> None:
    room = Waiting(tmp_path)
    room.wait(31)
    with room.inbox._database.write() as connection:
        connection.exec_driver_sql("UPDATE messages SET state = 'failed' WHERE key LIKE '%:due:%'")
    room.wait(1)
    (state,) = [one.state for one in room.inbox.messages() if ":due:" in one.key]
    assert state == "failed"
