"""Which incidents are to start no run for a while: mutes and maintenance windows.

Belongs here: reading them and asking them. Does not belong here: who may mute.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from incident_pipeline.config import MaintenanceWindow


@dataclass(frozen=True)
class Silence:
    """One span of time in which some services, environments or titles are not worth a run."""

    start: float
    end: float
    services: frozenset[str]
    environment: str | None = None
    pattern: str | None = None

    def covers(self, service: str | None, environment: str | None, title: str, at: float) -> bool:
        """Whether an alert of this service and title is silent at a moment."""
        if not self.start <= at < self.end:
            return False
        if self.services and (service or "").casefold() not in self.services:
            return False
        if self.environment and (environment or "").casefold() != self.environment.casefold():
            return False
        return self.pattern is None or fnmatch.fnmatchcase(title.casefold(), _glob(self.pattern))


@dataclass(frozen=True)
class Quiet:
    """All silences that are known."""

    silences: tuple[Silence, ...] = ()

    @classmethod
    def of(cls, windows: Iterable[MaintenanceWindow]) -> Quiet:
        """The silences of the configuration's maintenance windows."""
        return cls(tuple(_planned(window) for window in windows))

    def and_mutes(self, rows: Iterable[Mapping[Any, Any]]) -> Quiet:
        """With those that people asked for, from rows of the table `mutes`."""
        return Quiet((*self.silences, *(silence_of(row) for row in rows)))

    def until(self, places: Sequence[tuple[str | None, str | None, str]], at: float) -> float | None:
        """Until when alerts of all these (service, environment, title) are silent; None if any of them is not."""
        ends = []
        for service, environment, title in places:
            covering = [s.end for s in self.silences if s.covers(service, environment, title, at)]
            if not covering:
                return None
            ends.append(max(covering))
        return min(ends, default=None)


def _planned(window: MaintenanceWindow) -> Silence:
    services = frozenset(service.casefold() for service in window.services)
    return Silence(window.start.timestamp(), window.end.timestamp(), services, window.environment)


def silence_of(row: Mapping[Any, Any]) -> Silence:
    """The silence that a row of the table `mutes` asks for."""
    services = frozenset([row["service"].casefold()]) if row["service"] else frozenset()
    return Silence(row["created_at"], row["until"], services, pattern=row["pattern"])


def _glob(pattern: str) -> str:
    """A pattern without wildcards matches anywhere in the title."""
    folded = pattern.casefold()
    return folded if any(sign in folded for sign in "*?[") else f"*{folded}*"
