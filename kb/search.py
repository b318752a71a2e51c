"""A query to ranked documents with reasons.

Belongs here: scoring, probability, snippets and the sentences that say why. It holds one version of the index in
memory and never changes; `base.py` makes a new one when the file changes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np

from kb.documents import Document, SearchResult
from kb.lexical import LexicalIndex
from kb.store import Contents
from kb.tokens import terms, words

_SNIPPET_LENGTH = 240
_MOST_QUERY_TERMS = 512


class Searcher:
    """Answers queries on one version of the knowledge base."""

    def __init__(self, contents: Contents) -> None:
        self._documents = contents.documents
        self._chunks = contents.chunks
        if contents.postings is not None:
            self._lexical = LexicalIndex(contents.postings)
        rows = np.fromiter(
            (chunk.document_row for chunk in contents.chunks), dtype=np.int64, count=len(contents.chunks)
        )
        self._chunk_starts = np.searchsorted(rows, np.arange(len(contents.documents) + 1))

    def search(
        self, text: str, kind: str | None, limit: int, since: datetime | None, before: datetime | None
    ) -> list[SearchResult]:
        """The best documents for a text; documents without a date are never too old."""
        query = Counter(terms(text)[:_MOST_QUERY_TERMS])
        if not self._documents or not query or limit < 1:
            return []
        weighted = {term: 1.0 + math.log(count) for term, count in query.items()}
        scores = self._lexical.scores(weighted)
        allowed = self._allowed(kind, since, before)
        scores[~allowed] = 0.0
        best = [int(row) for row in np.argsort(-scores, kind="stable")[:limit] if scores[row] > 0]
        coverage = self._lexical.coverage(weighted)
        return [self._result(row, weighted, float(scores[row]), float(coverage[row])) for row in best]

    def _allowed(self, kind: str | None, since: datetime | None, before: datetime | None) -> np.ndarray:
        def fits(document: Document) -> bool:
            if kind is not None and document.kind != kind:
                return False
            date = document.date
            return date is None or ((since is None or date >= since) and (before is None or date < before))

        return np.fromiter((fits(document) for document in self._documents), dtype=bool, count=len(self._documents))

    def _result(self, row: int, query: Mapping[str, float], score: float, coverage: float) -> SearchResult:
        document = self._documents[row]
        heading, snippet, line = self._snippet(row, query)
        return SearchResult(
            id=document.id,
            kind=document.kind,
            title=document.title,
            score=round(score, 4),
            probability=round(1 / (1 + math.exp(-(8.0 * coverage - 4.0))), 4),
            snippet=snippet,
            heading=heading,
            source=document.source,
            date=document.date,
            why=tuple(self._why(document, query)),
            line=line,
        )

    def _snippet(self, row: int, query: Mapping[str, float]) -> tuple[str, str, int]:
        chunks = self._chunks[self._chunk_starts[row] : self._chunk_starts[row + 1]]
        if not chunks:
            return "", "", 1
        best = max(chunks, key=lambda chunk: sum(self._lexical.idf(t) for t in set(terms(chunk.text)) if t in query))
        return best.heading, excerpt(best.text, query), best.line

    def _why(self, document: Document, query: Mapping[str, float]) -> Sequence[str]:
        reasons = []
        title = [term for term in dict.fromkeys(terms(document.title)) if term in query]
        if title and len(title) == len(set(terms(document.title))):
            reasons.append(f'its title, "{document.title}", is in the query')
        shared = {term for term in terms(document.text) if term in query and self._lexical.idf(term) > 1.0}
        rare = sorted(shared, key=self._lexical.idf, reverse=True)[:4]
        if rare:
            reasons.append("shares " + ", ".join(f'"{word}"' for word in _as_written(rare, document.text)))
        return reasons or ["shares common words only"]


def _as_written(wanted: Sequence[str], text: str) -> list[str]:
    """Terms as the document writes them."""
    written: dict[str, str] = {}
    for word, parts in words(text):
        for part in parts:
            if part in wanted and part not in written:
                written[part] = word
        if len(written) == len(wanted):
            break
    return list(dict.fromkeys(written[term] for term in wanted if term in written))


def excerpt(text: str, query: Mapping[str, float], length: int = _SNIPPET_LENGTH) -> str:
    """The stretch of a chunk with the most query terms, on one line."""
    found = text.split()
    hits = [any(part in query for part in terms(word)) for word in found]
    best, start, size, held = (-1, 0), 0, 0, 0
    for end, word in enumerate(found):
        size += len(word) + 1
        held += hits[end]
        while size > length and start < end:
            size -= len(found[start]) + 1
            held -= hits[start]
            start += 1
        best = max(best, (held, -start))
    first = -best[1]
    cut = " ".join(found[first:])[: length + 1]
    if len(cut) > length:
        cut = cut[:length].rpartition(" ")[0] or cut[:length]
        cut += " …"
    return ("… " if first else "") + cut
