"""Evidence that was read only in part: what that takes off the confidence, and how it is told.

Belongs here: which kinds were cut, and the small share of doubt that follows. Pure.
Does not belong here: evidence that is missing altogether, which is a gap (`calibration.py`).

A kind of which some was read can still mislead: the line or the change that matters may be among the rest. It costs a
fixed share of what the kind would cost if it were missing; the share is chosen, not learned.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from incident_pipeline.diagnosis.calibration import MEASURED, gap_offset
from incident_pipeline.models import Evidence, EvidenceKind, Gap, Hypothesis

SHARE = 0.25
"""Of what a missing kind takes off the log-odds."""


def cut_kinds(evidence: Evidence) -> tuple[EvidenceKind, ...]:
    """The kinds of which a source had more than was read; who is on call tells of no cause."""
    kinds = (kind for kind in EvidenceKind if kind is not EvidenceKind.ON_CALL)
    return tuple(kind for kind in kinds if getattr(evidence, kind.value).cut)


def lowered(first: float, hypothesis: Hypothesis, cut: Sequence[EvidenceKind], gaps: Sequence[Gap]) -> float:
    """The probability of the first hypothesis, less the share of the kinds that were cut.

    Args:
        first: its calibrated probability, in which the gaps are counted already.
        hypothesis: what it is about; an approach that measures its own probability keeps it, as with gaps.
        cut: the kinds that were read in part.
        gaps: kinds that have a gap as well are not counted twice.
    """
    missing = {gap.kind for gap in gaps}
    doubts = [Gap(kind=kind, source=kind, reason="cut") for kind in cut if kind not in missing]
    if not doubts or hypothesis.approach in MEASURED or not 0.0 < first < 1.0:
        return first
    odds = math.log(first / (1.0 - first)) + SHARE * gap_offset(doubts)
    return 1.0 / (1.0 + math.exp(-odds))


def told(cut: Sequence[EvidenceKind]) -> str:
    """A sentence for the summary; empty where nothing was cut."""
    return f" Read only in part: {', '.join(sorted(kind.value for kind in cut))}." if cut else ""
