"""A query to ranked documents with reasons.

Belongs here: which documents are looked at, in which order they come, and what is said about each. It holds one
version of the knowledge base in memory and never changes; `embedded.py` makes a new one when the file changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kb.chunking import chunks
from kb.contents import Searchable
from kb.documents import SearchResult
from kb.explain import as_written, excerpt, reasons
from kb.lexical import LexicalIndex, Query, Statistics
from kb.ranking import Signals, probabilities, utilities, weights_for
from kb.tokens import terms, word_terms
from kb.vectors import VectorIndex

FloatArray = npt.NDArray[np.float32]

_BY_WORDS, _BY_MEANING = 60, 20
"""How many documents are looked at closely."""
_UNRELATED = 0.3
"""A document that shares no word with the query and is no nearer in meaning than this is not a result."""
_TELLING = 1.0
"""A rarer term than this is worth naming as a reason."""
_CHUNKS_READ = 3
_MOST_QUERY_TERMS, _LONGEST_QUERY = 512, 20_000

_cut = lru_cache(maxsize=256)(chunks)
"""The same few documents are shown again and again; all others are held once, as text."""


class _Group(NamedTuple):
    """Documents that share their weights, those of them that may be found."""

    name: str
    """ "runbook" or "other"."""
    inside: npt.NDArray[np.bool_]
    size: int
    """How many there are to choose from, whatever their date."""


class _Found(NamedTuple):
    """A candidate with its place in the ranking."""

    probability: float
    utility: float
    row: int
    meaning: float


class _Scores(NamedTuple):
    """What a query means to every document."""

    words: FloatArray
    title: FloatArray
    title_held: FloatArray
    meaning: FloatArray
    chunk_meaning: FloatArray | None


class Searcher:
    """Answers queries on one version of the knowledge base.

    Args:
        memory: the version.
        embed: makes the unit vector of a text, or None where there is no model; called only where there are vectors.
        statistics: of all documents, where the memory holds only those that may fit.
    """

    def __init__(
        self,
        memory: Searchable,
        embed: Callable[[str], FloatArray | None],
        statistics: Statistics | None = None,
    ) -> None:
        self.documents = memory.documents
        self._embed = embed
        self._chunk_starts = memory.chunk_starts
        if memory.index is not None:
            self._lexical = LexicalIndex(memory.index, statistics)
        self._vectors = None if memory.vectors is None else VectorIndex(memory.vectors, memory.chunk_starts)
        self._kinds = np.array([document.kind for document in memory.documents])
        self._sizes = statistics.kinds if statistics else Counter(self._kinds.tolist())

    def search(
        self, text: str, kind: str | None, limit: int, since: datetime | None, before: datetime | None
    ) -> list[SearchResult]:
        """The best documents for a text; documents without a date are never too old."""
        text = text[:_LONGEST_QUERY]
        query_terms = terms(text)[:_MOST_QUERY_TERMS]
        if not self.documents or not query_terms or limit < 1:
            return []
        query, query_set = self._lexical.query(query_terms), set(query_terms)
        scores = self._scores(query, text)
        groups = self._groups(kind, since, before)
        found: list[_Found] = []
        for group in groups:
            found.extend(self._ranked(query, scores, group, limit, is_any=len(groups) > 1))
        found.sort(key=lambda item: -item.probability)
        del found[limit:]
        written = {term: word for term, word in as_written(text).items() if term in query_set}
        shared = self._lexical.shared(query, np.array([item.row for item in found], dtype=np.int64))
        return [self._result(item, held, written, scores) for item, held in zip(found, shared, strict=True)]

    def signals(self, text: str, kind: str) -> tuple[list[str], Signals]:
        """What a ranking within one kind is made of: the candidates' ids and their signals, for fitting weights."""
        query = self._lexical.query(terms(text)[:_MOST_QUERY_TERMS])
        scores = self._scores(query, text)
        rows = self._candidates(query, scores, np.nonzero(self._kinds == kind)[0], 0)
        return [self.documents[row].id for row in rows], self._signals(query, scores, rows)

    def _groups(self, kind: str | None, since: datetime | None, before: datetime | None) -> list[_Group]:
        """The groups of which something may be found: runbooks, and all other kinds."""
        allowed = self._allowed(since, before) & (True if kind is None else self._kinds == kind)
        kinds = list(self._sizes) if kind is None else [kind]
        runbooks = self._kinds == "runbook"
        found = []
        for name, inside in (("runbook", runbooks), ("other", ~runbooks)):
            size = sum(self._sizes[of] for of in kinds if (of == "runbook") == (name == "runbook"))
            found.append(_Group(name, inside & allowed, size))
        return [group for group in found if group.inside.any()]

    def _allowed(self, since: datetime | None, before: datetime | None) -> npt.NDArray[np.bool_]:
        if since is None and before is None:
            return np.ones(len(self.documents), dtype=bool)

        def fits(date: datetime | None) -> bool:
            return date is None or ((since is None or date >= since) and (before is None or date < before))

        return np.fromiter((fits(document.date) for document in self.documents), bool, len(self.documents))

    def _scores(self, query: Query, text: str) -> _Scores:
        words, title, held = self._lexical.scores(query)
        vector = self._embed(text) if self._vectors is not None else None
        if self._vectors is None or vector is None:
            return _Scores(words, title, held, np.zeros(len(words), np.float32), None)
        chunk_meaning, meaning = self._vectors.nearness(vector)
        return _Scores(words, title, held, meaning, chunk_meaning)

    def _ranked(self, query: Query, scores: _Scores, group: _Group, limit: int, is_any: bool) -> list[_Found]:
        rows = self._candidates(query, scores, np.nonzero(group.inside)[0], limit)
        if not len(rows):
            return []
        signals = self._signals(query, scores, rows)
        weights = weights_for(group.name, with_vectors=scores.chunk_meaning is not None)
        utility = utilities(signals, weights)
        chance = weights.of_any if is_any else weights.of_kind
        chances = probabilities(utility, signals, chance, group.size)
        order = np.argsort(-utility, kind="stable")[:limit]
        chances = np.minimum.accumulate(chances[order])
        return [
            _Found(float(chance), float(utility[at]), int(rows[at]), float(signals.meaning[at]))
            for chance, at in zip(chances, order, strict=True)
        ]

    def _candidates(
        self, query: Query, scores: _Scores, inside: npt.NDArray[np.int64], limit: int
    ) -> npt.NDArray[np.int64]:
        """The rows worth a closer look: best by words, best by meaning; none that shares nothing with the query."""
        held = scores.title_held[inside] / self._lexical.title_mass[inside]
        blended = scores.words[inside] + 0.5 * scores.title[inside] + np.float32(0.3 * query.mass) * held
        best = inside[_top(blended, max(_BY_WORDS, limit))]
        best = best[scores.words[best] > 0]
        if scores.chunk_meaning is not None:
            near = inside[_top(scores.meaning[inside], max(_BY_MEANING, limit // 2))]
            best = np.union1d(best, near[scores.meaning[near] >= _UNRELATED])
        return best

    def _signals(self, query: Query, scores: _Scores, rows: npt.NDArray[np.int64]) -> Signals:
        words, title = scores.words[rows], scores.title[rows]
        pairs, title_pairs = self._lexical.pairs(query, rows)
        return Signals(
            words=words / max(float(words.max()), 1e-6),
            title=title / max(float(title.max()), 1e-6),
            title_found=scores.title_held[rows] / self._lexical.title_mass[rows],
            title_share=scores.title_held[rows] / np.float32(query.mass),
            pairs=pairs,
            title_pairs=title_pairs,
            meaning=scores.meaning[rows],
            covered=self._lexical.covered(query, rows),
        )

    def _result(self, found: _Found, shared: Sequence[str], written: dict[str, str], scores: _Scores) -> SearchResult:
        document = self.documents[found.row]
        heading, snippet, line = self._snippet(found.row, set(written), scores.chunk_meaning)
        telling = [term for term in shared if self._lexical.idf(term) > _TELLING]
        return SearchResult(
            id=document.id,
            kind=document.kind,
            title=document.title,
            score=round(found.utility, 4),
            probability=round(found.probability, 4),
            snippet=snippet,
            heading=heading,
            source=document.source,
            date=document.date,
            why=reasons(document, telling, written, found.meaning),
            line=line,
        )

    def _snippet(self, row: int, query: set[str], chunk_meaning: FloatArray | None) -> tuple[str, str, int]:
        """Heading, excerpt and line of the chunk that says most about the query."""
        cut = _cut(self.documents[row].text)
        if not cut:
            return "", "", 1
        start, end = int(self._chunk_starts[row]), int(self._chunk_starts[row + 1])
        # cut otherwise where an older version of this program wrote the file
        meaning = chunk_meaning[start:end] if chunk_meaning is not None and end - start == len(cut) else None
        mass = sum(self._lexical.idf(term) for term in query)

        def value(at: int) -> float:
            held = sum(self._lexical.idf(term) for term in query.intersection(word_terms(cut[at].text)))
            return held / mass + (0.5 * float(meaning[at]) if meaning is not None else 0.0)

        places: Sequence[int] = range(len(cut))
        if meaning is not None and len(cut) > _CHUNKS_READ:
            places = [int(at) for at in np.argpartition(-meaning, _CHUNKS_READ)[:_CHUNKS_READ]]
        best = cut[max(places, key=value)]
        return best.heading, excerpt(best.text, query), best.line

    @property
    def chunks(self) -> int:
        """How many chunks there are."""
        return int(self._chunk_starts[-1])

    @property
    def vectors(self) -> int | None:
        """How many of them have a vector; None where no model was there."""
        return None if self._vectors is None else self._vectors.count

    @property
    def method(self) -> str:
        """How this searcher ranks, in words."""
        return "words (BM25)" if self._vectors is None else "words and meaning (BM25 and vectors)"


def _top(values: FloatArray, count: int) -> npt.NDArray[np.int64]:
    """The places of the largest values, in no order."""
    if len(values) <= count:
        return np.arange(len(values))
    return np.argpartition(-values, count)[:count]
