"""Which alerts are about one problem.

Belongs here: the decision, as a pure function of what is open, what arrived, and the catalogue. No I/O, no clock.
Does not belong here: how incidents are stored, named and run.

An alert joins, in this order:
1. the incident that holds its dedup key; one that was resolved only just before is opened again;
2. the incident of its service and environment, or of its wording where it names no service, within the window;
3. the incident of a service that it calls or that calls it directly, within the window.
Where an alert connects incidents that were apart until then, they become one.

What keeps a hub or a storm from swallowing its neighbours is that an edge has to explain something. Trouble travels
from a service to those who call it: a caller joins the trouble of what it calls. The other way round, a service that is
called joins its caller's incident as the possible cause; when that caller's trouble is explained already it has to
start at the same time, and beside a storm it has to be as loud as the storm.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from statistics import median
from typing import TypeVar

from incident_pipeline.models import Alert, AlertStatus, IncidentStatus, Service, Severity

STORM_SERVICES = 8
"""From this many services on an incident is a storm."""
LOUD_ALERTS = 32
"""Fewer alerts of one service than this are never as loud as a storm."""
LOUD_SHARE = 0.25
"""As loud as a storm: this share of the median of its services."""

CLOSED = frozenset({IncidentStatus.RESOLVED, IncidentStatus.CLOSED})

Value = TypeVar("Value")

Key = tuple[str, str]
"""Source and dedup key."""


@dataclass(frozen=True)
class Rules:
    """The times that grouping uses, in seconds."""

    window: float
    flap_window: float

    @classmethod
    def of(cls, window: timedelta, flap_window: timedelta) -> Rules:
        """The rules of a configuration."""
        return cls(window.total_seconds(), flap_window.total_seconds())

    @property
    def together(self) -> float:
        """Onsets this close are the same moment: detection is rarely more exact."""
        return self.window / 5

    @property
    def cascade(self) -> float:
        """Trouble reaches the next service within this time."""
        return self.window / 2


@dataclass(frozen=True)
class Track:
    """The alerts of one service in one environment within one incident; or of one wording, without a service."""

    service: str | None
    environment: str | None
    wording: str
    onset: float
    last: float
    alerts: int


@dataclass
class OpenIncident:
    """What grouping needs to know of an incident."""

    incident_id: str
    order: float
    """Older incidents have smaller numbers; the older one stays when two become one."""
    status: IncidentStatus
    severity: Severity
    environment: str | None
    resolved_at: float | None = None
    pinned: bool = False
    active: int = 0
    """Dedup keys that still fire."""
    tracks: list[Track] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        """Whether it is neither resolved nor closed."""
        return self.status not in CLOSED


@dataclass(frozen=True)
class KeyState:
    """What the newest delivery under a dedup key said."""

    incident_id: str
    active: bool
    at: float


@dataclass(frozen=True)
class Arrival:
    """An alert that waits for its incident."""

    alert_id: int
    source: str
    dedup_key: str
    title: str
    severity: Severity
    status: AlertStatus
    service: str | None
    environment: str | None
    started_at: float
    resolved_at: float | None = None

    @classmethod
    def of(cls, alert_id: int, alert: Alert) -> Arrival:
        """What grouping reads of an alert."""
        return cls(
            alert_id,
            alert.source,
            alert.dedup_key,
            alert.title,
            alert.severity,
            alert.status,
            alert.service,
            alert.environment,
            alert.started_at.timestamp(),
            alert.resolved_at.timestamp() if alert.resolved_at else None,
        )

    @property
    def key(self) -> Key:
        """What deliveries about the same problem of one source share."""
        return self.source, self.dedup_key

    @property
    def fires(self) -> bool:
        """Whether it says that something is wrong now."""
        return self.status is not AlertStatus.RESOLVED

    @property
    def said_at(self) -> float:
        """The moment it speaks of."""
        return self.started_at if self.fires else max(self.started_at, self.resolved_at or self.started_at)


@dataclass
class Grouping:
    """What was decided; incidents that were already there are changed in place."""

    assigned: dict[int, str] = field(default_factory=dict)
    created: dict[str, OpenIncident] = field(default_factory=dict)
    founders: dict[str, Arrival] = field(default_factory=dict)
    merged: dict[str, str] = field(default_factory=dict)
    """Only incidents that were there before; each with the one it became part of."""
    touched: dict[str, OpenIncident] = field(default_factory=dict)
    news: dict[str, str] = field(default_factory=dict)
    """Incidents that should be diagnosed again, and why."""
    reopened: list[str] = field(default_factory=list)
    resolved: list[str] = field(default_factory=list)
    escalated: dict[str, tuple[Severity, Severity]] = field(default_factory=dict)
    keys: dict[Key, KeyState] = field(default_factory=dict)


class ServiceGraph:
    """Who calls whom, by any name of the catalogue."""

    def __init__(self, catalogue: Iterable[Service] = ()) -> None:
        self._names: dict[str, str] = {}
        services = tuple(catalogue)
        for service in services:
            for name in (*service.aliases, service.name):
                self._names[name.strip().casefold()] = service.name
        self._calls: dict[str, set[str]] = defaultdict(set)
        self._callers: dict[str, set[str]] = defaultdict(set)
        for service in services:
            for called in map(self.name, service.depends_on):
                if called is not None and called != service.name:
                    self._calls[service.name].add(called)
                    self._callers[called].add(service.name)

    def name(self, service: str | None) -> str | None:
        """The catalogue's name of a service, or the one it came with, so that spellings meet."""
        if service is None or not service.strip():
            return None
        folded = service.strip().casefold()
        return self._names.get(folded, folded)

    def calls(self, service: str | None) -> frozenset[str]:
        """The services that it calls directly."""
        return frozenset(self._calls.get(service, ())) if service else frozenset()

    def callers(self, service: str | None) -> frozenset[str]:
        """The services that call it directly."""
        return frozenset(self._callers.get(service, ())) if service else frozenset()


