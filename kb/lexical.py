"""BM25 over several fields (BM25F), exact, in numpy.

Belongs here: postings, their weights, the score of a query. What a term is, is in `tokens.py`.
Method: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), section 3.6.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kb.tokens import terms

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

FIELDS = ("title", "headings", "body", "facts")
"""Title; headings of the chunks; the text; services, labels, category and the document's own name."""


class Weights(NamedTuple):
    """How much a field counts, and how much its length is held against it."""

    weight: tuple[float, ...] = (3.0, 1.5, 1.0, 2.0)
    length: tuple[float, ...] = (0.4, 0.4, 0.75, 0.3)
    k1: float = 1.2


@dataclass(frozen=True, slots=True)
class Postings:
    """Which document has which term how often, sorted by term, then document."""

    terms: tuple[str, ...]
    starts: IntArray
    """Where the postings of each term start; one longer than `terms`."""
    documents: npt.NDArray[np.int32]
    counts: npt.NDArray[np.uint16]
    """Shape (postings, fields)."""
    lengths: npt.NDArray[np.float32]
    """Terms in each field: shape (documents, fields)."""


def build_postings(documents: Sequence[Mapping[str, str]]) -> Postings:
    """Index documents, each a mapping of field to text."""
    numbers: dict[str, int] = {}
    columns: list[tuple[int, int, tuple[int, ...]]] = []
    lengths = np.zeros((len(documents), len(FIELDS)), dtype=np.float32)
    for row, document in enumerate(documents):
        counted: dict[str, list[int]] = {}
        for position, field in enumerate(FIELDS):
            counts = Counter(terms(document.get(field, "")))
            lengths[row, position] = counts.total()
            for term, count in counts.items():
                counted.setdefault(term, [0] * len(FIELDS))[position] = min(count, 65535)
        columns.extend((numbers.setdefault(term, len(numbers)), row, tuple(tf)) for term, tf in counted.items())
    return _sorted_postings(tuple(numbers), columns, lengths)


def _sorted_postings(
    names: tuple[str, ...], columns: list[tuple[int, int, tuple[int, ...]]], lengths: npt.NDArray[np.float32]
) -> Postings:
    term = np.fromiter((column[0] for column in columns), dtype=np.int64, count=len(columns))
    row = np.fromiter((column[1] for column in columns), dtype=np.int32, count=len(columns))
    counts = np.array([column[2] for column in columns], dtype=np.uint16).reshape(-1, len(FIELDS))
    order = np.argsort(term, kind="stable")
    starts = np.searchsorted(term[order], np.arange(len(names) + 1))
    return Postings(names, starts.astype(np.int64), row[order], counts[order], lengths)


class LexicalIndex:
    """Scores documents for a query; immutable."""

    def __init__(self, postings: Postings, weights: Weights | None = None) -> None:
        weights = weights or Weights()
        self._postings = postings
        self._numbers = {term: number for number, term in enumerate(postings.terms)}
        self.size = len(postings.lengths)
        frequency = np.diff(postings.starts)
        self._idf = np.log1p((self.size - frequency + 0.5) / (frequency + 0.5)).astype(np.float32)
        self._impact = self._impacts(weights)

    def _impacts(self, weights: Weights) -> FloatArray:
        """What each posting adds to a score, so that a query only adds."""
        held = self._postings
        if not len(held.documents):
            return np.zeros(0, dtype=np.float32)
        average = np.maximum(held.lengths.mean(axis=0), 1e-6)
        length = np.array(weights.length, dtype=np.float32)
        normal = 1 - length + length * held.lengths / average
        factor = np.array(weights.weight, dtype=np.float32) / normal
        frequency = np.einsum("pf,pf->p", held.counts.astype(np.float32), factor[held.documents])
        saturated = frequency * (weights.k1 + 1) / (frequency + weights.k1)
        impacts: FloatArray = (saturated * np.repeat(self._idf, np.diff(held.starts))).astype(np.float32)
        return impacts

    def idf(self, term: str) -> float:
        """How rare a term is; a term that no document has is as rare as can be."""
        number = self._numbers.get(term)
        return float(np.log1p(2 * self.size + 1)) if number is None else float(self._idf[number])

    def knows(self, term: str) -> bool:
        """Whether any document has the term."""
        return term in self._numbers

    def scores(self, query: Mapping[str, float]) -> FloatArray:
        """The BM25F score of every document for weighted query terms."""
        result = np.zeros(self.size, dtype=np.float32)
        for term, weight in query.items():
            number = self._numbers.get(term)
            if number is not None:
                rows = slice(self._postings.starts[number], self._postings.starts[number + 1])
                result[self._postings.documents[rows]] += weight * self._impact[rows]
        return result

    def coverage(self, query: Mapping[str, float]) -> FloatArray:
        """The share of the query, by rarity of its terms, that each document has; 0 to 1."""
        result = np.zeros(self.size, dtype=np.float32)
        total = 0.0
        for term in query:
            total += self.idf(term)
            number = self._numbers.get(term)
            if number is not None:
                rows = slice(self._postings.starts[number], self._postings.starts[number + 1])
                result[self._postings.documents[rows]] += self._idf[number]
        return result / np.float32(total) if total else result
