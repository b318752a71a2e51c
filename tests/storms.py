"""Alert storms with a known truth, for tests and benchmarks of grouping and ingest.

A storm is many alerts of services that fail together, mixed in time with a few incidents that have nothing to do with
it. The truth says of each alert which of them it was made for.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from incident_pipeline.models import Alert, Service

START = datetime(2026, 11, 23, 14, 35, tzinfo=UTC)
TITLES = (
    "High error rate on {s}: {n} % of requests",
    "{s} latency p99 is {n} ms",
    "{s}: {n} pods not ready",
    "5xx responses from {s} above {n}/s",
    "Queue of {s} holds {n} messages",
    "CPU of {s}-{n} is saturated",
    "{s} health check failed {n} times",
)


@dataclass(frozen=True)
class Storm:
    """Alerts in the order in which they arrive, the catalogue, and which incident each alert was made for."""

    alerts: tuple[Alert, ...]
    truth: tuple[str, ...]
    catalogue: tuple[Service, ...]


Topology = Callable[[Sequence[str], random.Random], dict[str, set[str]]]


def alone(services: Sequence[str], rng: random.Random) -> dict[str, set[str]]:
    """Nobody calls anybody: each service is an incident of its own."""
    return {service: set() for service in services}


def hub(services: Sequence[str], rng: random.Random) -> dict[str, set[str]]:
    """All call one that fails."""
    return {service: {services[0]} - {service} for service in services}


def chain(services: Sequence[str], rng: random.Random) -> dict[str, set[str]]:
    """Each calls the next."""
    return {service: {called} for service, called in itertools.pairwise(services)} | {services[-1]: set()}


def tree(services: Sequence[str], rng: random.Random) -> dict[str, set[str]]:
    """Each calls a parent; one root fails."""
    return {service: {services[(n - 1) // 3]} if n else set() for n, service in enumerate(services)}


def front(services: Sequence[str], rng: random.Random) -> dict[str, set[str]]:
    """One entrance calls all the others, and all of them fail."""
    return {service: set(services[1:]) if n == 0 else set() for n, service in enumerate(services)}


def fan_out(services: Sequence[str], rng: random.Random) -> dict[str, set[str]]:
    """A tree seen from its entrance: each calls three others."""
    return {service: set(services[3 * n + 1 : 3 * n + 4]) for n, service in enumerate(services)}


def web(services: Sequence[str], rng: random.Random) -> dict[str, set[str]]:
    """Each calls a few of those before it, at random."""
    return {
        service: set(rng.sample(list(services[:n]), min(n, rng.randint(1, 3)))) if n else set()
        for n, service in enumerate(services)
    }


def clusters(services: Sequence[str], rng: random.Random) -> dict[str, set[str]]:
    """Groups of five, each with a root of its own."""
    return {service: {services[n - n % 5]} - {service} for n, service in enumerate(services)}


TOPOLOGIES: dict[str, Topology] = {
    each.__name__: each for each in (alone, hub, chain, tree, front, fan_out, web, clusters)
}


def make_storm(
    seed: int,
    topology: Topology = alone,
    services: int = 40,
    alerts: int = 10_000,
    unrelated: int = 5,
    alerts_of_unrelated: int = 8,
    seconds: float = 60.0,
    silent_hub: bool = False,
    entrance: bool = False,
    skew: float = 0.0,
    start: datetime = START,
) -> Storm:
    """Make a storm.

    Args:
        seed: the same seed makes the same storm.
        topology: who calls whom among the storm's services; connected ones are one incident.
        services: how many fail together.
        alerts: how many alerts they send.
        unrelated: how many other incidents happen, each of one service.
        alerts_of_unrelated: how many alerts each of these has.
        seconds: how long it all lasts.
        silent_hub: everything, the unrelated included, calls one service that is well.
        entrance: a service that the storm only reaches calls the unrelated ones too.
        skew: 0 all services equally loud; 1 as Zipf's law has it.
        start: when it begins.
    """
    rng = random.Random(seed)
    names = [f"svc-{n:02d}" for n in range(services)]
    others = [f"other-{n}" for n in range(unrelated)]
    calls = topology(names, rng) | {other: set() for other in others}
    truth = _components(calls)
    if entrance:
        calls[names[-1]] |= set(others)
    if silent_hub:
        calls = {service: called | {"auth"} for service, called in calls.items()} | {"auth": set()}
    weights = [1 / (n + 1) ** skew for n in range(services)]
    rng.shuffle(weights)
    senders = [*names, *rng.choices(names, weights, k=max(alerts - services, 0))]
    senders += [other for other in others for _ in range(alerts_of_unrelated)]
    made = [(rng.uniform(0, seconds), sender) for sender in senders]
    made.sort()
    return Storm(
        alerts=tuple(_alert(n, sender, start + timedelta(seconds=at), rng) for n, (at, sender) in enumerate(made)),
        truth=tuple(truth[sender] for _, sender in made),
        catalogue=tuple(Service(name=name, depends_on=tuple(sorted(called))) for name, called in calls.items()),
    )


def pair_scores(truth: Sequence[str], found: Sequence[str]) -> tuple[float, float]:
    """Precision and recall over all pairs of alerts: together in `found`, together in `truth`."""
    both = _pairs(zip(truth, found, strict=True))
    return both / max(_pairs(found), 1), both / max(_pairs(truth), 1)


def _pairs(labels: object) -> int:
    return sum(n * (n - 1) // 2 for n in Counter(labels).values())  # type: ignore[call-overload]


def _alert(number: int, service: str, at: datetime, rng: random.Random) -> Alert:
    title = rng.choice(TITLES).format(s=service, n=rng.randint(1, 999))
    return Alert(
        source="custom",
        source_id=f"alert-{number}",
        dedup_key=f"{service}/{rng.randrange(400)}",
        title=title,
        severity=rng.choice(["P1", "P2", "P2", "P3"]),
        service=service,
        environment="production",
        started_at=at,
    )


def _components(calls: dict[str, set[str]]) -> dict[str, str]:
    root = {service: service for service in calls}

    def find(service: str) -> str:
        while root[service] != service:
            service = root[service]
        return service

    for service, called in calls.items():
        for other in called:
            root[find(other)] = find(service)
    return {service: find(service) for service in calls}
