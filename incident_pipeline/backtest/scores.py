"""How good diagnoses were: one record for each folder, and the figures over many.

Belongs here: comparing a diagnosis with the truth, and the arithmetic of the figures. Pure.
Does not belong here: running the diagnosis (`measure`), drawing (`report`).
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from incident_pipeline.incident_folder.truth import Truth

BINS = 10
RESAMPLES = 400


@dataclass(frozen=True)
class Score:
    """One diagnosis against its truth; None: the truth does not say."""

    folder: str
    dataset: str
    seconds: float
    confidence: float
    """Of the first hypothesis; 0 without one."""
    right: bool
    """The first hypothesis names the right service, change, deployment or object."""
    rank: int | None = None
    """Place of the true service in the ranking; 0: not ranked at all; None: the truth names none."""
    change_right: bool | None = None
    decoy_convicted: bool | None = None
    deployment_right: bool | None = None
    category_right: bool | None = None
    object_right: bool | None = None
    mechanism_right: bool | None = None
    radius: float | None = None
    """Jaccard of the blast radius."""
    remediation_right: bool | None = None

    def as_dict(self) -> dict[str, Any]:
        """The record as plain values."""
        return asdict(self)


def score(record: Mapping[str, Any], truth: Truth) -> Score:
    """Compare one printed diagnosis with the truth of its folder."""
    hypotheses = record["hypotheses"]
    first: Mapping[str, Any] = hypotheses[0] if hypotheses else {}
    service = truth.root_cause_service
    ranked = [row["service"] for row in record["services"]]
    rank = None if service is None else ranked.index(service) + 1 if service in ranked else 0
    change, deployment = truth.root_cause_change, truth.root_cause_deployment
    return Score(
        folder=record["folder"],
        dataset=truth.dataset or "",
        seconds=record["seconds"],
        confidence=first.get("confidence", 0.0),
        right=_names_the_cause(first, truth),
        rank=rank,
        change_right=None if change is None else record["root_cause_change"] == change,
        decoy_convicted=None if change is None else record["root_cause_change"] in _names(truth.decoys),
        deployment_right=None if deployment is None else record["root_cause_deployment"] == deployment,
        category_right=_category_right(first, truth),
        object_right=None if truth.root_cause_object is None else _object_right(first, truth),
        mechanism_right=_mechanism_right(first, truth),
        radius=_jaccard(record["blast_radius"], truth),
        remediation_right=_remediation_right(record["remediation"], truth),
    )


def _names(values: Iterable[Any]) -> set[str]:
    return {str(value) for value in values}


def _names_the_cause(first: Mapping[str, Any], truth: Truth) -> bool:
    if not first:
        return False
    blamed = (first.get("caused_by") or {}).get("id")
    if truth.root_cause_service and first.get("service") == truth.root_cause_service:
        return True
    if blamed and blamed in {truth.root_cause_change, truth.root_cause_deployment}:
        return True
    return truth.root_cause_object is not None and _object_right(first, truth)


def _object_right(first: Mapping[str, Any], truth: Truth) -> bool:
    found, wanted = first.get("object") or {}, truth.root_cause_object
    return wanted is not None and (found.get("kind"), found.get("name")) == (wanted.kind, wanted.name)


def _category_right(first: Mapping[str, Any], truth: Truth) -> bool | None:
    if truth.category is None:
        return None
    return first.get("category") in {truth.category, *truth.category_also}


def _mechanism_right(first: Mapping[str, Any], truth: Truth) -> bool | None:
    return None if truth.root_cause_mechanism is None else first.get("mechanism") == truth.root_cause_mechanism


def _jaccard(found: Sequence[str], truth: Truth) -> float | None:
    wanted = set(truth.blast_radius) - {truth.root_cause_service}
    if not wanted:
        return None
    got = set(found) - {truth.root_cause_service}
    return len(got & wanted) / len(got | wanted)


def _remediation_right(actions: Sequence[Mapping[str, Any]], truth: Truth) -> bool | None:
    """Whether the recommended action is of the type that the truth names."""
    if not isinstance(truth.remediation, str):
        return None
    wanted = truth.remediation.replace("-", "_")
    return bool(actions) and str(actions[0]["type"]).replace("-", "_") == wanted


def figures(scores: Sequence[Score]) -> dict[str, Any]:
    """The figures over some scores; None where nothing was asked."""
    ranks = [s.rank for s in scores if s.rank is not None]
    hits = {k: [0 < rank <= k for rank in ranks] for k in (1, 2, 3, 4, 5)}
    at = {k: _mean(v) for k, v in hits.items()}
    base = _mean([s.right for s in scores])
    return {
        "incidents": len(scores),
        "ac1": at[1],
        "ac3": at[3],
        "ac5": at[5],
        "avg5": _mean([value for value in at.values() if value is not None]),
        "change_accuracy": _mean([s.change_right for s in scores if s.change_right is not None]),
        "decoys_convicted": _count(s.decoy_convicted for s in scores),
        "deployment_accuracy": _mean([s.deployment_right for s in scores if s.deployment_right is not None]),
        "category_accuracy": _mean([s.category_right for s in scores if s.category_right is not None]),
        "object_accuracy": _mean([s.object_right for s in scores if s.object_right is not None]),
        "mechanism_accuracy": _mean([s.mechanism_right for s in scores if s.mechanism_right is not None]),
        "blast_radius": _mean([s.radius for s in scores if s.radius is not None]),
        "remediation_accuracy": _mean([s.remediation_right for s in scores if s.remediation_right is not None]),
        "right": base,
        "brier": _mean([(s.confidence - s.right) ** 2 for s in scores]),
        "brier_base": None if base is None else base * (1.0 - base),
        "ece": expected_calibration_error(scores),
        "seconds": _mean([s.seconds for s in scores]),
    }


def by_dataset(scores: Sequence[Score]) -> dict[str, dict[str, Any]]:
    """The figures of each data set, by name."""
    names = sorted({s.dataset for s in scores})
    return {name: figures([s for s in scores if s.dataset == name]) for name in names}


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _count(values: Iterable[bool | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


@dataclass(frozen=True)
class Bin:
    """The diagnoses whose confidence lies in one tenth."""

    low: float
    count: int
    confidence: float
    right: float


def reliability(scores: Sequence[Score]) -> list[Bin]:
    """Mean confidence and share of right ones, for each tenth of the confidence that occurs."""
    bins = []
    for index in range(BINS):
        inside = [s for s in scores if min(int(s.confidence * BINS), BINS - 1) == index]
        if inside:
            confidence = math.fsum(s.confidence for s in inside) / len(inside)
            bins.append(Bin(index / BINS, len(inside), confidence, sum(s.right for s in inside) / len(inside)))
    return bins


def expected_calibration_error(scores: Sequence[Score]) -> float | None:
    """Mean distance between confidence and share of right ones, weighted by the size of each tenth."""
    if not scores:
        return None
    return math.fsum(b.count * abs(b.confidence - b.right) for b in reliability(scores)) / len(scores)


def calibration_interval(scores: Sequence[Score]) -> tuple[float, float] | None:
    """The middle 90 % of the calibration error of as many scores drawn again with replacement (bootstrap, Efron 1979).

    Few scores lie far from the diagonal by chance alone, so the interval reaches above the error itself.
    """
    draw = random.Random(1)  # noqa: S311  (the same scores, the same interval)
    drawn = (expected_calibration_error(draw.choices(scores, k=len(scores))) for _ in range(RESAMPLES if scores else 0))
    found = sorted(error for error in drawn if error is not None)
    return (found[len(found) // 20], found[-len(found) // 20]) if found else None
