"""Which alerts are about one problem.

Belongs here: the decision, as a pure function of what is open, what arrived, and the catalogue. No I/O, no clock.
Does not belong here: how incidents are stored, named and run.

An alert joins, in this order:
1. the incident that holds its dedup key, or the same alert of its source; one resolved only just before opens again;
2. the incident of its service and environment, or of its wording where it names no service, within the window;
3. the incident of a service that it calls or that calls it directly, within the window.
Where an alert connects incidents that were apart until then, they become one.

What keeps a hub or a storm from swallowing its neighbours is that an edge has to explain something. Trouble travels
from a service to those who call it: a caller joins the trouble of what it calls. The other way round, a service that is
called joins its caller's incident as the possible cause; when that caller's trouble is explained already it has to
start at the same time, and beside a storm it has to be as loud as the storm.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from incident_pipeline.intake.grouping_edges import LOUD_ALERTS, Edges, ServiceGraph, same_environment
from incident_pipeline.intake.grouping_values import (
    Arrival,
    Grouping,
    Key,
    KeyState,
    OpenIncident,
    Rules,
    Track,
    wording,
)
from incident_pipeline.models import IncidentStatus

Value = TypeVar("Value")


@dataclass
class Known:
    """The incidents that alerts may join, and what was last said under the names of these alerts."""

    incidents: list[OpenIncident] = field(default_factory=list)
    dedup_keys: dict[Key, KeyState] = field(default_factory=dict)
    source_ids: dict[Key, KeyState] = field(default_factory=dict)


def group_alerts(
    arrivals: Sequence[Arrival],
    known: Known,
    rules: Rules,
    graph: ServiceGraph,
    name_incident: Callable[[Arrival], str],
) -> Grouping:
    """Decide for each alert, in the given order, which incident it belongs to.

    Args:
        arrivals: alerts that have no incident yet.
        known: what they may join; its incidents are changed in place.
        rules: how near is near.
        graph: the catalogue.
        name_incident: a new name, never one that is in use.
    """
    work = _Work(known, rules, graph, name_incident)
    for arrival in arrivals:
        work.place(arrival)
    return work.finish()


class _Work:
    """One call of `group_alerts`: the incidents so far, and where their services are."""

    def __init__(
        self, known: Known, rules: Rules, graph: ServiceGraph, name_incident: Callable[[Arrival], str]
    ) -> None:
        self.rules, self.graph, self.name_incident = rules, graph, name_incident
        self.edges = Edges(graph, rules)
        self.keys, self.ids = dict(known.dedup_keys), dict(known.source_ids)
        self.incidents: dict[str, OpenIncident] = {}
        self.by_service: dict[str | None, set[str]] = defaultdict(set)
        self.became: dict[str, str] = {}
        self.result = Grouping()
        for incident in known.incidents:
            self.add(incident)

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
        environment = (arrival.environment or "").strip().casefold() or None
        arrival = replace(arrival, service=self.graph.name(arrival.service), environment=environment)
        home = (
            self._by_name(arrival, self.keys.get(arrival.key))
            or self._by_name(arrival, self.ids.get(arrival.same_alert))
            or self._by_place(arrival)
            or self._by_neighbour(arrival)
            or self._create(arrival)
        )
        self.result.assigned[arrival.alert_id] = home.incident_id
        self.result.touched[home.incident_id] = home
        begins = self._note_key(arrival, home)
        if arrival.fires:
            self._note_severity(arrival, home)
            if begins and not home.is_open:
                self._reopen(home)
            self._note_track(arrival, home)
            if begins:
                self.result.news.setdefault(home.incident_id, "an alert joined")

    def _by_name(self, arrival: Arrival, state: KeyState | None) -> OpenIncident | None:
        incident = self.incidents.get(self.current(state.incident_id)) if state else None
        if state is None or incident is None:
            return None
        if incident.is_open or not arrival.fires or arrival.said_at <= state.at:
            return incident
        ended = incident.resolved_at if incident.resolved_at is not None else state.at
        return incident if arrival.started_at <= ended + self.rules.flap_window else None

    def _by_place(self, arrival: Arrival) -> OpenIncident | None:
        """The incident of the same service, or wording, that is nearest."""
        near = []
        words = _wording_of(arrival)
        for name in sorted(self.by_service.get(arrival.service, ())):
            incident = self.incidents[name]
            for track in incident.tracks:
                if (track.service, track.wording) != (arrival.service, words):
                    continue
                gap = max(track.onset - arrival.started_at, arrival.started_at - track.last, 0.0)
                near_enough = gap <= self.rules.window and same_environment(track.environment, arrival.environment)
                if near_enough and self._takes(incident, arrival):
                    exact = track.environment == arrival.environment
                    near.append((not incident.is_open, not exact, gap, incident.order, name))
        return self.incidents[min(near)[-1]] if near else None

    def _takes(self, incident: OpenIncident, arrival: Arrival) -> bool:
        """Whether an incident is open, or was until just before."""
        if incident.is_open or not arrival.fires or incident.resolved_at is None:
            return True
        return arrival.started_at <= incident.resolved_at + min(self.rules.window, self.rules.flap_window)

    def _by_neighbour(self, arrival: Arrival) -> OpenIncident | None:
        if arrival.service is None or not arrival.fires:
            return None
        track = Track(arrival.service, arrival.environment, "", arrival.started_at, arrival.started_at, 1)
        near = []
        for incident in self._neighbours(track):
            gap = self.edges.gap(track, incident)
            if gap is not None and gap <= self.rules.window:
                near.append((gap > self.rules.together, incident.order, gap, incident.incident_id))
        return self.incidents[min(near)[-1]] if near else None

    def _create(self, arrival: Arrival) -> OpenIncident:
        incident = OpenIncident(
            incident_id=self.name_incident(arrival),
            order=max((incident.order for incident in self.incidents.values()), default=0.0) + 1,
            status=IncidentStatus.INVESTIGATING,
            severity=arrival.severity,
            environment=arrival.environment,
        )
        self.add(incident)
        self.result.created[incident.incident_id] = incident
        self.result.founders[incident.incident_id] = arrival
        if not arrival.fires:
            self._note_track(arrival, incident)
        return incident

    # --- what an alert changes ---------------------------------------------------------------

    def _note_key(self, arrival: Arrival, home: OpenIncident) -> bool:
        """Remember what was said last under this key; True if something fires now that did not before."""
        known = self.keys.get(arrival.key)
        here = known is not None and self.current(known.incident_id) == home.incident_id
        if known is not None and here:
            outdated = arrival.said_at == known.at and arrival.fires and not known.active
            if arrival.said_at < known.at or outdated:
                return False  # delivered late: what came before it is newer
        elif known is not None:
            self._leave(known)
        fired = known is not None and here and known.active
        home.active += int(arrival.fires) - int(fired)
        state = KeyState(home.incident_id, arrival.source_id, arrival.fires, arrival.said_at)
        self.keys[arrival.key] = self.result.keys[arrival.key] = self.ids[arrival.same_alert] = state
        if not arrival.fires and home.is_open:
            home.resolved_at = max(arrival.said_at, home.resolved_at or arrival.said_at)
        return arrival.fires and not fired

    def _leave(self, known: KeyState) -> None:
        """The key moves on to another incident, so its old one no longer waits for it."""
        old = self.incidents.get(self.current(known.incident_id))
        if old is not None and known.active:
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

    def _note_track(self, arrival: Arrival, home: OpenIncident) -> None:
        at = arrival.started_at
        place = (arrival.service, arrival.environment, _wording_of(arrival))
        found = next((n for n, t in enumerate(home.tracks) if (t.service, t.environment, t.wording) == place), None)
        if found is None:
            track, begins = Track(*place, onset=at, last=at, alerts=1), True
            home.tracks.append(track)
            self.by_service[arrival.service].add(home.incident_id)
        else:
            old = home.tracks[found]
            begins = at - old.last > self.rules.window
            onset = at if begins else min(old.onset, at)
            track = replace(old, onset=onset, last=max(old.last, at), alerts=old.alerts + 1)
            home.tracks[found] = track
        # a service gets louder: looking again at each doubling is often enough
        louder = track.alerts >= LOUD_ALERTS and track.alerts & (track.alerts - 1) == 0
        if begins or louder:
            self._connect(track, home)

    # --- incidents that turn out to be one ---------------------------------------------------

    def _connect(self, track: Track, home: OpenIncident) -> None:
        """Join other open incidents that this service's alert explains, or is explained by."""
        if track.service is None or not home.is_open or home.pinned:
            return
        for other in sorted(self._neighbours(track), key=lambda incident: incident.order):
            home = self.incidents[self.current(home.incident_id)]
            if other.incident_id not in self.incidents or other is home:
                continue
            gap = self.edges.gap(track, other)
            if gap is not None and gap <= self.rules.cascade and self.edges.belong_together(track, home, other):
                self._merge(home, other)

    def _neighbours(self, track: Track) -> list[OpenIncident]:
        """Open incidents that hold a service next to this one, and that no person has taken apart."""
        found: set[str] = set()
        for service in self.graph.neighbours(track.service):
            found |= self.by_service.get(service, set())
        incidents = (self.incidents[name] for name in sorted(found))
        return [incident for incident in incidents if incident.is_open and not incident.pinned]

    def _merge(self, one: OpenIncident, two: OpenIncident) -> None:
        kept, gone = sorted((one, two), key=lambda incident: (incident.order, incident.incident_id))
        if gone.severity < kept.severity:
            before, _ = self.result.escalated.get(kept.incident_id, (kept.severity, kept.severity))
            self.result.escalated[kept.incident_id] = (before, gone.severity)
            kept.severity = gone.severity
        kept.environment = kept.environment or gone.environment
        kept.active += gone.active
        kept.tracks = _joined((*kept.tracks, *gone.tracks))
        for track in gone.tracks:
            self.by_service[track.service].discard(gone.incident_id)
            self.by_service[track.service].add(kept.incident_id)
        self.became[gone.incident_id] = kept.incident_id
        del self.incidents[gone.incident_id]
        self.result.touched[kept.incident_id] = kept
        self.result.news.setdefault(kept.incident_id, "another incident turned out to be this one")

    # --- the end -----------------------------------------------------------------------------

    def finish(self) -> Grouping:
        """The decisions, all under the names that are left, and incidents whose alerts have all ended resolved."""
        result, here = self.result, self.incidents
        existed = set(self.became) - set(result.created)
        result.merged = {gone: self.current(gone) for gone in sorted(existed)}
        result.assigned = {alert: self.current(home) for alert, home in result.assigned.items()}
        result.keys = {key: replace(s, incident_id=self.current(s.incident_id)) for key, s in result.keys.items()}
        result.created = {name: incident for name, incident in result.created.items() if name in here}
        result.touched = {name: incident for name, incident in result.touched.items() if name in here}
        result.news = self._moved(result.news)
        result.reopened = sorted({self.current(name) for name in result.reopened})
        escalated = self._moved(result.escalated)
        result.escalated = {name: change for name, change in escalated.items() if name not in result.created}
        for incident in result.touched.values():
            if incident.is_open and incident.active <= 0:
                incident.status = IncidentStatus.RESOLVED
                result.resolved.append(incident.incident_id)
        return result

    def _moved(self, by_name: Mapping[str, Value]) -> dict[str, Value]:
        moved: dict[str, Value] = {}
        for name, value in by_name.items():
            moved.setdefault(self.current(name), value)
        return moved


def _wording_of(arrival: Arrival) -> str:
    return wording(arrival.title) if arrival.service is None else ""


def _joined(tracks: Iterable[Track]) -> list[Track]:
    places: dict[tuple[str | None, str | None, str], Track] = {}
    for track in tracks:
        place = (track.service, track.environment, track.wording)
        old = places.get(place, track)
        places[place] = replace(
            old,
            onset=min(old.onset, track.onset),
            last=max(old.last, track.last),
            alerts=track.alerts + (old.alerts if old is not track else 0),
        )
    return list(places.values())
