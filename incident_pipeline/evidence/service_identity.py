"""One service under many names: `payments`, `payments-api`, `team/payments`, `svc:payments`, `payments-7d9f8c-x2x5p`.

Belongs here: from a name as some system writes it to the service of the catalogue, and how sure that is. It is
conservative: a name that could be two services is none, for evidence on the wrong service is worse than on none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from incident_pipeline.models import Alert, MetricSeries, Model, Service

EXACT, ALIAS, PATTERN, SPELLING, WORKLOAD, SUFFIX = 1.0, 1.0, 0.95, 0.95, 0.9, 0.7
SURE = 0.9
"""From here on a row is told under the catalogue's name."""

_PREFIXES = re.compile(
    r"^(?:(?:svc|service|app|component|deployment|deploy|statefulset|daemonset|replicaset|pod|job|cronjob|resource)"
    r"(?:\.[a-z0-9.]+)?[:/]|(?:service\.name|service_name|app\.kubernetes\.io/name)[:=]|system:serviceaccount:[\w-]+:)",
    re.I,
)
_POD = (
    re.compile(r"^(?P<name>.+)-(?=[a-z]*\d)[0-9a-f]{4,10}-[a-z0-9]{3,5}$"),
    re.compile(r"^(?P<name>.+)-(?=[a-z]*\d)[0-9a-f]{8,10}$"),
    re.compile(r"^(?P<name>.+)-[bcdfghjklmnpqrstvwxz2456789]{5}$"),
    re.compile(r"^(?P<name>.+)-\d{1,3}$"),
    re.compile(r"^(?P<name>[^.:]+)(?:\.[\w-]+)?\.svc(?:\.cluster\.local)?(?::\d+)?$"),
    re.compile(r"^(?P<name>[^.:]+):\d{2,5}$"),
)
"""Kubernetes' names: a pod of a Deployment, its ReplicaSet, a pod of a DaemonSet, StatefulSet or Job; the address
of a service; a port."""
_SUFFIXES = ("api", "service", "svc", "server", "app", "web", "backend", "deployment", "prod", "production")


class Match(NamedTuple):
    """A service of the catalogue, how sure it is the one meant (0 to 1), and by what."""

    service: str
    certainty: float
    how: str


class ServiceNames:
    """The names of a catalogue."""

    def __init__(self, catalogue: Iterable[Service]) -> None:
        services = list(catalogue)
        self._exact = {service.name: service.name for service in services}
        self._aliases = _unambiguous((alias, s.name) for s in services for alias in (s.name, *s.aliases))
        self._spellings = _unambiguous((_plain(name), s.name) for s in services for name in (s.name, *s.aliases))
        self._patterns = [(alias, s.name) for s in services for alias in s.aliases if _is_pattern(alias)]
        self._known: dict[str, Match | None] = {}

    def resolve(self, name: str | None) -> Match | None:
        """The service that a name means; None where none does, or more than one could."""
        if not name:
            return None
        if name not in self._known:
            self._known[name] = self._find(name)
        return self._known[name]

    def canonical(self, name: str | None) -> str | None:
        """The catalogue's name where it is sure, else the name as it is."""
        match = self.resolve(name)
        return match.service if match and match.certainty >= SURE else name

    def unplaced(self, names: Iterable[str | None]) -> list[str]:
        """The names that mean no service of the catalogue for sure, in order."""
        every = dict.fromkeys(name for name in names if name)
        return [name for name in every if (match := self.resolve(name)) is None or match.certainty < SURE]

    def _find(self, name: str) -> Match | None:
        if name in self._exact:
            return Match(name, EXACT, "its name")
        if name in self._aliases:
            return Match(self._aliases[name], ALIAS, "an alias")
        matching = {service for pattern, service in self._patterns if fnmatchcase(name, pattern)}
        if len(matching) == 1:
            return Match(matching.pop(), PATTERN, "a pattern among the aliases")
        if matching:
            return None
        found = self._spelled(name)
        if found:
            return Match(found, SPELLING, "another spelling")
        for pattern in _POD:
            pod = pattern.fullmatch(name)
            found = self._spelled(pod["name"]) if pod else None
            if found:
                return Match(found, WORKLOAD, "the name of a workload")
        return self._by_suffix(name)

    def _spelled(self, name: str) -> str | None:
        """By spelling: whole, without a kind before it, or the last part of a path."""
        bare = _PREFIXES.sub("", name)
        return next(
            (s for text in (name, bare, bare.rpartition("/")[2]) if (s := self._spellings.get(_plain(text)))), None
        )

    def _by_suffix(self, name: str) -> Match | None:
        """`payments-api` for `payments`, or the other way round, where only one service could be meant."""
        plain = _plain(_PREFIXES.sub("", name).rpartition("/")[2])
        shorter = {plain.removesuffix(f"-{suffix}") for suffix in _SUFFIXES} - {plain}
        longer = {f"{plain}-{suffix}" for suffix in _SUFFIXES}
        found = {self._spellings[text] for text in shorter | longer if text in self._spellings}
        return Match(found.pop(), SUFFIX, "a usual ending") if len(found) == 1 else None


def renamed(rows: Sequence[Any], names: ServiceNames) -> tuple[Any, ...]:
    """The rows under the catalogue's names, each with the source's own word kept."""
    return tuple(_renamed(row, names) for row in rows)


def _renamed(row: Model, names: ServiceNames) -> Model:
    own = getattr(row, "service", None)
    service = names.canonical(own)
    if service == own:
        return row
    field = "labels" if isinstance(row, MetricSeries | Alert) else "attributes"
    kept = getattr(row, field, None)
    if kept is None:
        return row.model_copy(update={"service": service})
    if isinstance(row, MetricSeries):
        # a label would make it another series: two names of one service stay apart by it
        return row.model_copy(update={"service": service, "labels": {**kept, "source_service": own}})
    return row.model_copy(update={"service": service, field: {**kept, "source_service": own}})


def _is_pattern(alias: str) -> bool:
    return any(sign in alias for sign in "*?[")


def _plain(name: str) -> str:
    """Lower case, with every separator a hyphen; `CheckoutService` reads `checkout-service`."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name)
    return re.sub(r"[^a-z0-9]+", "-", spaced.lower()).strip("-")


def _unambiguous(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str | None] = {}
    for name, service in pairs:
        found[name] = service if found.get(name, service) == service else None
    return {name: service for name, service in found.items() if service is not None}
