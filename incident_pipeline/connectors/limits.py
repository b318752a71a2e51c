"""How often a source may be asked, by all runs together.

Belongs here: waiting for one's turn, and heeding a pause that a source asked another run for. What is shared between
processes is behind `Ledger`; see `storage/rate_store.py`. A run takes several turns at once, so that it need not ask
before every request. Where nobody shares a ledger (a test, one request by hand) nothing is limited here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

from incident_pipeline.connectors.answers import Rate, RateLimitedError
from incident_pipeline.connectors.deadline import Deadline

SHORTEST_PAUSE = 1.0
"""Shorter ones are over before another run could know of them."""
LONGEST_PAUSE = 900.0


class Ledger(Protocol):
    """What all runs know of each other's requests; never fails, for without it the sources still have their limits."""

    def reserve(self, source: str, rate: Rate, turns: int) -> float:
        """Take turns; returns the seconds until they may be used."""
        ...

    def pause(self, source: str, seconds: float) -> None:
        """The source asked to be left alone for so long."""
        ...

    def paused(self, source: str) -> float:
        """Seconds for which the source is still to be left alone."""
        ...


@dataclass
class _Turns:
    left: int = 0
    ready_at: float = 0.0


class Limiter:
    """The turns of one run."""

    def __init__(self, ledger: Ledger, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger = ledger
        self._clock = clock
        self._turns: dict[str, _Turns] = {}
        self._pauses: dict[str, float] = {}
        self._lock = asyncio.Lock()

    async def turn(self, source: str, rate: Rate | None, deadline: Deadline) -> None:
        """Wait until the source may be asked.

        Raises:
            RateLimitedError: that is after the deadline.
        """
        async with self._lock:
            wait = await self._wait(source, rate)
        if wait >= deadline.left():
            raise RateLimitedError(
                f"{source} was not asked: its limit is used up, by all runs together, for another {wait:.0f} s", wait
            )
        if wait > 0:
            await asyncio.sleep(wait)

    async def told_to_wait(self, source: str, seconds: float | None) -> None:
        """Tell the other runs of a pause that the source asked for."""
        if seconds is not None and seconds >= SHORTEST_PAUSE:
            self._pauses[source] = self._clock() + seconds
            await asyncio.to_thread(self._ledger.pause, source, min(seconds, LONGEST_PAUSE))

    async def _wait(self, source: str, rate: Rate | None) -> float:
        now = self._clock()
        if source not in self._pauses:
            self._pauses[source] = now + await asyncio.to_thread(self._ledger.paused, source)
        wait = max(0.0, self._pauses[source] - now)
        if rate is None:
            return wait
        turns = self._turns.setdefault(source, _Turns())
        if turns.left == 0 or turns.ready_at + rate.seconds < now:
            until = await asyncio.to_thread(self._ledger.reserve, source, rate, rate.at_once)
            turns.left, turns.ready_at = rate.at_once, now + until
        turns.left -= 1
        return max(wait, turns.ready_at - now)


_LIMITER: ContextVar[Limiter | None] = ContextVar("limiter", default=None)


@contextmanager
def limited_by(ledger: Ledger | None) -> Iterator[None]:
    """All requests of the block, and of the tasks that it starts, heed this ledger."""
    token = _LIMITER.set(Limiter(ledger) if ledger is not None else None)
    try:
        yield
    finally:
        _LIMITER.reset(token)


def current() -> Limiter | None:
    """The limiter of the block that runs."""
    return _LIMITER.get()
