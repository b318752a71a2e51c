"""Sources that keep failing are left alone for a while, so that they cost the next incident nothing.

Belongs here: when a circuit opens and for how long. What is remembered between runs is in `storage/circuit_store.py`.
After `FAILURES` failures in a row nobody asks for a minute; then one asks again, and each further failure doubles the
pause, up to ten minutes. One answer closes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Protocol

from incident_pipeline.models import Model, Utc

FAILURES = 3
PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(minutes=10)


class Circuit(Model):
    """What is remembered of one source."""

    failures: int = 0
    """In a row."""
    open_until: Utc | None = None
    reason: str = ""
    """Why it failed last."""

    def refusal(self, now: datetime) -> str | None:
        """Why it is not asked now; None when it may be."""
        if self.open_until is None or now >= self.open_until:
            return None
        seconds = (self.open_until - now).total_seconds()
        times = f"it failed {self.failures} times in a row"
        return f"not asked for another {seconds:.0f} s because {times}, last: {self.reason}"

    def after(self, failure: str | None, now: datetime) -> Circuit:
        """The circuit after one more answer (None) or failure."""
        if failure is None:
            return Circuit()
        failures = self.failures + 1
        if failures < FAILURES:
            return Circuit(failures=failures, reason=failure)
        pause = min(PAUSE * 2 ** min(failures - FAILURES, 8), LONGEST_PAUSE)
        return Circuit(failures=failures, open_until=now + pause, reason=failure)


class Circuits(Protocol):
    """Where circuits are kept, shared by all runs."""

    def refusals(self) -> Mapping[str, str]:
        """The sources that are not asked now, and why; never fails, for a damaged store must not cost the evidence."""
        ...

    def record(self, outcomes: Mapping[str, str | None]) -> None:
        """Remember who answered (None) and who failed (why); never fails."""
        ...
