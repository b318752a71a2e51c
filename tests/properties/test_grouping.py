"""Grouping, against storms whose truth is known and against rules that hold for any alerts."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident_pipeline.intake.grouping import Known, group_alerts
from incident_pipeline.intake.grouping_edges import ServiceGraph
from incident_pipeline.intake.grouping_values import Arrival, Rules
from incident_pipeline.models import Alert, AlertStatus, Service
from tests.storms import TOPOLOGIES, Storm, make_storm, pair_scores
from tests.unit.intake.builders import alert

RULES = Rules(600.0, 1800.0)


class Memory:
    """What an inbox would remember between two calls."""

    def __init__(self, catalogue: Sequence[Service] = ()) -> None:
        self.graph = ServiceGraph(catalogue)
        self.known = Known()
        self.home: dict[int, str] = {}
        self.became: dict[str, str] = {}
        self.created: list[str] = []
        self._names = itertools.count()

    def take(self, arrivals: Sequence[Arrival]) -> None:
        decided = group_alerts(arrivals, self.known, RULES, self.graph, lambda _: f"INC-{next(self._names)}")
        self.home |= decided.assigned
        self.became |= decided.merged
        self.created += decided.created
        incidents = {each.incident_id: each for each in self.known.incidents} | decided.touched
        self.known.incidents = [each for name, each in incidents.items() if name not in decided.merged]
        self.known.dedup_keys |= decided.keys
        if decided.merged:
            keys = self.known.dedup_keys.items()
            self.known.dedup_keys = {k: replace(s, incident_id=self.now(s.incident_id)) for k, s in keys}

    def now(self, name: str) -> str:
        while name in self.became:
            name = self.became[name]
        return name

    @property
    def found(self) -> list[str]:
        return [self.now(self.home[number]) for number in sorted(self.home)]


def grouped(alerts: Sequence[Alert], catalogue: Sequence[Service], at_once: int) -> Memory:
    memory = Memory(catalogue)
    arrivals = [Arrival.of(number, each) for number, each in enumerate(alerts)]
    for start in range(0, len(arrivals), at_once):
        memory.take(arrivals[start : start + at_once])
    return memory


def apart(storm: Storm, found: Sequence[str]) -> int:
    """How many of the unrelated incidents are one incident each, with nothing else in it."""
    by_service: dict[str, set[str]] = {}
    for each, name in zip(storm.alerts, found, strict=True):
        by_service.setdefault(each.service or "", set()).add(name)
    others = {service: names for service, names in by_service.items() if service.startswith("other")}
    return sum(
        len(names) == 1 and not any(names & rest for service, rest in by_service.items() if service != other)
        for other, names in others.items()
    )


@pytest.mark.parametrize("silent_hub", [False, True])
@pytest.mark.parametrize("topology", sorted(TOPOLOGIES))
def test_a_storm_becomes_few_incidents_and_swallows_nothing(topology: str, silent_hub: bool) -> None:
    storm = make_storm(len(topology), TOPOLOGIES[topology], silent_hub=silent_hub)
    memory = grouped(storm.alerts, storm.catalogue, at_once=100)
    precision, recall = pair_scores(storm.truth, memory.found)
    assert precision >= 0.99
    assert recall >= 0.99
    assert len(memory.created) <= 60
    assert apart(storm, memory.found) == 5


@pytest.mark.parametrize("topology", ["hub", "tree", "web"])
def test_a_storm_that_reaches_the_callers_of_the_unrelated_ones_swallows_nothing(topology: str) -> None:
    storm = make_storm(1, TOPOLOGIES[topology], entrance=True)
    memory = grouped(storm.alerts, storm.catalogue, at_once=100)
    assert min(pair_scores(storm.truth, memory.found)) >= 0.95
    assert apart(storm, memory.found) == 5


@pytest.mark.timeout(3600)
@given(
    seed=st.integers(0, 10_000),
    topology=st.sampled_from(sorted(TOPOLOGIES)),
    services=st.integers(2, 60),
    alerts=st.integers(100, 1500),
    alerts_of_unrelated=st.integers(1, 12),
    seconds=st.sampled_from([1.0, 60.0, 110.0]),
    skew=st.sampled_from([0.0, 0.5]),
    at_once=st.sampled_from([1, 17, 400]),
)
def test_storms_of_any_shape(
    seed: int,
    topology: str,
    services: int,
    alerts: int,
    alerts_of_unrelated: int,
    seconds: float,
    skew: float,
    at_once: int,
) -> None:
    storm = make_storm(
        seed,
        TOPOLOGIES[topology],
        services=services,
        alerts=max(alerts, 40 * services) if topology in ("front", "fan_out") else alerts,
        alerts_of_unrelated=alerts_of_unrelated,
        seconds=seconds,
        skew=0.0 if topology in ("front", "fan_out") else skew,
    )
    memory = grouped(storm.alerts, storm.catalogue, at_once)
    precision, recall = pair_scores(storm.truth, memory.found)
    assert precision >= 0.95
    assert recall >= 0.95 or topology in ("front", "fan_out")
    assert apart(storm, memory.found) == 5
    assert len(memory.created) <= services + 5


SERVICES = ("payments", "checkout", "frontend", "search", None)

some_alerts = st.lists(
    st.builds(
        lambda name, service, seconds, severity, status, environment: alert(
            f"a{name}",
            service,
            seconds,
            severity=severity,
            status=status,
            environment=environment,
            title=f"title {name % 3}",
        ),
        st.integers(0, 12),
        st.sampled_from(SERVICES),
        st.floats(0, 5000, allow_nan=False),
        st.sampled_from(["P1", "P2", "P3", "P4", "P5"]),
        st.sampled_from(["triggered", "triggered", "acknowledged", "resolved"]),
        st.sampled_from(["production", "staging", None]),
    ),
    min_size=1,
    max_size=40,
)
some_catalogue = st.sampled_from(
    [
        (),
        (
            Service(name="checkout", depends_on=("payments",)),
            Service(name="frontend", depends_on=("checkout", "search")),
        ),
        (Service(name="payments", depends_on=("checkout",)), Service(name="checkout", depends_on=("payments",))),
    ]
)


@given(alerts=some_alerts, services=some_catalogue, at_once=st.integers(1, 40))
def test_whatever_arrives_each_alert_has_one_incident_that_knows_of_it(
    alerts: list[Alert], services: tuple[Service, ...], at_once: int
) -> None:
    memory = grouped(alerts, services, at_once)
    incidents = {each.incident_id: each for each in memory.known.incidents}
    assert len(memory.found) == len(alerts)
    assert set(memory.found) == set(incidents)
    for name, incident in incidents.items():
        mine = [each for each, home in zip(alerts, memory.found, strict=True) if home == name]
        firing = [each for each in mine if each.status is not AlertStatus.RESOLVED]
        assert incident.severity <= min((each.severity for each in firing), default=incident.severity)
        active = [key for key, state in memory.known.dedup_keys.items() if state.incident_id == name and state.active]
        assert incident.active == len(active)
        assert incident.is_open == bool(active)


@given(alerts=some_alerts, services=some_catalogue)
def test_the_same_alerts_in_the_same_order_give_the_same_incidents(
    alerts: list[Alert], services: tuple[Service, ...]
) -> None:
    assert grouped(alerts, services, 7).found == grouped(alerts, services, 7).found
