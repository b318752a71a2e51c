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
    rank=(3.35, 1.67, 6.89, -8.2, 10.4, 8.76, 9.88),
    of_kind=Chance(log_odds=0.512, covered=0.763, meaning=3.762, title_found=2.132, title_share=2.21, constant=-3.643),
    of_any=Chance(log_odds=0.462, covered=1.182, meaning=5.373, title_found=1.575, title_share=3.696, constant=-5.073),
)  # fmt: skip
RUNBOOKS_BY_WORDS = Weights(
    rank=(5.18, 2.11, 7.15, -8.1, 9.67, 8.24, 0.0),
    of_kind=Chance(log_odds=0.497, covered=2.702, meaning=0.0, title_found=3.133, title_share=0.753, constant=-2.544),
    of_any=Chance(log_odds=0.472, covered=3.703, meaning=0.0, title_found=2.176, title_share=2.616, constant=-3.234),
)  # fmt: skip
REPORTS = Weights(
    rank=(11.17, 0.0, 0.0, 0.0, 0.0, 0.0, 8.52),
    of_kind=Chance(log_odds=1.082, covered=0.801, meaning=0.61, title_found=-0.033, title_share=-0.13, constant=-0.667),
    of_any=Chance(log_odds=0.885, covered=3.458, meaning=2.677, title_found=2.555, title_share=-2.665, constant=-3.646),
)  # fmt: skip
REPORTS_BY_WORDS = Weights(
    rank=(12.88, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    of_kind=Chance(log_odds=1.033, covered=0.526, meaning=0.0, title_found=2.319, title_share=-0.513, constant=-0.487),
    of_any=Chance(log_odds=0.871, covered=3.633, meaning=0.0, title_found=5.576, title_share=-2.52, constant=-2.668),
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
