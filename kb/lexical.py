"""The words of all documents, and how well a query's words fit each of them; exact, in numpy.

Belongs here: which document has which terms in which order, and scores made of that. What a term is, is in
`tokens.py`; how scores become one ranking, in `ranking.py`.
Method: BM25 (Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kb.tokens import terms

FloatArray = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

SEPARATOR = -1
"""Stands in a document's sequence after its title and after its facts, so that no pair of terms spans two parts."""
_K1, _LENGTH = 2.0, 0.8
_TITLE_K1, _TITLE_LENGTH = 1.2, 0.4
_PAIR_K1 = 1.2
_AT_ONCE = 1 << 20
"""Postings that are weighed at once: what is computed on the way is no larger than what stays."""
_CODES = 2**16 - 1
"""Held for a search, a sequence has two bytes for a term. Beyond so many terms two may share a code: of so many
neighbours of a query's word, one is then taken for the word that stands there in the query."""


class Part(NamedTuple):
    """A document as the index sees it."""

    title: str
    """Its title and its own name."""
    facts: str
    """Services, labels, category, date."""
    body: str


class TermIndex(NamedTuple):
    """The terms of all documents as numbers, in their order, and for each term where it occurs."""

    terms: tuple[str, ...]
    sequence: npt.NDArray[np.int32]
    """All documents one after the other: title, separator, facts, separator, body."""
    document_starts: Rows
    """Where each document begins in `sequence`; one longer than there are documents."""
    term_starts: Rows
    """Where the postings of each term begin; one longer than `terms`."""
    documents: npt.NDArray[np.int32]
    """Postings: document rows, sorted by term, then row."""
    counts: npt.NDArray[np.uint16]
    in_title: npt.NDArray[np.bool_]


def build_index(parts: Sequence[Part]) -> TermIndex:
    """Index documents from nothing."""
    empty = TermIndex(
        (),
        np.zeros(0, np.int32),
        np.zeros(1, np.int64),
        np.zeros(1, np.int64),
        np.zeros(0, np.int32),
        np.zeros(0, np.uint16),
        np.zeros(0, np.bool_),
    )
    return update_index(empty, [], parts)


def update_index(old: TermIndex, kept: Sequence[int], parts: Sequence[Part]) -> TermIndex:
    """The index of some rows of an old one, in this order, followed by new documents; kept rows are not read again."""
    numbers = {term: number for number, term in enumerate(old.terms)}
    pieces = [old.sequence[old.document_starts[row] : old.document_starts[row + 1]] for row in kept]
    for part in parts:
        found: list[int] = []
        for place, text in enumerate(part):
            found.extend(numbers.setdefault(term, len(numbers)) for term in terms(text))
            if place < 2:
                found.append(SEPARATOR)
        pieces.append(np.array(found, dtype=np.int32))
    starts = np.zeros(len(pieces) + 1, np.int64)
    np.cumsum([len(piece) for piece in pieces], out=starts[1:])
    sequence = np.concatenate(pieces) if pieces else np.zeros(0, np.int32)
    return TermIndex(tuple(numbers), sequence, starts, *_postings(sequence, starts, len(numbers)))


def _postings(
    sequence: npt.NDArray[np.int32], starts: Rows, size: int
) -> tuple[Rows, npt.NDArray[np.int32], npt.NDArray[np.uint16], npt.NDArray[np.bool_]]:
    documents = len(starts) - 1
    row = np.repeat(np.arange(documents, dtype=np.int64), np.diff(starts))
    is_term = sequence != SEPARATOR
    parts_before = np.cumsum(~is_term)
    in_title = parts_before - 2 * row == 0
    keys, position, counts = np.unique(
        sequence[is_term].astype(np.int64) * max(documents, 1) + row[is_term], return_index=True, return_counts=True
    )
    term_starts = np.searchsorted(keys, np.arange(size + 1, dtype=np.int64) * max(documents, 1))
    # the first occurrence of a term is in the title if any is
    return (
        term_starts.astype(np.int64),
        (keys % max(documents, 1)).astype(np.int32),
        np.minimum(counts, 65535).astype(np.uint16),
        in_title[is_term][position],
    )


class Statistics(NamedTuple):
    """What is known of all documents, where an index holds only some of them."""

    documents: int
    frequency: Mapping[str, int]
    """Of a term, in how many documents it is."""
    mean_length: float
    mean_title_length: float
    kinds: Mapping[str, int]
    """Of a kind, how many documents there are."""


