"""What a look at the cluster brings forth, and the family of functions that looks.

Belongs here: the shape of a finding. Does not belong here: any rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from incident_pipeline.models import InvolvedObject

CERTAIN, STRONG, LIKELY, WEAK = 0.96, 0.88, 0.7, 0.35
"""How far a finding carries by itself: two objects that disagree; what the cluster says; a fit; a hint."""


@dataclass(frozen=True)
class Edit:
    """One field that a repair would change, from what it is to what it should be."""

    path: tuple[str | int, ...]
    """Keys and list positions from the object's top."""
    to: Any
    """None takes the field away."""


@dataclass(frozen=True)
class Repair:
    """The object that would be changed, and how."""

    kind: str
    name: str
    namespace: str | None
    edits: tuple[Edit, ...]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong in the cluster."""

    mechanism: str
    object: InvolvedObject
    weight: float
    """The probability that such a finding is the cause, before others are weighed against it."""
    says: str
    """One sentence for people."""
    evidence: tuple[str, ...] = ()
    """The fields and messages that show it."""
    since: datetime | None = None
    cannot_explain: str = ""
    repair: Repair | None = None
    victims: tuple[str, ...] = ()
    """Apps whose trouble this explains."""


def app_object(name: str) -> InvolvedObject:
    """The workload with its pods and its service."""
    return InvolvedObject(kind="app", name=name)


def node_object(name: str) -> InvolvedObject:
    """A machine of the cluster."""
    return InvolvedObject(kind="node", name=name)


def namespace_object(name: str) -> InvolvedObject:
    """A namespace, with the quotas that bound it."""
    return InvolvedObject(kind="namespace", name=name)
