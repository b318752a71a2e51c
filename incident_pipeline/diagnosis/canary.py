"""Versions of one service compared within the same minutes.

Belongs here: finding series that differ only in their version (and pod), and how far the new one is off the old one.
Does not belong here: which deployment brought the version.

Both versions see the same traffic, so a difference between them is the version's own, whatever else the system does.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from incident_pipeline.diagnosis.series import Points, Quantity, quantity, worse
from incident_pipeline.models import MetricSeries

_APART = frozenset({"version", "pod", "instance", "replica", "container", "pod_name"})


@dataclass(frozen=True)
class VersionGap:
    """One quantity of one service, where its versions differ."""

    service: str
    series: str
    kind: Quantity
    new_version: str
    old_version: str
    new: float
    old: float
    score: float
    """How many robust standard errors the new version is worse; negative where it is better."""


def version_gaps(rows: Iterable[tuple[MetricSeries, Points]], start: float, end: float) -> list[VersionGap]:
    """The gaps of every service that runs several versions, worst first; pods of one version are taken together."""
    groups: dict[tuple[str, str], dict[str, list[Points]]] = defaultdict(lambda: defaultdict(list))
    for series, points in rows:
        version = series.labels.get("version")
        if version and series.service:
            kept = sorted((k, v) for k, v in series.labels.items() if k not in _APART)
            name = series.name + ("{" + ",".join(f"{k}={v}" for k, v in kept) + "}" if kept else "")
            groups[series.service, name][version].append(points)
    gaps = []
    for (service, name), versions in sorted(groups.items()):
        ordered = sorted(versions, key=_natural)
        if len(ordered) > 1:
            gap = _gap(
                service, name, (ordered[-1], versions[ordered[-1]]), (ordered[0], versions[ordered[0]]), start, end
            )
            if gap is not None:
                gaps.append(gap)
    return sorted(gaps, key=lambda g: (-g.score, g.service, g.series))


def _natural(version: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.findall(r"\d+|\D+", version)]


def _gap(
    service: str, name: str, new: tuple[str, list[Points]], old: tuple[str, list[Points]], start: float, end: float
) -> VersionGap | None:
    fresh = np.concatenate([p.between(start, end) for p in new[1]])
    stable = np.concatenate([p.between(start, end) for p in old[1]])
    if len(fresh) < 2 or len(stable) < 2:
        return None
    kind = quantity(name.split("{")[0])
    spread = max(_spread(stable), _spread(fresh), abs(float(np.mean(stable))) * 0.05, 1e-9)
    error = spread * np.sqrt(1.0 / len(fresh) + 1.0 / len(stable))
    difference = float(np.mean(fresh) - np.mean(stable))
    sign = worse(kind) or (1 if difference > 0 else -1)
    return VersionGap(
        service, name, kind, new[0], old[0], float(np.mean(fresh)), float(np.mean(stable)), sign * difference / error
    )


def _spread(values: np.ndarray) -> float:
    low, high = np.quantile(values, (0.1, 0.9))
    return float(high - low) / 2.56
