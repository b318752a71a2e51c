"""Why a document was found, and its telling passage, for a person at night."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kb.documents import Document
from kb.tokens import terms, words

_SNIPPET_LENGTH = 240
_NEAR = 0.5
"""Unrelated texts of operations have a cosine of about 0.2 to 0.4."""


def reasons(document: Document, query: set[str], rarity: Callable[[str], float], meaning: float) -> tuple[str, ...]:
    """Sentences that say what a query and a document share, the strongest first."""
    found = []
    title = set(terms(document.title))
    if title and title <= query:
        found.append(f'its title, "{document.title}", is in the query')
    labels = [label for label in document.labels if (parts := set(terms(label))) and parts <= query]
    if labels:
        found.append(f"it is about {', '.join(labels[:3])}")
    services = [service for service in document.services if (parts := set(terms(service))) and parts <= query]
    if services:
        found.append(f"same service: {', '.join(services[:3])}")
    shared = {term for term in terms(f"{document.title}\n{document.text}") if term in query and rarity(term) > 1.0}
    rare = sorted(shared, key=lambda term: (-rarity(term), term))[:4]
    if rare:
        written = _as_written(rare, f"{document.title}\n{document.text}")
        found.append("shares " + ", ".join(f'"{word}"' for word in written))
    if meaning >= _NEAR:
        found.append("means nearly the same" if meaning >= 0.7 else "is about a similar thing")
    return tuple(found) or ("shares common words only",)


def _as_written(wanted: Sequence[str], text: str) -> list[str]:
    """Terms as the document writes them."""
    written: dict[str, str] = {}
    for word, parts in words(text):
        for part in parts:
            if part in wanted and part not in written:
                written[part] = word
        if len(written) == len(wanted):
            break
    return list(dict.fromkeys(written.get(term, term) for term in wanted))


def excerpt(text: str, query: set[str], length: int = _SNIPPET_LENGTH) -> str:
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
        cut = (cut[:length].rpartition(" ")[0] or cut[:length]) + " …"
    return ("… " if first else "") + cut
