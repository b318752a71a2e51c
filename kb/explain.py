"""Why a document was found, and its telling passage, for a person at night."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from kb.documents import Document
from kb.tokens import terms, word_terms, words

_SNIPPET_LENGTH = 240
_WORDS_SHOWN, _LONGEST_SHOWN = 4, 40
_NEAR = 0.5
"""Unrelated texts of operations have a cosine of about 0.2 to 0.4."""


def reasons(document: Document, shared: Sequence[str], written: Mapping[str, str], meaning: float) -> tuple[str, ...]:
    """Sentences that say what a query and a document share, the strongest first.

    Args:
        document: what was found.
        shared: the query's telling terms that it has, the rarest first.
        written: every term of the query, as the query writes it.
        meaning: the cosine of the query to its nearest chunk.
    """
    found = []
    title = set(terms(document.title))
    if title and title <= written.keys():
        found.append(f'its title, "{document.title}", is in the query')
    labels = [label for label in document.labels if (parts := set(terms(label))) and parts <= written.keys()]
    if labels:
        found.append(f"it is about {', '.join(labels[:3])}")
    services = [service for service in document.services if (parts := set(terms(service))) and parts <= written.keys()]
    if services:
        found.append(f"same service: {', '.join(services[:3])}")
    if shared:
        as_written = dict.fromkeys(written.get(term, term) for term in shared[:_WORDS_SHOWN])
        found.append("shares " + ", ".join(f'"{word}"' for word in as_written))
    if meaning >= _NEAR:
        found.append("means nearly the same" if meaning >= 0.7 else "is about a similar thing")
    return tuple(found) or ("shares common words only",)


def as_written(text: str) -> dict[str, str]:
    """Each term of a text with the word that it comes from."""
    found: dict[str, str] = {}
    for word, parts in words(text):
        for part in parts:
            found.setdefault(part, word if len(parts) == 1 or len(word) <= _LONGEST_SHOWN else part)
    return found


def excerpt(text: str, query: set[str], length: int = _SNIPPET_LENGTH) -> str:
    """The stretch of a chunk with the most query terms, on one line."""
    found = text.split()
    hits = [not query.isdisjoint(_terms_of(word)) for word in found]
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
        cut = (cut[:length].rpartition(" ")[0] or cut[:length]) + " …"
    return ("… " if first else "") + cut


@lru_cache(maxsize=65_536)
def _terms_of(word: str) -> frozenset[str]:
    """Snippets ask for the same words again and again."""
    return frozenset(word_terms(word))
