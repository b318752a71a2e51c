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


class Weights(NamedTuple):
    """Of a ranking: one for each signal but the last; of a probability: of log-odds, the signals named, a constant."""

    rank: tuple[float, float, float, float, float, float, float]
    log_odds: float
    covered: float
    meaning: float
    title_found: float
    title_share: float
    constant: float


RUNBOOKS = Weights(
    rank=(3.34, 1.79, 6.92, -8.69, 9.79, 9.0, 10.42),
    log_odds=0.783, covered=0.885, meaning=3.543, title_found=2.136, title_share=2.189, constant=-3.806,
)  # fmt: skip
RUNBOOKS_BY_WORDS = Weights(
    rank=(5.37, 2.12, 7.18, -8.32, 9.44, 8.38, 0.0),
    log_odds=0.749, covered=2.187, meaning=0.0, title_found=2.588, title_share=1.346, constant=-2.313,
)  # fmt: skip
REPORTS = Weights(
    rank=(10.55, 0.0, 0.0, 0.0, 0.0, 0.0, 10.33),
    log_odds=1.077, covered=1.559, meaning=1.392, title_found=0.842, title_share=-0.37, constant=-1.764,
)  # fmt: skip
REPORTS_BY_WORDS = Weights(
    rank=(12.88, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    log_odds=1.045, covered=1.342, meaning=0.0, title_found=3.222, title_share=-0.748, constant=-1.15,
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


def probabilities(utility: FloatArray, signals: Signals, weights: Weights) -> FloatArray:
    """The chance that each candidate is relevant.

    From its share among the candidates (does it stand out?) and from what it has of the query at all (does anything
    here fit?), joined by a logistic regression.
    """
    if not len(utility):
        return utility
    shifted = np.exp(utility.astype(np.float64) - float(utility.max()))
    share = np.clip(shifted / shifted.sum(), _LEAST_SHARE, 1 - _LEAST_SHARE)
    logit = (
        weights.log_odds * np.log(share / (1 - share))
        + weights.covered * signals.covered
        + weights.meaning * signals.meaning
        + weights.title_found * signals.title_found
        + weights.title_share * signals.title_share
        + weights.constant
    )
    chances: FloatArray = (1 / (1 + np.exp(-logit))).astype(np.float32)
    return chances
