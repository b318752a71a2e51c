"""The knowledge base as its users see it: open, add, search.

Belongs here: the public interface, and when the file is read again. Scoring is in `search.py`, the file in `store.py`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from kb.chunking import chunks
from kb.documents import KINDS, Document, SearchResult
from kb.errors import UnreadableError
from kb.lexical import build_postings
from kb.redaction import redact, redact_value
from kb.search import Searcher
from kb.similar import IncidentSignature, Match, find_similar
from kb.store import ChunkRow, Contents, publish, read, write_lock

_STAMP = tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class Added:
    """What one `add` did."""

    new: int
    changed: int
    unchanged: int
    removed: int
    version: str


class KnowledgeBase:
    """A memory of runbooks, postmortems, incidents and notes in one file.

    Reading never waits for a writer. Several processes may add and search at the same time; a search sees the newest
    version that was published when it began.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: _STAMP = None
        self._contents = Contents()
        self._searcher = Searcher(self._contents)

    @classmethod
    def open(cls, path: str | Path) -> KnowledgeBase:
        """Open a knowledge base; the file appears with the first `add`.

        Raises:
            DamagedIndexError: the file is there and cannot be read.
        """
        opened = cls(Path(path))
        opened._refresh()
        return opened

    def add(
        self,
        documents: Iterable[Document] = (),
        signatures: Iterable[IncidentSignature] = (),
        remove: Iterable[str] = (),
    ) -> Added:
        """Remember documents and signatures of incidents; a known id is replaced, an unchanged one costs nothing.

        Text is redacted before it is stored. `remove` takes documents out by id; their names stay in the history.

        Raises:
            UnreadableError: a document has no id or an unknown kind; nothing was added.
        """
        fresh = {document.id: document for document in map(_redacted, documents)}
        known = {s.incident_id: json.dumps(redact_value(s.as_json()), sort_keys=True) for s in signatures}
        with write_lock(self.path):
            old = read(self.path)
            merged, added = _merge(old, fresh, known, set(remove))
            if merged is not old:
                publish(self.path, merged)
        self._refresh()
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

        Args:
            text: an alert's text, a question, a log line.
            kind: runbook, postmortem, incident or note; None for all.
            limit: results at most.
            since: documents of an earlier date are left out; those without a date are not.
            before: documents of this date or later are left out: what was not known yet.
        """
        self._refresh()
        return self._searcher.search(text, kind, limit, since, before)

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
        vectors = sum(chunk.vector is not None for chunk in self._contents.chunks)
        return {"chunks": len(self._contents.chunks), "vectors": vectors, "method": "lexical (BM25F)"}

    def get(self, identity: str) -> Document | None:
        """The document of this id."""
        return next((document for document in self.documents if document.id == identity), None)

    def close(self) -> None:
        """Let go of the memory that a search needs; the next search reads the file again."""
        self._contents, self._searcher, self._stamp = Contents(), Searcher(Contents()), None

    def _refresh(self) -> None:
        stamp = _stamp(self.path)
        if stamp != self._stamp:
            contents = read(self.path)
            self._contents, self._searcher, self._stamp = contents, Searcher(contents), stamp


def _stamp(path: Path) -> _STAMP:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _redacted(document: Document) -> Document:
    if not document.id or document.kind not in KINDS:
        raise UnreadableError(f"document {document.id!r} has kind {document.kind!r}; write one of {', '.join(KINDS)}")
    return replace(
        document,
        id=_storable(document.id),
        title=redact(_storable(document.title)),
        text=redact(_storable(document.text)),
        source=redact(_storable(document.source)),
        services=tuple(map(_storable, document.services)),
        labels=tuple(redact(_storable(label)) for label in document.labels),
    )


def _storable(text: str) -> str:
    """Without what UTF-8 or the store cannot hold: half surrogates and NUL."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "")


def _merge(
    old: Contents, fresh: dict[str, Document], known: dict[str, str], remove: set[str]
) -> tuple[Contents, Added]:
    """The next contents; the same object where nothing changed."""
    hashes = {document.id: document.content_hash for document in old.documents}
    changed = {identity for identity, document in fresh.items() if hashes.get(identity) != document.content_hash}
    gone = (remove & hashes.keys()) - fresh.keys()
    signatures = {**dict(old.signatures), **known}
    new = len(changed - hashes.keys())
    if not changed and not gone and signatures == dict(old.signatures):
        return old, Added(0, 0, len(fresh), 0, old.version)
    kept = [document for document in old.documents if document.id not in changed | gone]
    documents = (*kept, *(fresh[identity] for identity in fresh if identity in changed))
    version = _next_version(old.version, documents, signatures)
    merged = Contents(
        documents=documents,
        chunks=tuple(_chunk_rows(documents, old)),
        postings=build_postings([_fields(document) for document in documents]),
        signatures=tuple(sorted(signatures.items())),
        removed=(*old.removed, *((d.id, d.title, d.content_hash, version) for d in old.documents if d.id in gone)),
        meta={**old.meta, "version": version},
    )
    return merged, Added(new, len(changed) - new, len(fresh) - len(changed), len(gone), version)


def _next_version(old: str, documents: Sequence[Document], signatures: dict[str, str]) -> str:
    """A number that counts up and a hash of the content: `12-5f3a90c1`."""
    digest = hashlib.sha256()
    for document in documents:
        digest.update(f"{document.id}\x00{document.content_hash}\x00".encode("utf-8", "surrogatepass"))
    for identity in sorted(signatures):
        digest.update(f"{identity}\x00{signatures[identity]}\x00".encode())
    return f"{int(old.partition('-')[0]) + 1}-{digest.hexdigest()[:8]}"


def _chunk_rows(documents: Sequence[Document], old: Contents) -> Iterable[ChunkRow]:
    """The chunks of all documents in order; those of an unchanged document are taken over."""
    hashes = [document.content_hash for document in old.documents]
    taken: dict[str, list[ChunkRow]] = {}
    for chunk in old.chunks:
        taken.setdefault(hashes[chunk.document_row], []).append(chunk)
    for row, document in enumerate(documents):
        found = taken.get(document.content_hash)
        if found is None:
            found = [ChunkRow(row, chunk.heading, chunk.line, chunk.text) for chunk in chunks(document.text)]
        for chunk in found:
            yield replace(chunk, document_row=row)


def _fields(document: Document) -> dict[str, str]:
    headings = dict.fromkeys(chunk.heading for chunk in chunks(document.text) if chunk.heading)
    name = document.id.replace("\\", "/").rpartition("/")[2].rpartition(":")[2]
    facts = (name, *document.services, document.category or "", *document.labels)
    return {"title": document.title, "headings": " ".join(headings), "body": document.text, "facts": " ".join(facts)}
