"""From a score in log-odds to a probability, the same for every approach that sums up clues.

Belongs here: the curve. Does not belong here: the clues.
"""

from __future__ import annotations

import math

EVEN = 4.3
"""The score at which a suspect is as likely to be the cause as not."""
_STEEPNESS = 1.1


def likelihood(score: float) -> float:
    """The probability that goes with a score."""
    return 1.0 / (1.0 + math.exp(-_STEEPNESS * (score - EVEN)))