class Query(NamedTuple):
    """A text as the index understands it."""

    numbers: Rows
    """Known terms, each once."""
    weights: FloatArray
    sequence: Rows
    """All known terms in order; -2 stands for an unknown one."""
    mass: float
    """Rarity of all terms together, unknown ones included: what a perfect document would hold."""


class LexicalIndex:
    """Scores documents for a query; immutable.

    Args:
        index: the terms of the documents that are scored.
        statistics: of all documents, where those are more; else they are counted.
    """

    def __init__(self, index: TermIndex, statistics: Statistics | None = None) -> None:
        self.size = len(index.document_starts) - 1
        self._terms, self._term_starts = index.terms, index.term_starts
        self._rows, self._document_starts = index.documents, index.document_starts
        self._sequence = _coded(index.sequence)
        here = np.diff(index.term_starts)
        in_use = here > 0  # terms of removed documents keep their number and are unknown to a query
        self._numbers = {term: number for number, term in enumerate(index.terms) if in_use[number]}
        everywhere = here
        if statistics is not None:
            known = (statistics.frequency.get(term, 0) for term in index.terms)
            everywhere = np.maximum(here, np.fromiter(known, np.int64, len(index.terms)))
        self._documents = max(self.size, statistics.documents if statistics else 0)
        self._means = (statistics.mean_length, statistics.mean_title_length) if statistics else None
        self.rarity: FloatArray = np.log1p((self._documents - everywhere + 0.5) / (everywhere + 0.5)).astype(np.float32)
        self._lengths = np.maximum(np.diff(index.document_starts) - 2, 1).astype(np.float32)
        mean, mean_title = self._means or (None, None)
        usual = _normal(self._lengths, _LENGTH, mean)
        self._impact = np.repeat(self.rarity, here)
        for start in range(0, len(self._impact), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            self._impact[part] *= _saturated(index.counts[part].astype(np.float32), _K1, usual[self._rows[part]])
        # few words are in titles: their postings stand apart, so that a frequent word costs one pass, not three
        in_title = np.flatnonzero(index.in_title)
        self._title_starts = np.searchsorted(in_title, index.term_starts)
        self._title_documents = rows = index.documents[in_title]
        self._title_idf = np.repeat(self.rarity, np.diff(self._title_starts))
        mass = np.bincount(rows, weights=self._title_idf, minlength=self.size).astype(np.float32)
        self.title_mass: FloatArray = np.maximum(mass, np.float32(1e-6))
        usual = _normal(np.bincount(rows, minlength=self.size).astype(np.float32), _TITLE_LENGTH, mean_title)
        self._title_impact = self._title_idf * _saturated(np.ones(len(rows), np.float32), _TITLE_K1, usual[rows])

    def query(self, text_terms: Sequence[str]) -> Query:
        """Understand a query; a repeated term counts a little more."""
        sequence = np.array([self._numbers.get(term, -2) for term in text_terms], dtype=np.int64)
        numbers, counts = np.unique(sequence[sequence >= 0], return_counts=True)
        unknown = len({term for term in text_terms if term not in self._numbers})
        mass = float(self.rarity[numbers].sum()) + unknown * 0.5 * float(np.log(2 * self._documents + 2))
        return Query(numbers, (counts**0.75).astype(np.float32), sequence, max(mass, 1e-6))

    def idf(self, term: str) -> float:
        """How rare a term is; a term that no document has is as rare as can be."""
        number = self._numbers.get(term)
        return float(np.log1p(2 * self._documents + 1)) if number is None else float(self.rarity[number])

    def scores(self, query: Query) -> tuple[FloatArray, FloatArray, FloatArray]:
        """For every document: BM25 of all its words, BM25 of its title, and the rarity of the title's words found."""
        full, title, held = (np.zeros(self.size, np.float32) for _ in range(3))
        for number, weight in zip(query.numbers, query.weights, strict=True):
            rows = slice(self._term_starts[number], self._term_starts[number + 1])
            full[self._rows[rows]] += weight * self._impact[rows]
            rows = slice(self._title_starts[number], self._title_starts[number + 1])
            documents = self._title_documents[rows]
            title[documents] += weight * self._title_impact[rows]
            held[documents] += self._title_idf[rows]
        return full, title, held

    def covered(self, query: Query, rows: Rows) -> FloatArray:
        """The share of the query, by rarity of its words, that each of some documents has anywhere; 0 to 1."""
        held = np.zeros(len(rows), np.float32)
        for number in query.numbers:
            held[self._has(number, rows)] += self.rarity[number]
        return held / np.float32(query.mass)

    def shared(self, query: Query, rows: Rows) -> list[list[str]]:
        """Of each of some documents, the query's terms that it has, the rarest first."""
        rarest_first = query.numbers[np.argsort(-self.rarity[query.numbers], kind="stable")]
        found: list[list[str]] = [[] for _ in rows]
        for number in rarest_first:
            for place in np.flatnonzero(self._has(number, rows)):
                found[place].append(self._terms[number])
        return found

    def _has(self, number: int, rows: Rows) -> npt.NDArray[np.bool_]:
        """Whether some documents have a term; its postings are sorted: looked up, not read."""
        documents = self._rows[self._term_starts[number] : self._term_starts[number + 1]]
        found: npt.NDArray[np.bool_] = documents[np.minimum(documents.searchsorted(rows), len(documents) - 1)] == rows
        return found

    def pairs(self, query: Query, rows: Rows) -> tuple[FloatArray, FloatArray]:
        """How much of the query's neighbouring word pairs each document has in its text, and in its title; 0 to 1."""
        codes, weights = self._pair_codes(query)
        if not len(codes) or not len(rows):
            return np.zeros(len(rows), np.float32), np.zeros(len(rows), np.float32)
        starts, ends = self._document_starts[rows], self._document_starts[np.add(rows, 1)]
        sequence = np.concatenate([self._sequence[a:b] for a, b in zip(starts, ends, strict=True)])
        # of all words only those of the query are looked at closely
        asked = np.zeros(_CODES + 1, np.bool_)
        asked[query.numbers % _CODES] = True
        is_asked = asked[sequence]
        behind = np.cumsum(ends - starts)
        is_first = is_asked[:-1] & is_asked[1:]
        is_first[behind[:-1] - 1] = False
        first = np.nonzero(is_first)[0]
        found = sequence[first].astype(np.int64) * _CODES + sequence[first + 1]
        at = np.minimum(np.searchsorted(codes, found), len(codes) - 1)
        is_pair = codes[at] == found
        hits, at = first[is_pair], at[is_pair]
        place = np.searchsorted(behind, hits, side="right")
        is_titled = np.searchsorted(np.nonzero(sequence == _CODES)[0], hits) - 2 * place == 0
        shape = (len(rows), len(codes))
        cells = place * len(codes) + at
        counts = np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)
        titled = np.bincount(cells[is_titled], minlength=shape[0] * shape[1]).reshape(shape) > 0
        usual = self._means[0] if self._means else float(self._lengths.mean())
        normal = _PAIR_K1 * (0.25 + 0.75 * self._lengths[rows] / usual)
        shares = weights / weights.sum()
        in_text = (counts / (counts + normal[:, None])) @ shares
        return in_text.astype(np.float32), (titled @ shares).astype(np.float32)

    def _pair_codes(self, query: Query) -> tuple[Rows, FloatArray]:
        """The query's pairs of neighbouring known terms as sorted numbers, and how rare each is."""
        first, second = query.sequence[:-1], query.sequence[1:]
        known = (first >= 0) & (second >= 0) & (first != second)
        first, second = first[known], second[known]
        codes, places = np.unique(first % _CODES * _CODES + second % _CODES, return_index=True)
        weights: FloatArray = (self.rarity[first[places]] + self.rarity[second[places]]) / np.float32(2)
        return codes, weights


def _coded(sequence: npt.NDArray[np.int32]) -> npt.NDArray[np.uint16]:
    """Two bytes for each term; the separator has the last code for itself."""
    coded = np.empty(len(sequence), np.uint16)
    for start in range(0, len(sequence), _AT_ONCE):
        part = sequence[start : start + _AT_ONCE]
        coded[start : start + _AT_ONCE] = np.where(part == SEPARATOR, _CODES, part % _CODES)
    return coded


def _normal(lengths: FloatArray, length: float, mean: float | None) -> FloatArray:
    """How long each document is beside the mean, as far as that counts."""
    usual = (float(lengths.mean()) if len(lengths) else 0.0) if mean is None else mean
    normal: FloatArray = (1 - length + length * lengths / max(usual, 1e-6)).astype(np.float32)
    return normal


def _saturated(counts: FloatArray, k1: float, normal: FloatArray) -> FloatArray:
    """The second occurrence of a word says less than the first."""
    share: FloatArray = (counts * (k1 + 1) / (counts + k1 * normal)).astype(np.float32)
    return share
