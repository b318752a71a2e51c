"""Signals to one ranking and to a probability.

Belongs here: what is known of a query and a document (signals), how the signals are weighed, and what the outcome is
worth as a probability. The weights were fitted on labelled queries by `benchmarks/fit_ranking.py`, cross-validated;
docs/knowledge-base.md has the measurements and what was left out because it earned nothing.

A runbook is named after its alert, a report is not: so runbooks and all other kinds have weights of their own. Where
there are no vectors, a third and a fourth set is used.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]


_LEAST_SHARE = 0.02
"""Standing out among few documents proves little: the share is cut off on both sides."""


class Signals(NamedTuple):
    """What is known of each candidate, one array entry each; all about 0 to 1."""

    words: FloatArray
    """BM25 of the whole document, as a share of the best one's."""
    title: FloatArray
    """BM25 of the title, as a share of the best one's."""
    title_found: FloatArray
    """Share of the title, by rarity of its words, that the query has."""
    title_share: FloatArray
    """Share of the query, by rarity, that the title has."""
    pairs: FloatArray
    """Neighbouring words of the query that are neighbours in the document too."""
    title_pairs: FloatArray
    meaning: FloatArray
    """Cosine of the query to the document's nearest chunk; 0 without vectors."""
    covered: FloatArray
    """Share of the query, by rarity, that the document has anywhere."""


class Chance(NamedTuple):
    """A logistic regression: weights of log-odds and of signals, and a constant."""

    log_odds: float
    covered: float
    meaning: float
    title_found: float
    title_share: float
    constant: float


class Weights(NamedTuple):
    """Of a ranking, one for each signal but the last; and of its probabilities."""

    rank: tuple[float, float, float, float, float, float, float]
    of_kind: Chance
    """Where the question is known to be about this kind of document."""
    of_any: Chance
    """Where it may as well be about another kind; fitted with more questions about those."""


RUNBOOKS = Weights(
    rank=(3.24, 1.72, 6.91, -8.48, 10.3, 9.06, 10.77),
    of_kind=Chance(log_odds=0.549, covered=1.082, meaning=3.761, title_found=2.325, title_share=1.965, constant=-3.926),
    of_any=Chance(log_odds=0.496, covered=1.432, meaning=5.442, title_found=1.79, title_share=3.375, constant=-5.358),
)  # fmt: skip
RUNBOOKS_BY_WORDS = Weights(
    rank=(5.23, 2.1, 7.16, -8.15, 9.68, 8.28, 0.0),
    of_kind=Chance(log_odds=0.486, covered=2.704, meaning=0.0, title_found=3.262, title_share=0.649, constant=-2.569),
    of_any=Chance(log_odds=0.465, covered=3.691, meaning=0.0, title_found=2.219, title_share=2.598, constant=-3.237),
)  # fmt: skip
REPORTS = Weights(
    rank=(10.98, 0.0, 0.0, 0.0, 0.0, 0.0, 9.2),
    of_kind=Chance(log_odds=1.089, covered=1.437, meaning=0.488, title_found=0.037, title_share=-0.09, constant=-0.961),
    of_any=Chance(log_odds=0.899, covered=3.796, meaning=2.572, title_found=2.566, title_share=-2.48, constant=-3.815),
)  # fmt: skip
REPORTS_BY_WORDS = Weights(
    rank=(12.88, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    of_kind=Chance(log_odds=1.033, covered=0.527, meaning=0.0, title_found=2.319, title_share=-0.514, constant=-0.487),
    of_any=Chance(log_odds=0.871, covered=3.633, meaning=0.0, title_found=5.577, title_share=-2.52, constant=-2.668),
)  # fmt: skip


def weights_for(kind: str, with_vectors: bool) -> Weights:
    """The weights for documents of a kind."""
    if kind == "runbook":
        return RUNBOOKS if with_vectors else RUNBOOKS_BY_WORDS
    return REPORTS if with_vectors else REPORTS_BY_WORDS


def utilities(signals: Signals, weights: Weights) -> FloatArray:
    """How well each candidate fits; only differences mean something."""
    columns = signals[: len(weights.rank)]
    total = np.zeros(len(signals.words), dtype=np.float64)
    for weight, column in zip(weights.rank, columns, strict=True):
        total += weight * column
    return total.astype(np.float32)


def probabilities(utility: FloatArray, signals: Signals, chance: Chance) -> FloatArray:
    """The chance that each candidate is relevant.

    From its share among the candidates (does it stand out?) and from what it has of the query at all (does anything
    here fit?), joined by a logistic regression.
    """
    if not len(utility):
        return utility
    shifted = np.exp(utility.astype(np.float64) - float(utility.max()))
    share = np.clip(shifted / shifted.sum(), _LEAST_SHARE, 1 - _LEAST_SHARE)
    logit = (
        chance.log_odds * np.log(share / (1 - share))
        + chance.covered * signals.covered
        + chance.meaning * signals.meaning
        + chance.title_found * signals.title_found
        + chance.title_share * signals.title_share
        + chance.constant
    )
    chances: FloatArray = (1 / (1 + np.exp(-logit))).astype(np.float32)
    return chances
