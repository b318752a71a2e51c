"""Who speaks when, and what is said of a part of the responder that has fallen silent."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from incident_pipeline.communication.speaker import HEARTBEAT, Speaker, stands_in
from tests.unit.communication.newsroom import Newsroom


def speaker(room: Newsroom, watches: str = "daemon") -> Speaker:
    return Speaker(room.application, watches, now=lambda: room.now, delivery=room.delivery, since=room.now)


def later(room: Newsroom, seconds: float) -> None:
    room.now += timedelta(seconds=seconds)


def test_a_daemon_that_falls_silent_is_told_of_once_and_when_it_is_back(tmp_path: Path) -> None:
    room = Newsroom(tmp_path)
    one = speaker(room)
    room.inbox.heartbeat("daemon", room.now)
    assert one.speak() == 0
    for _ in range(8):
        later(room, 11)
        one.speak()
    (message,) = room.slack.messages
    assert "daemon is silent since 14:35:00 UTC" in message["text"]
    room.inbox.heartbeat("daemon", room.now)
    later(room, 11)
    one.speak()
    (message,) = room.slack.messages
    assert "daemon is back after 1 minute" in message["text"]


def test_silence_from_before_it_was_started_is_no_news(tmp_path: Path) -> None:
    room = Newsroom(tmp_path)
    room.inbox.heartbeat("daemon", room.now)
    later(room, 3600)
    one = speaker(room)
    assert one.speak() == 0
    room.inbox.heartbeat("daemon", room.now)
    later(room, 50)
    assert one.speak() == 0
    assert room.slack.messages == []


def test_a_part_that_was_switched_off_long_ago_is_not_missed(tmp_path: Path) -> None:
    room = Newsroom(tmp_path)
    one = speaker(room)
    room.inbox.heartbeat("daemon", room.now)
    later(room, 13 * 3600)
    assert one.speak() == 0


def test_the_daemon_stands_in_while_the_receiver_says_nothing(tmp_path: Path) -> None:
    room = Newsroom(tmp_path)
    assert stands_in(room.application, room.now)
    speaker(room).speak()
    assert HEARTBEAT in room.inbox.state(room.now).heartbeats
    assert not stands_in(room.application, room.now)
    later(room, 31)
    assert stands_in(room.application, room.now)
    room.diagnosed()
    assert speaker(room, "receiver").speak() == 2
    # standing in is not being back
    assert stands_in(room.application, room.now)
