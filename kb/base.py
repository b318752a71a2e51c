"""The knowledge base as its users see it: open, add, search.

Belongs here: the public interface, and when the file is read again. Scoring is in `search.py`, the file in `store.py`,
what an `add` makes of the old contents in `merging.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from kb.documents import Document, SearchResult
from kb.embedding import DEFAULT_MODEL, Embedder, load_embedder
from kb.errors import ModelError
from kb.learning import Feedback, adjusted
from kb.merging import Added, Change, changed_documents, checked, is_same_model, known_vectors, merge, new_passages
from kb.redaction import redact_value
from kb.search import Searcher
from kb.shipped import shipped_vectors
from kb.similar import IncidentSignature, Match, find_similar
from kb.store import Contents, publish, read, write_lock

if TYPE_CHECKING:
    from kb.search import FloatArray

_STAMP = tuple[int, int, int] | None
_AT_ONCE = 64
_MORE_TO_REORDER = 10
_MOST_ASKED = 256
"""Vectors of queries that are kept: an incident asks the same again after one, three and ten minutes."""


class KnowledgeBase:
    """A memory of runbooks, postmortems, incidents and notes in one file.

    Reading never waits for a writer. Several processes may add and search at the same time; a search sees the newest
    version that was published when it began.
    """

    def __init__(self, path: Path, model: str = DEFAULT_MODEL, embedder: Embedder | None = None) -> None:
        self.path = path
        self.model = embedder.name if embedder else model
        self._embedder = embedder
        self._looked_for_model = embedder is not None
        self._asked: dict[tuple[str, str], FloatArray] = {}
        self._former: Embedder | None = None
        self._stamp: _STAMP = None
        self._contents = Contents()
        self._feedback: tuple[Feedback, ...] = ()
        self._heeds_feedback = True
        self._made: Searcher | None = None

    @classmethod
    def open(cls, path: str | Path, model: str = DEFAULT_MODEL, embedder: Embedder | None = None) -> KnowledgeBase:
        """Open a knowledge base; the file appears with the first `add`.

        Args:
            path: the file, or a URL of an engine: `lancedb:///srv/kb`, `lancedb+s3://bucket/kb`.
            model: the embedding model's name; "none" searches by words alone, which is also what happens where the
                model is not installed.
            embedder: used in place of the named model.

        Raises:
            DamagedIndexError: the file is there and cannot be read.
            KnowledgeBaseError: the engine's package is not installed.
        """
        if str(path).startswith("lancedb"):
            from kb.lance import SCHEMES, LanceKnowledgeBase

            if str(path).startswith(SCHEMES):
                return LanceKnowledgeBase(str(path), model, embedder)
        opened = cls(Path(path), model, embedder)
        opened._refresh()
        return opened

    def add(
        self,
        documents: Iterable[Document] = (),
        signatures: Iterable[IncidentSignature] = (),
        remove: Iterable[str] = (),
        feedback: Iterable[Feedback] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Added:
        """Remember documents and signatures of incidents; a known id is replaced, an unchanged one costs nothing.

        Text is redacted before it is stored. Vectors are made before the lock is taken, so writers wait for each other
        only while they write.

        Args:
            documents: what to remember.
            signatures: what past incidents looked like.
            remove: ids of documents to take out; their names stay in the history.
            feedback: all that people said of suggestions, in place of what was known; None leaves it.
            progress: called with (vectors made, vectors to make).

        Raises:
            UnreadableError: a document has no id or an unknown kind; nothing was added.
        """
        handed_in = checked(documents)
        known = {s.incident_id: json.dumps(redact_value(s.as_json()), sort_keys=True) for s in signatures}
        gone = frozenset(remove)
        said = None if feedback is None else json.dumps([redact_value(asdict(one)) for one in feedback])
        self._refresh()
        embedder = self._load()

        def change(old: Contents) -> Change:
            return Change(changed_documents(old, handed_in), len(handed_in), known, gone, said)

        wanted = change(self._contents)
        if wanted.is_empty(self._contents) and is_same_model(self._contents, embedder):
            return Added(0, 0, len(handed_in), 0, self._contents.version)
        needed = new_passages(self._contents, wanted.offered.values(), embedder)
        vectors = known_vectors(self._contents, needed, embedder)
        vectors.update(self._vectors([text for text in needed if text not in vectors], progress))
        with write_lock(self.path):
            before = self._contents
            self._refresh()
            old = self._contents
            if old is not before:  # somebody else wrote meanwhile
                wanted = change(old)
                late = [p for p in new_passages(old, wanted.offered.values(), embedder) if p not in vectors]
                vectors.update(self._vectors(late, None))
            merged, added = merge(old, wanted, vectors, embedder)
            if merged is not old:
                publish(self.path, merged)
                self._hold(merged)
        return added

    def search(
        self,
        text: str,
        kind: str | None = None,
        limit: int = 5,
        since: datetime | None = None,
        before: datetime | None = None,
    ) -> list[SearchResult]:
        """The documents that fit a text best, each with a calibrated probability of being relevant and with reasons.

        What people used or rejected when they asked similar questions moves it.

        Args:
            text: an alert's text, a question, a log line.
            kind: runbook, postmortem, incident or note; None for all.
            limit: results at most.
            since: documents of an earlier date are left out; those without a date are not.
            before: documents of this date or later are left out: what was not known yet.
        """
        self._refresh()
        if not self._feedback or not self._heeds_feedback:
            return self._searcher.search(text, kind, limit, since, before)
        found = self._searcher.search(text, kind, limit + _MORE_TO_REORDER, since, before)
        return adjusted(found, text, self._feedback)[:limit]

    def without_feedback(self) -> KnowledgeBase:
        """The same memory, answering as if nobody had said anything: what people said then tells how good it is."""
        plain = KnowledgeBase(self.path, self.model, self._load())
        plain._heeds_feedback = False
        return plain

    def similar(
        self,
        query: IncidentSignature,
        as_of: datetime,
        lookback: timedelta = timedelta(days=90),
        threshold: float = 0.7,
    ) -> list[Match]:
        """Past incidents that look like this one, the most similar first; see `kb.similar.find_similar`."""
        return find_similar(query, self.signatures, as_of, lookback, threshold)

    @property
    def documents(self) -> tuple[Document, ...]:
        """Everything that is remembered."""
        self._refresh()
        return self._contents.documents

    @property
    def signatures(self) -> tuple[IncidentSignature, ...]:
        """The record of each past incident."""
        self._refresh()
        return tuple(IncidentSignature.from_json(json.loads(body)) for _, body in self._contents.signatures)

    @property
    def version(self) -> str:
        """Names the content that a search sees now; "0" while nothing is remembered."""
        self._refresh()
        return self._contents.version

    def stats(self) -> dict[str, int | str]:
        """How many chunks and vectors there are, and how a search ranks."""
        self._refresh()
        found = self._contents.vectors
        vectors = 0 if found is None else int((found != 0).any(axis=1).sum())
        usable = found is None or self._load_stored() is not None
        method = self._searcher.method if usable else "words (BM25); the embedding model is not installed"
        return {"chunks": len(self._contents.chunks), "vectors": vectors, "method": method}

    @property
    def ranks_by_words_alone(self) -> bool:
        """Whether searches do without meaning although a model is wanted: it is missing, or was when indexing."""
        return self.model != "none" and "meaning" not in str(self.stats()["method"])

    def get(self, identity: str) -> Document | None:
        """The document of this id."""
        return next((document for document in self.documents if document.id == identity), None)

    def close(self) -> None:
        """Let go of the memory that a search needs; the next search reads the file again."""
        self._contents = Contents()
        self._made, self._stamp = None, None

    def _refresh(self) -> None:
        stamp = _stamp(self.path)
        if stamp != self._stamp:
            self._hold(read(self.path), stamp)

    def _hold(self, contents: Contents, stamp: _STAMP = None) -> None:
        """Answer from these contents from now on; without a stamp, those that were just published."""
        self._stamp = stamp or _stamp(self.path)
        self._contents, self._made = contents, None
        self._feedback = tuple(Feedback(**one) for one in json.loads(contents.meta.get("feedback", "[]")))

    @property
    def _searcher(self) -> Searcher:
        """Made when something is asked: one who only adds needs none."""
        if self._made is None:
            self._made = Searcher(self._contents, self._embed)
        return self._made

    def _load(self) -> Embedder | None:
        """The model, loaded at first use; None where it is not installed."""
        if not self._looked_for_model:
            self._embedder = load_embedder(self.model, self._contents.meta.get("weights"))
            self._looked_for_model = True
        return self._embedder

    def _embed(self, text: str) -> FloatArray | None:
        embedder = self._load_stored()
        if embedder is None:
            return None
        known = self._asked.get((embedder.name, text))
        if known is not None:
            return known
        vector: FloatArray = embedder.embed([text])[0]
        if len(self._asked) >= _MOST_ASKED:
            self._asked.clear()
        self._asked[embedder.name, text] = vector
        return vector

    def _load_stored(self) -> Embedder | None:
        """The model of the stored vectors: until all are made anew with another one, searches go on with the old."""
        stored, embedder = self._contents.meta.get("model"), self._load()
        if self.model == "none" or stored is None or (embedder is not None and embedder.name == stored):
            return embedder if stored is not None else None
        if self._former is None or self._former.name != stored:
            try:
                self._former = load_embedder(stored, self._contents.meta.get("weights"))
            except ModelError:
                return None
        return self._former

    def _vectors(self, passages: Sequence[str], progress: Callable[[int, int], None] | None) -> dict[str, FloatArray]:
        """The vectors of some texts; short ones first, so that texts of one length are together."""
        embedder = self._load()
        if embedder is None:
            return {}
        found = shipped_vectors(embedder.name, passages)
        ordered = sorted((text for text in passages if text not in found), key=len)
        for start in range(0, len(ordered), _AT_ONCE):
            batch = ordered[start : start + _AT_ONCE]
            found.update(zip(batch, embedder.embed(batch), strict=True))
            if progress is not None:
                progress(min(start + _AT_ONCE, len(ordered)), len(ordered))
        return found


def _stamp(path: Path) -> _STAMP:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
