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
Evidence = npt.NDArray[np.float64]


_LEAST_SHARE = 0.02
"""Standing out among few documents proves little: the share is cut off on both sides."""
_SMALL, _USUAL, _LARGE = 15, 150, 2000
"""Documents: probabilities were fitted on memories of these sizes. A small one lacks the answer more often, and among
a few documents one always stands out."""


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
    """A logistic regression: weights of log-odds, of signals and of the size of the memory, and a constant."""

    log_odds: float
    covered: float
    meaning: float
    title_found: float
    title_share: float
    size: float
    log_odds_by_size: float
    meaning_by_size: float
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
    of_kind=Chance(
        log_odds=0.7, covered=1.17, meaning=3.92, title_found=2.45, title_share=2.01,
        size=0.63, log_odds_by_size=-0.09, meaning_by_size=-0.09, constant=-5.47,
    ),
    of_any=Chance(
        log_odds=0.67, covered=1.51, meaning=4.44, title_found=1.79, title_share=3.72,
        size=0.2, log_odds_by_size=-0.1, meaning_by_size=0.47, constant=-6.01,
    ),
)  # fmt: skip
RUNBOOKS_BY_WORDS = Weights(
    rank=(5.18, 2.11, 7.15, -8.1, 9.67, 8.24, 0.0),
    of_kind=Chance(
        log_odds=0.63, covered=3.0, meaning=0.0, title_found=3.41, title_share=0.67,
        size=0.48, log_odds_by_size=-0.07, meaning_by_size=0.0, constant=-3.99,
    ),
    of_any=Chance(
        log_odds=0.62, covered=3.97, meaning=0.0, title_found=2.3, title_share=2.8,
        size=0.36, log_odds_by_size=-0.07, meaning_by_size=0.0, constant=-4.4,
    ),
)  # fmt: skip
REPORTS = Weights(
    rank=(11.17, 0.0, 0.0, 0.0, 0.0, 0.0, 8.52),
    of_kind=Chance(
        log_odds=1.39, covered=2.05, meaning=3.01, title_found=0.71, title_share=-0.91,
        size=2.12, log_odds_by_size=-0.18, meaning_by_size=-1.3, constant=-5.51,
    ),
    of_any=Chance(
        log_odds=1.14, covered=4.2, meaning=3.28, title_found=3.1, title_share=-3.24,
        size=1.08, log_odds_by_size=-0.14, meaning_by_size=-0.18, constant=-6.43,
    ),
)  # fmt: skip
REPORTS_BY_WORDS = Weights(
    rank=(12.88, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    of_kind=Chance(
        log_odds=1.46, covered=1.98, meaning=0.0, title_found=2.96, title_share=-1.12,
        size=1.62, log_odds_by_size=-0.24, meaning_by_size=0.0, constant=-4.53,
    ),
    of_any=Chance(
        log_odds=1.2, covered=4.43, meaning=0.0, title_found=5.95, title_share=-2.84,
        size=1.11, log_odds_by_size=-0.17, meaning_by_size=0.0, constant=-5.42,
    ),
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


def probabilities(utility: FloatArray, signals: Signals, chance: Chance, size: int) -> FloatArray:
    """The chance that each candidate is relevant, where there are so many documents to choose from."""
    return logistic(evidence(utility, signals, size), chance) if len(utility) else utility


def evidence(utility: FloatArray, signals: Signals, size: int) -> Evidence:
    """What the chance of each candidate is made of, one row each, in the order of `Chance`.

    Its share among the candidates (does it stand out?), what it has of the query at all (does anything here fit?) and
    how many documents there are to choose from.
    """
    shifted = np.exp(utility.astype(np.float64) - float(utility.max()))
    share = np.clip(shifted / shifted.sum(), _LEAST_SHARE, 1 - _LEAST_SHARE)
    odds = np.log(share / (1 - share))
    # beyond what was measured, larger and smaller memories make no difference
    scale = np.full(len(utility), np.log(np.clip(size, _SMALL, _LARGE) / _USUAL))
    own = (odds, signals.covered, signals.meaning, signals.title_found, signals.title_share)
    return np.column_stack((*own, scale, odds * scale, signals.meaning * scale))


def logistic(rows: Evidence, chance: Chance) -> FloatArray:
    """Rows of evidence to probabilities."""
    *weights, constant = chance
    chances: FloatArray = (1 / (1 + np.exp(-(rows @ np.array(weights) + constant)))).astype(np.float32)
    return chances
