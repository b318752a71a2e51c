"""A loop in the background goes on whatever happens in a turn, and ends when it is told to."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta

import pytest

from incident_pipeline.operation.background import BackgroundLoop

NEVER = timedelta(hours=1)


def test_a_turn_that_fails_is_said_and_followed_by_the_next(caplog: pytest.LogCaptureFixture) -> None:
    twice, turns = threading.Event(), []

    def turn() -> None:
        turns.append(1)
        if len(turns) == 2:
            twice.set()
        raise OSError("no network")

    loop = BackgroundLoop("pings", turn, timedelta(milliseconds=1))
    with caplog.at_level(logging.ERROR):
        loop.start()
        assert twice.wait(10)
        loop.stop()
    assert "pings failed" in caplog.text


def test_it_takes_a_turn_at_the_start_and_whenever_it_is_woken() -> None:
    turns = threading.Semaphore(0)
    loop = BackgroundLoop("looks", turns.release, NEVER)
    loop.start()
    assert turns.acquire(timeout=10)
    loop.wake()
    assert turns.acquire(timeout=10)
    loop.stop()
    assert not turns.acquire(blocking=False)


def test_what_wakes_it_during_a_turn_is_not_lost() -> None:
    turns, within, go_on = threading.Semaphore(0), threading.Event(), threading.Event()

    def turn() -> None:
        within.set()
        go_on.wait(10)
        turns.release()

    loop = BackgroundLoop("looks", turn, NEVER)
    loop.start()
    assert within.wait(10)
    loop.wake()
    go_on.set()
    assert turns.acquire(timeout=10)
    assert turns.acquire(timeout=10)
    loop.stop()


def test_told_to_stop_during_a_turn_it_finishes_that_turn_and_no_other() -> None:
    turns, within, go_on = [], threading.Event(), threading.Event()

    def turn() -> None:
        within.set()
        go_on.wait(10)
        turns.append(1)

    loop = BackgroundLoop("looks", turn, NEVER)
    loop.start()
    assert within.wait(10)
    stopping = threading.Thread(target=loop.stop)
    stopping.start()
    go_on.set()
    stopping.join(10)
    assert not stopping.is_alive()
    assert turns == [1]
