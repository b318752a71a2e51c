"""Which incidents touch each other through the catalogue, and when that makes them one.

Belongs here: the graph of services and what an edge of it can explain. Does not belong here: where alerts go.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from incident_pipeline.intake.grouping_values import OpenIncident, Rules, Track
from incident_pipeline.models import Service

STORM_SERVICES, STORM_ALERTS = 8, 100
"""From this many services, or alerts, on an incident is a storm."""
LOUD_ALERTS = 32
"""Fewer alerts of one service than this are never as loud as a storm."""
LOUD_SHARE = 0.5
"""As loud as a storm: this share of the median of its services."""


class ServiceGraph:
    """Who calls whom, by any name of the catalogue."""

    def __init__(self, catalogue: Iterable[Service] = ()) -> None:
        self._names: dict[str, str] = {}
        services = tuple(catalogue)
        for service in services:
            for name in (*service.aliases, service.name):
                self._names[_folded(name)] = _folded(service.name)
        self._calls: dict[str, set[str]] = defaultdict(set)
        self._callers: dict[str, set[str]] = defaultdict(set)
        for service in services:
            caller = self.name(service.name)
            for called in map(self.name, service.depends_on):
                if caller is not None and called is not None and called != caller:
                    self._calls[caller].add(called)
                    self._callers[called].add(caller)

    def name(self, service: str | None) -> str | None:
        """One spelling for all names of a service; its own, folded, where the catalogue does not know it."""
        if service is None or not service.strip():
            return None
        return self._names.get(_folded(service), _folded(service))

    def calls(self, service: str | None) -> frozenset[str]:
        """The services that it calls directly."""
        return frozenset(self._calls.get(service, ())) if service else frozenset()

    def callers(self, service: str | None) -> frozenset[str]:
        """The services that call it directly."""
        return frozenset(self._callers.get(service, ())) if service else frozenset()

    def neighbours(self, service: str | None) -> frozenset[str]:
        """Both."""
        return self.calls(service) | self.callers(service)


@dataclass(frozen=True)
class Edges:
    """What the graph says about incidents, under the rules of one configuration."""

    graph: ServiceGraph
    rules: Rules

    def gap(self, track: Track, incident: OpenIncident) -> float | None:
        """Seconds between the onsets at the best edge between a service and an incident; None without an edge.

        Trouble travels from a service to its callers, so what `track` calls explains it. What calls `track` may have
        been caused by it, if its trouble is not explained already.
        """
        calls, callers = self.graph.calls(track.service), self.graph.callers(track.service)
        gaps = [
            abs(other.onset - track.onset)
            for other in incident.tracks
            if same_environment(other.environment, track.environment)
            and (other.service in calls or (other.service in callers and self._may_cause(track, other, incident)))
        ]
        return min(gaps, default=None)

    def belong_together(self, track: Track, home: OpenIncident, other: OpenIncident) -> bool:
        """Whether two incidents are one, given that a track of `home` touches `other`.

        A caller of both says little of them when each explains it: then they have to start together, and neither may
        be a storm that the other is too quiet to be part of.
        """
        causes = [t for t in other.tracks if t.service in self.graph.calls(track.service)]
        if not causes or not self._is_explained(track, home):
            return True
        starts_together = min(abs(t.onset - track.onset) for t in causes) <= self.rules.together
        return starts_together and _equally_loud(home, other)

    def _may_cause(self, track: Track, caller: Track, incident: OpenIncident) -> bool:
        if not self._is_explained(caller, incident, but=track.service):
            return True
        if _is_storm(incident):
            return is_loud(track, incident)
        return abs(track.onset - caller.onset) <= self.rules.together

    def _is_explained(self, track: Track, incident: OpenIncident, but: str | None = None) -> bool:
        """Whether a service calls another one of its incident that was in trouble no later."""
        calls = self.graph.calls(track.service) - {but}
        latest = track.onset + self.rules.together
        return any(t.service in calls and t.onset <= latest for t in incident.tracks)


def same_environment(one: str | None, two: str | None) -> bool:
    """Whether two alerts may be of one place; one that does not say where it is may be anywhere."""
    return one is None or two is None or one == two


def is_loud(track: Track, storm: OpenIncident) -> bool:
    """Whether a service has about as many alerts as those of a storm."""
    typical = median(t.alerts for t in storm.tracks)
    return track.alerts >= LOUD_ALERTS and track.alerts >= LOUD_SHARE * typical


def _equally_loud(one: OpenIncident, two: OpenIncident) -> bool:
    storm, other = (one, two) if len(one.tracks) >= len(two.tracks) else (two, one)
    return not _is_storm(storm) or _is_storm(other) or any(is_loud(track, storm) for track in other.tracks)


def _is_storm(incident: OpenIncident) -> bool:
    services = {track.service for track in incident.tracks}
    return len(services) >= STORM_SERVICES or sum(track.alerts for track in incident.tracks) >= STORM_ALERTS


def _folded(name: str) -> str:
    return name.strip().casefold()
