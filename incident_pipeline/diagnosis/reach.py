"""Which deployment carried which change to which service, and when.

Belongs here: joining changes with deployments, also where one library reached several services by their own releases.
Does not belong here: whether the change is to blame.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from incident_pipeline.diagnosis.vocabulary import words
from incident_pipeline.models import CodeChange, Deployment

_WORTHLESS = words(
    "service services svc app apps api server src lib libs pkg packages internal cmd main common core "
    "shared go java python"
)


@dataclass(frozen=True)
class Delivery:
    """A change on its way into production."""

    change: CodeChange
    deployment: Deployment | None
    """The first release that carried it; None where no release is known to."""
    at: datetime | None
    certain: bool
    """The deployment names this very commit; else it is the next release of a service whose files it touches."""


def deliveries(changes: Sequence[CodeChange], deployments: Sequence[Deployment]) -> list[Delivery]:
    """One delivery for each change and each service that it reached."""
    released = sorted((d for d in deployments if d.at is not None), key=lambda d: (d.at, repr(d)))
    found: list[Delivery] = []
    by_sha: dict[str, list[Deployment]] = defaultdict(list)
    for deployment in released:
        if deployment.commit_sha:
            by_sha[deployment.commit_sha[:7].lower()].append(deployment)
    for change in sorted(changes, key=lambda c: (c.sha, repr(c))):
        own = [d for d in by_sha.get(change.sha[:7].lower(), ()) if _same(d.commit_sha or "", change.sha)]
        found += [Delivery(change, d, d.at, certain=True) for d in own]
        if not own:
            carrier = _next_release(change, released)
            at = carrier.at if carrier else None if released else change.committed_at
            found.append(Delivery(change, carrier, at, certain=False))
    return found


def _same(one: str, other: str) -> bool:
    short, long = sorted((one.lower(), other.lower()), key=len)
    return len(short) >= 7 and long.startswith(short)


def _next_release(change: CodeChange, released: Sequence[Deployment]) -> Deployment | None:
    """The first release after the commit of a service whose name the change's paths carry."""
    if change.committed_at is None:
        return None
    for deployment in released:
        if deployment.at and deployment.at >= change.committed_at and touches_service(change, deployment.service or ""):
            return deployment
    return None


def touches_service(change: CodeChange, service: str) -> bool:
    """Whether the change belongs to a service by its field, its repository or a folder of its paths."""
    if not service:
        return False
    if change.service:
        return change.service == service
    wanted = name_parts(service)
    if change.repository and name_parts(change.repository.rsplit("/", 1)[-1]) == wanted:
        return True
    folders = {part for path in change.files for part in path.lower().split("/")[:-1]}
    return any(name_parts(folder) and name_parts(folder) == wanted for folder in folders)


@lru_cache(maxsize=20_000)
def name_parts(name: str) -> frozenset[str]:
    """The telling words of a service's or folder's name: `payment-service` and `paymentservice` are both {payment}."""
    words = re.findall(r"[a-z]+|\d+", re.sub(r"([a-z])([A-Z])", r"\1-\2", name).lower())
    cut = (re.sub(r"(service|svc|server|api)$", "", word) or word for word in words)
    return frozenset(word for word in cut if word not in _WORTHLESS)
