"""Deadlines: how long one source may take in all, however many requests it needs."""

from __future__ import annotations

import time
from collections.abc import Callable


class Deadline:
    """A moment after which nobody waits any more."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds

    def left(self) -> float:
        """Seconds that are left; 0 when it has passed."""
        return max(0.0, self._end - self._clock())

    @property
    def passed(self) -> bool:
        """Whether nothing is left."""
        return self.left() <= 0
