"""The knowledge base in one file, held in memory while it is searched; the default.

Belongs here: when the file is read again, and what a writer does in which order. Scoring is in `search.py`, the file
in `store.py`, what an `add` makes of the old contents in `merging.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from kb.base import KnowledgeBase
from kb.contents import Catalogue, Facts
from kb.documents import Document, SearchResult
from kb.embedding import DEFAULT_MODEL, Embedder
from kb.learning import MORE_TO_REORDER, Feedback, adjusted
from kb.merging import Added, Change, changed_documents, checked, is_same_model, known_vectors, merge, new_passages
from kb.model import FloatArray, Model, Progress
from kb.redaction import redact_value
from kb.search import Searcher
from kb.similar import IncidentSignature
from kb.store import publish, read, read_catalogue, read_facts, read_searchable, write_lock

_STAMP = tuple[int, int, int] | None


class EmbeddedKnowledgeBase(KnowledgeBase):
    """A memory in one file.

    Raises:
        DamagedIndexError: the file is there and cannot be read.
    """

    def __init__(self, path: Path, model: str = DEFAULT_MODEL, embedder: Embedder | None = None) -> None:
        self.path = path
        self._model = Model(model, embedder)
        self.model = self._model.name
        self._stamp: _STAMP = None
        self._facts = Facts()
        self._feedback: tuple[Feedback, ...] = ()
        self._heeds_feedback = True
        self._made: Searcher | None = None
        self._refresh()

    def add(
        self,
        documents: Iterable[Document] = (),
        signatures: Iterable[IncidentSignature] = (),
        remove: Iterable[str] = (),
        feedback: Iterable[Feedback] | None = None,
        progress: Progress | None = None,
    ) -> Added:
        """As `KnowledgeBase.add`; vectors are made before the lock is taken: writing is all that others wait for."""
        handed_in = checked(documents)
        known = {s.incident_id: json.dumps(redact_value(s.as_json()), sort_keys=True) for s in signatures}
        gone = frozenset(remove)
        said = None if feedback is None else json.dumps([redact_value(asdict(one)) for one in feedback])
        self._refresh()
        stored = read_catalogue(self.path)
        embedder = self._load()

        def change(catalogue: Catalogue) -> Change:
            return Change(changed_documents(catalogue, handed_in), len(handed_in), known, gone, said)

        wanted = change(stored)
        if wanted.is_empty(stored) and is_same_model(stored, embedder):
            return Added(0, 0, len(handed_in), 0, stored.facts.version)
        old = read(self.path)
        needed = new_passages(old, wanted.offered.values(), embedder)
        vectors = known_vectors(old, needed, embedder)
        vectors.update(self._model.of_passages([text for text in needed if text not in vectors], progress))
        with write_lock(self.path):
            if old.facts.version != read_facts(self.path).version:
                old = read(self.path)
            if old.facts.version != stored.facts.version:  # somebody else wrote meanwhile
                wanted = change(old.catalogue)
                late = [p for p in new_passages(old, wanted.offered.values(), embedder) if p not in vectors]
                vectors.update(self._model.of_passages(late))
            merged, added = merge(old, wanted, vectors, embedder)
            if merged is not old:
                publish(self.path, merged)
                self._hold(merged.facts, _stamp(self.path))
        return added

    def search(
        self,
        text: str,
        kind: str | None = None,
        limit: int = 5,
        since: datetime | None = None,
        before: datetime | None = None,
    ) -> list[SearchResult]:
        """As `KnowledgeBase.search`."""
        self._refresh()
        if not self._feedback or not self._heeds_feedback:
            return self._searcher.search(text, kind, limit, since, before)
        found = self._searcher.search(text, kind, limit + MORE_TO_REORDER, since, before)
        return adjusted(found, text, self._feedback)[:limit]

    def without_feedback(self) -> EmbeddedKnowledgeBase:
        """The same memory, answering as if nobody had said anything."""
        plain = EmbeddedKnowledgeBase(self.path, self.model, self._load())
        plain._heeds_feedback = False
        return plain

    @property
    def documents(self) -> tuple[Document, ...]:
        """Everything that is remembered."""
        self._refresh()
        return self._searcher.documents

    @property
    def signatures(self) -> tuple[IncidentSignature, ...]:
        """The record of each past incident."""
        self._refresh()
        return tuple(IncidentSignature.from_json(json.loads(body)) for _, body in self._facts.signatures)

    @property
    def version(self) -> str:
        """Names the content that a search sees now; "0" while nothing is remembered."""
        self._refresh()
        return self._facts.version

    @property
    def size(self) -> int | None:
        """The size of the file in bytes."""
        stamp = _stamp(self.path)
        return stamp[2] if stamp else 0

    def stats(self) -> dict[str, int | str]:
        """How many chunks and vectors there are, and how a search ranks."""
        self._refresh()
        searcher = self._searcher
        vectors = searcher.vectors
        usable = vectors is None or self._load_stored() is not None
        method = searcher.method if usable else "words (BM25); the embedding model is not installed"
        return {"chunks": searcher.chunks, "vectors": vectors or 0, "method": method}

    def check(self) -> None:
        """As `KnowledgeBase.check`; a search reads less."""
        read(self.path)

    def close(self) -> None:
        """Let go of the memory that a search needs; the next search reads the file again."""
        self._made = None

    def _refresh(self) -> None:
        stamp = _stamp(self.path)
        if stamp != self._stamp:
            self._hold(read_facts(self.path), stamp)

    def _hold(self, facts: Facts, stamp: _STAMP) -> None:
        """Answer from this version from now on."""
        self._stamp, self._facts, self._made = stamp, facts, None
        self._feedback = tuple(Feedback(**one) for one in json.loads(facts.meta.get("feedback", "[]")))

    @property
    def _searcher(self) -> Searcher:
        """Made when something is asked: one who only adds needs none."""
        made = self._made
        while made is None:
            made = Searcher(read_searchable(self.path), self._embed)
            if self._stamp != _stamp(self.path):  # replaced since it was looked at
                self._refresh()
                made = None
        self._made = made
        return made

    def _load(self) -> Embedder | None:
        return self._model.load(self._facts.meta.get("weights"))

    def _load_stored(self) -> Embedder | None:
        meta = self._facts.meta
        return self._model.load_stored(meta.get("model"), meta.get("weights"))

    def _embed(self, text: str) -> FloatArray | None:
        embedder = self._load_stored()
        return None if embedder is None else self._model.of_query(embedder, text)


def _stamp(path: Path) -> _STAMP:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
