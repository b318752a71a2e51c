"""The knowledge base as its users see it: open, add, search; the same for every engine.

Belongs here: the public interface, and what is the same for all engines. The engines are `embedded.py` (one file) and
`lance.py` (LanceDB); which documents fit is decided by the same ranking in both (`search.py`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

from kb.documents import Document, SearchResult
from kb.embedding import DEFAULT_MODEL, Embedder
from kb.learning import Feedback
from kb.merging import Added
from kb.model import Progress
from kb.similar import IncidentSignature, Match, find_similar


class KnowledgeBase(ABC):
    """A memory of runbooks, postmortems, incidents and notes.

    Reading never waits for a writer. Several processes may add and search at the same time; a search sees the newest
    version that was published when it began.
    """

    model: str
    """Name of the embedding model; "none" searches by words alone."""

    @staticmethod
    def open(path: str | Path, model: str = DEFAULT_MODEL, embedder: Embedder | None = None) -> KnowledgeBase:
        """Open a knowledge base; it appears with the first `add`.

        Args:
            path: a file, or a URL of an engine: `lancedb:///srv/kb`, `lancedb+s3://bucket/kb`.
            model: the embedding model's name; "none" searches by words alone, which is also what happens where the
                model is not installed.
            embedder: used in place of the named model.

        Raises:
            DamagedIndexError: the file is there and cannot be read.
            KnowledgeBaseError: the engine's package is not installed.
        """
        # each engine is imported when it is used: a process that opens a file never pays for another one
        if str(path).startswith(("lancedb://", "lancedb+")):
            from kb.lance import LanceKnowledgeBase

            return LanceKnowledgeBase(str(path), model, embedder)
        from kb.embedded import EmbeddedKnowledgeBase

        return EmbeddedKnowledgeBase(Path(path), model, embedder)

    @abstractmethod
    def add(
        self,
        documents: Iterable[Document] = (),
        signatures: Iterable[IncidentSignature] = (),
        remove: Iterable[str] = (),
        feedback: Iterable[Feedback] | None = None,
        progress: Progress | None = None,
    ) -> Added:
        """Remember documents and signatures of incidents; a known id is replaced, an unchanged one costs nothing.

        Text is redacted before it is stored.

        Args:
            documents: what to remember.
            signatures: what past incidents looked like.
            remove: ids of documents to take out; their names stay in the history.
            feedback: all that people said of suggestions, in place of what was known; None leaves it.
            progress: called with (vectors made, vectors to make).

        Raises:
            UnreadableError: a document has no id or an unknown kind; nothing was added.
        """

    @abstractmethod
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

    @abstractmethod
    def without_feedback(self) -> KnowledgeBase:
        """The same memory, answering as if nobody had said anything: what people said then tells how good it is."""

    @property
    @abstractmethod
    def documents(self) -> tuple[Document, ...]:
        """Everything that is remembered."""

    @property
    @abstractmethod
    def signatures(self) -> tuple[IncidentSignature, ...]:
        """The record of each past incident."""

    @property
    @abstractmethod
    def version(self) -> str:
        """Names the content that a search sees now; "0" while nothing is remembered."""

    @property
    @abstractmethod
    def size(self) -> int | None:
        """How many bytes it takes where it lies; None where the engine does not say."""

    @abstractmethod
    def stats(self) -> dict[str, int | str]:
        """How many chunks and vectors there are, and how a search ranks."""

    def check(self) -> None:
        """Read what is stored, all of it.

        Raises:
            DamagedIndexError: a part of it cannot be read.
        """
        _ = self.documents

    @abstractmethod
    def close(self) -> None:
        """Let go of the memory that a search needs; the next search reads again."""

    def get(self, identity: str) -> Document | None:
        """The document of this id."""
        return next((document for document in self.documents if document.id == identity), None)

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
    def ranks_by_words_alone(self) -> bool:
        """Whether searches do without meaning although a model is wanted: it is missing, or was when indexing."""
        return self.model != "none" and "meaning" not in str(self.stats()["method"])