def wording(title: str) -> str:
    """A title without what changes from one alert to the next: numbers and hexadecimal names."""
    return re.sub(r"\b(?:0x)?[0-9a-f]*\d[0-9a-f]*\b", "#", " ".join(title.split()).casefold())[:200]


def group_alerts(
    arrivals: Sequence[Arrival],
    incidents: Iterable[OpenIncident],
    keys: Mapping[Key, KeyState],
    rules: Rules,
    graph: ServiceGraph,
    name_incident: Callable[[Arrival], str],
) -> Grouping:
    """Decide for each alert, in the given order, which incident it belongs to.

    Args:
        arrivals: alerts that have no incident yet.
        incidents: every incident that these alerts may join; changed in place.
        keys: for each dedup key of the arrivals that is known, its state.
        rules: how near is near.
        graph: the catalogue.
        name_incident: a new name, never one that is in use.
    """
    work = _Work(rules, graph, name_incident, dict(keys))
    for incident in incidents:
        work.add(incident)
    for arrival in arrivals:
        work.place(arrival)
    return work.finish()


class _Work:
    """One call of `group_alerts`: the incidents so far, and where their services are."""

    def __init__(
        self, rules: Rules, graph: ServiceGraph, name_incident: Callable[[Arrival], str], keys: dict[Key, KeyState]
    ) -> None:
        self.rules, self.graph, self.name_incident, self.keys = rules, graph, name_incident, keys
        self.incidents: dict[str, OpenIncident] = {}
        self.by_service: dict[str | None, set[str]] = defaultdict(set)
        self.became: dict[str, str] = {}
        self.result = Grouping()

    def add(self, incident: OpenIncident) -> None:
        self.incidents[incident.incident_id] = incident
        for track in incident.tracks:
            self.by_service[track.service].add(incident.incident_id)

    def current(self, incident_id: str) -> str:
        while incident_id in self.became:
            incident_id = self.became[incident_id]
        return incident_id

    # --- one alert ---------------------------------------------------------------------------

    def place(self, arrival: Arrival) -> None:
        arrival = replace(arrival, service=self.graph.name(arrival.service), environment=_plain(arrival.environment))
        known = self.keys.get(arrival.key)
        home = self._by_key(arrival, known) or self._by_place(arrival) or self._by_neighbour(arrival)
        if home is None:
            home = self._create(arrival)
        self.result.assigned[arrival.alert_id] = home.incident_id
        self.result.touched[home.incident_id] = home
        changed = self._note_key(arrival, known, home)
        if arrival.fires:
            self._note_severity(arrival, home)
            if changed and not home.is_open:
                self._reopen(home)
            self._note_track(arrival, home, changed)

    def _by_key(self, arrival: Arrival, known: KeyState | None) -> OpenIncident | None:
        incident = self.incidents.get(self.current(known.incident_id)) if known else None
        if known is None or incident is None:
            return None
        if incident.is_open or not arrival.fires or arrival.said_at <= known.at:
            return incident
        ended = incident.resolved_at if incident.resolved_at is not None else known.at
        return incident if arrival.started_at <= ended + self.rules.flap_window else None

    def _by_place(self, arrival: Arrival) -> OpenIncident | None:
        """The incident of the same service, or wording, nearest in time."""
        near = []
        words = _wording_of(arrival)
        for incident in self._at(arrival.service):
            for track in incident.tracks:
                same = track.service == arrival.service and track.wording == words
                if same and _same_environment(track.environment, arrival.environment):
                    gap = max(track.onset - arrival.started_at, arrival.started_at - track.last, 0.0)
                    if gap <= self.rules.window and self._may_join(arrival, incident):
                        exact = track.environment == arrival.environment
                        near.append((not incident.is_open, not exact, gap, incident.order, incident.incident_id))
        return self.incidents[min(near)[-1]] if near else None

    def _may_join(self, arrival: Arrival, incident: OpenIncident) -> bool:
        if incident.is_open or not arrival.fires or incident.resolved_at is None:
            return True
        return arrival.started_at <= incident.resolved_at + min(self.rules.window, self.rules.flap_window)

    def _by_neighbour(self, arrival: Arrival) -> OpenIncident | None:
        if arrival.service is None or not arrival.fires:
            return None
        track = Track(arrival.service, arrival.environment, "", arrival.started_at, arrival.started_at, 1)
        near = []
        for incident in self._neighbours(track):
            gap = self._edge(track, incident)
            if gap is not None and gap <= self.rules.window:
                near.append((gap > self.rules.together, incident.order, gap, incident.incident_id))
        return self.incidents[min(near)[-1]] if near else None

    def _create(self, arrival: Arrival) -> OpenIncident:
        order = max((incident.order for incident in self.incidents.values()), default=0.0) + 1
        incident = OpenIncident(
            incident_id=self.name_incident(arrival),
            order=order,
            status=IncidentStatus.INVESTIGATING,
            severity=arrival.severity,
            environment=arrival.environment,
        )
        self.add(incident)
        self.result.created[incident.incident_id] = incident
        self.result.founders[incident.incident_id] = arrival
        if not arrival.fires:
            self._note_track(arrival, incident, changed=False)
        return incident

    # --- what an alert changes ---------------------------------------------------------------

    def _note_key(self, arrival: Arrival, known: KeyState | None, home: OpenIncident) -> bool:
        """Remember what was said last under this key; True if it says that something fires that did not before."""
        if known is not None and self.current(known.incident_id) == home.incident_id:
            if arrival.said_at < known.at or (arrival.said_at == known.at and arrival.fires and not known.active):
                return False  # old news, delivered late
            was_active = known.active
        else:
            was_active = False
            self._leave(known)
        home.active += int(arrival.fires) - int(was_active)
        state = KeyState(home.incident_id, arrival.fires, arrival.said_at)
        self.keys[arrival.key] = self.result.keys[arrival.key] = state
        if not arrival.fires and home.is_open:
            home.resolved_at = max(arrival.said_at, home.resolved_at or arrival.said_at)
        return arrival.fires and not was_active

    def _leave(self, known: KeyState | None) -> None:
        """The key moves on to another incident, so its old one no longer waits for it."""
        old = self.incidents.get(self.current(known.incident_id)) if known and known.active else None
        if old is not None:
            old.active -= 1
            self.result.touched[old.incident_id] = old

    def _note_severity(self, arrival: Arrival, home: OpenIncident) -> None:
        if arrival.severity < home.severity:
            before, _ = self.result.escalated.get(home.incident_id, (home.severity, home.severity))
            self.result.escalated[home.incident_id] = (before, arrival.severity)
            self.result.news[home.incident_id] = f"severity is now {arrival.severity.value}"
            home.severity = arrival.severity

    def _reopen(self, home: OpenIncident) -> None:
        home.status, home.resolved_at = IncidentStatus.INVESTIGATING, None
        self.result.reopened.append(home.incident_id)
        self.result.news[home.incident_id] = "an alert fired again"

    def _note_track(self, arrival: Arrival, home: OpenIncident, changed: bool) -> None:
        words = _wording_of(arrival)
        at = arrival.started_at
        for index, track in enumerate(home.tracks):
            if (track.service, track.environment, track.wording) == (arrival.service, arrival.environment, words):
                quiet = at - track.last > self.rules.window
                onset = at if quiet else min(track.onset, at)
                home.tracks[index] = replace(track, onset=onset, last=max(track.last, at), alerts=track.alerts + 1)
                break
        else:
            index = len(home.tracks)
            home.tracks.append(Track(arrival.service, arrival.environment, words, at, at, 1))
            self.by_service[arrival.service].add(home.incident_id)
            quiet = True
        if changed:
            self.result.news.setdefault(home.incident_id, "an alert joined")
        count = home.tracks[index].alerts
        if quiet or (count >= LOUD_ALERTS and count & (count - 1) == 0):
            self._connect(home.tracks[index], home)

    # --- incidents that turn out to be one ---------------------------------------------------

    def _connect(self, track: Track, home: OpenIncident) -> None:
        """Join other open incidents that this service's alert explains, or is explained by."""
        if track.service is None or not home.is_open or home.pinned:
            return
        for other in sorted(self._neighbours(track), key=lambda incident: incident.order):
            home = self.incidents[self.current(home.incident_id)]
            if other.incident_id in (home.incident_id, *self.became) or other.pinned:
                continue
            gap = self._edge(track, other)
            if gap is not None and gap <= self.rules.cascade and self._belong_together(track, home, other):
                self._merge(home, other)

    def _belong_together(self, track: Track, home: OpenIncident, other: OpenIncident) -> bool:
        """Whether both incidents are one, given that this track of `home` touches `other`.

        A caller of both explains neither: then the two have to start together and be equally loud.
        """
        called_elsewhere = self._explained(track, home, self.rules.together)
        calls_other = any(t.service in self.graph.calls(track.service) for t in other.tracks)
        if not (called_elsewhere and calls_other):
            return True
        causes = [t for t in other.tracks if t.service in self.graph.calls(track.service)]
        close = min(abs(t.onset - track.onset) for t in causes) <= self.rules.together
        return close and _equally_loud(home, other)

    def _merge(self, one: OpenIncident, two: OpenIncident) -> None:
        kept, gone = sorted((one, two), key=lambda incident: (incident.order, incident.incident_id))
        before = kept.severity
        kept.severity = min(kept.severity, gone.severity)
        if kept.severity < before and kept.incident_id not in self.result.created:
            first, _ = self.result.escalated.get(kept.incident_id, (before, before))
            self.result.escalated[kept.incident_id] = (first, kept.severity)
        kept.environment = kept.environment or gone.environment
        kept.active += gone.active
        kept.tracks = _joined(kept.tracks, gone.tracks)
        for track in gone.tracks:
            self.by_service[track.service].discard(gone.incident_id)
            self.by_service[track.service].add(kept.incident_id)
        self.became[gone.incident_id] = kept.incident_id
        del self.incidents[gone.incident_id]
        self.result.touched[kept.incident_id] = kept
        self.result.news.setdefault(kept.incident_id, "another incident turned out to be this one")

    # --- edges -------------------------------------------------------------------------------

    def _at(self, service: str | None) -> list[OpenIncident]:
        return [self.incidents[incident_id] for incident_id in sorted(self.by_service.get(service, ()))]

    def _neighbours(self, track: Track) -> list[OpenIncident]:
        """Open incidents that a person has not taken apart and that hold a service next to this one."""
        found: set[str] = set()
        for service in self.graph.calls(track.service) | self.graph.callers(track.service):
            found |= self.by_service.get(service, set())
        incidents = (self.incidents[incident_id] for incident_id in sorted(found))
        return [incident for incident in incidents if incident.is_open and not incident.pinned]

    def _edge(self, track: Track, incident: OpenIncident) -> float | None:
        """Seconds between the onsets at the best edge between a service and an incident; None without one."""
        calls, callers = self.graph.calls(track.service), self.graph.callers(track.service)
        gaps = []
        for other in incident.tracks:
            if not _same_environment(other.environment, track.environment):
                continue
            gap = _gap(track, other)
            if other.service in calls or (other.service in callers and self._may_cause(track, other, incident)):
                gaps.append(gap)
        return min(gaps, default=None)

    def _may_cause(self, track: Track, caller: Track, incident: OpenIncident) -> bool:
        """Whether a called service can be the cause of its caller's trouble."""
        if not self._explained(caller, incident, self.rules.together, but=track.service):
            return True
        if _is_storm(incident):
            return _is_loud(track, incident)
        return abs(track.onset - caller.onset) <= self.rules.together

    def _explained(self, track: Track, incident: OpenIncident, slack: float, but: str | None = None) -> bool:
        """Whether a service calls another one of its incident that was in trouble no later."""
        calls = self.graph.calls(track.service)
        return any(t.service in calls and t.service != but and t.onset <= track.onset + slack for t in incident.tracks)

    # --- the end -----------------------------------------------------------------------------

    def finish(self) -> Grouping:
        result = self.result
        existed = set(self.became) - set(result.created)
        result.merged = {gone: self.current(gone) for gone in sorted(existed)}
        result.assigned = {alert: self.current(home) for alert, home in result.assigned.items()}
        result.keys = {key: replace(s, incident_id=self.current(s.incident_id)) for key, s in result.keys.items()}
        result.created = {name: incident for name, incident in result.created.items() if name in self.incidents}
        result.touched = {name: incident for name, incident in result.touched.items() if name in self.incidents}
        result.news = self._moved(result.news)
        result.reopened = sorted({self.current(name) for name in result.reopened})
        result.escalated = {n: change for n, change in result.escalated.items() if n not in result.created}
        result.escalated = self._moved(result.escalated)
        for incident in result.touched.values():
            if incident.is_open and incident.active <= 0:
                incident.status = IncidentStatus.RESOLVED
                result.resolved.append(incident.incident_id)
        return result

    def _moved(self, by_name: dict[str, Value]) -> dict[str, Value]:
        moved: dict[str, Value] = {}
        for name, value in by_name.items():
            moved.setdefault(self.current(name), value)
        return moved


def _plain(environment: str | None) -> str | None:
    return (environment or "").strip().casefold() or None


def _wording_of(arrival: Arrival) -> str:
    return wording(arrival.title) if arrival.service is None else ""


def _same_environment(one: str | None, two: str | None) -> bool:
    """An alert that does not say where it is may be anywhere."""
    return one is None or two is None or one == two


def _gap(one: Track, two: Track) -> float:
    """Seconds between two onsets, or between the onset of one and what the other still says."""
    return abs(one.onset - two.onset)


def _is_storm(incident: OpenIncident) -> bool:
    return len({track.service for track in incident.tracks}) >= STORM_SERVICES


def _is_loud(track: Track, storm: OpenIncident) -> bool:
    typical = median(t.alerts for t in storm.tracks)
    return track.alerts >= LOUD_ALERTS and track.alerts >= LOUD_SHARE * typical


def _equally_loud(one: OpenIncident, two: OpenIncident) -> bool:
    storm, other = (one, two) if len(one.tracks) >= len(two.tracks) else (two, one)
    return not _is_storm(storm) or any(_is_loud(track, storm) for track in other.tracks)


def _joined(one: Sequence[Track], two: Sequence[Track]) -> list[Track]:
    tracks = {(t.service, t.environment, t.wording): t for t in one}
    for track in two:
        key = (track.service, track.environment, track.wording)
        old = tracks.get(key)
        tracks[key] = (
            track
            if old is None
            else replace(
                old, onset=min(old.onset, track.onset), last=max(old.last, track.last), alerts=old.alerts + track.alerts
            )
        )
    return list(tracks.values())
