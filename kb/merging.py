"""Old contents and new documents to the next contents.

Belongs here: what is taken over and what is made anew. Pure but for the vectors, which are handed in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kb.chunking import Chunk, chunks
from kb.contents import Catalogue, ChunkRow, Contents
from kb.documents import KINDS, Document
from kb.embedding import Embedder
from kb.errors import UnreadableError
from kb.lexical import Part, build_index, update_index
from kb.redaction import redact

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Added:
    """What one `add` did."""

    new: int
    changed: int
    unchanged: int
    removed: int
    version: str


class Offered(NamedTuple):
    """A document that is new or changed, as it may be stored, with its hash as it was handed in."""

    document: Document
    content_hash: str


def checked(documents: Iterable[Document]) -> dict[str, Document]:
    """Documents by id; of two of one id the last counts.

    Raises:
        UnreadableError: one has no id or an unknown kind.
    """
    found = {}
    for document in documents:
        if not document.id or document.kind not in KINDS:
            kinds = ", ".join(KINDS)
            raise UnreadableError(f"document {document.id!r} has kind {document.kind!r}; write one of {kinds}")
        found[_storable(document.id)] = document
    return found


def changed_documents(known: Catalogue, handed_in: Mapping[str, Document]) -> dict[str, Offered]:
    """Those that differ from what is stored; only they are redacted, which is what costs time."""
    offered = ((identity, document, document.content_hash) for identity, document in handed_in.items())
    return {i: Offered(redacted(document), found) for i, document, found in offered if known.hashes.get(i) != found}


def redacted(document: Document) -> Document:
    """The document as it may be stored: without secrets, and without what UTF-8 cannot hold."""
    return replace(
        document,
        id=_storable(document.id),
        title=redact(_storable(document.title)),
        text=redact(_storable(document.text)),
        source=redact(_storable(document.source)),
        services=tuple(map(_storable, document.services)),
        labels=tuple(redact(_storable(label)) for label in document.labels),
        facts=tuple((_storable(name), redact(_storable(value))) for name, value in document.facts),
    )


def passage(title: str, chunk: Chunk | ChunkRow) -> str:
    """What is embedded for a chunk: the document's title, the heading path, the text."""
    parts = dict.fromkeys((title, *chunk.heading.split(" > ")))
    return ". ".join(filter(None, parts)) + "\n" + chunk.text


def new_passages(old: Contents, offered: Iterable[Offered], embedder: Embedder | None) -> list[str]:
    """The texts whose vectors are needed and not there: of changed documents, or of all after a change of the model."""
    if embedder is None:
        return []
    needed = [passage(o.document.title, chunk) for o in offered for chunk in chunks(o.document.text)]
    if old.meta.get("model") != embedder.name:
        needed += [passage(old.documents[chunk.document_row].title, chunk) for chunk in old.chunks]
    return list(dict.fromkeys(needed))


def known_vectors(old: Contents, passages: Iterable[str], embedder: Embedder | None) -> dict[str, FloatArray]:
    """The vectors of texts that are stored already: a document that was moved or edited keeps most of its own."""
    wanted = set(passages)
    if not wanted or embedder is None or old.vectors is None or old.meta.get("model") != embedder.name:
        return {}
    found = {}
    for row, chunk in enumerate(old.chunks):
        text = passage(old.documents[chunk.document_row].title, chunk)
        if text in wanted and old.vectors[row].any():
            found[text] = old.vectors[row]
    return found


def is_same_model(known: Catalogue, embedder: Embedder | None) -> bool:
    """Whether what is stored can stay as it is with this model; without a model it can."""
    return embedder is None or not known.hashes or known.facts.meta.get("model") == embedder.name


class Change(NamedTuple):
    """What an `add` asks for, beside what is stored."""

    offered: Mapping[str, Offered]
    handed_in: int
    """How many documents were handed in, changed or not."""
    signatures: Mapping[str, str]
    remove: frozenset[str]
    feedback: str | None = None
    """What people said of suggestions, as JSON; None leaves what is known."""

    def is_empty(self, known: Catalogue) -> bool:
        """Whether what is stored already is what is asked for."""
        if self.feedback is not None and self.feedback != known.facts.meta.get("feedback", "[]"):
            return False
        if self.offered or not self.remove.isdisjoint(known.hashes):
            return False
        signatures = dict(known.facts.signatures)
        return all(signatures.get(i) == body for i, body in self.signatures.items())


def merge(
    old: Contents, change: Change, vectors: Mapping[str, FloatArray], embedder: Embedder | None
) -> tuple[Contents, Added]:
    """The next contents; the same object where nothing changed."""
    before = old.catalogue
    if change.is_empty(before) and is_same_model(before, embedder):
        return old, Added(0, 0, change.handed_in, 0, before.facts.version)
    ids = before.hashes.keys()
    gone = (change.remove & ids) - change.offered.keys()
    kept = [row for row, d in enumerate(old.documents) if d.id not in change.offered and d.id not in gone]
    added = [offered.document for offered in change.offered.values()]
    documents = (*(old.documents[row] for row in kept), *added)
    hashes = (*(old.hashes[row] for row in kept), *(offered.content_hash for offered in change.offered.values()))
    rows, matrix = _chunks(old, kept, added, vectors, embedder)
    said = {} if change.feedback is None else {"feedback": change.feedback}
    parts = [part(document) for document in added]
    known = {**dict(old.signatures), **change.signatures}
    version = _next_version(
        before.facts.version, documents, {**known, "": change.feedback or old.meta.get("feedback", "")}
    )
    removed = (
        (d.id, d.title, found, version) for d, found in zip(old.documents, old.hashes, strict=True) if d.id in gone
    )
    merged = Contents(
        documents=documents,
        hashes=hashes,
        chunks=rows,
        vectors=matrix,
        index=build_index(parts) if old.index is None else update_index(old.index, kept, parts),
        signatures=tuple(sorted(known.items())),
        removed=(*old.removed, *removed),
        meta={**old.meta, **said, "version": version, **_model_facts(embedder if matrix is not None else None)},
    )
    new = len(change.offered.keys() - ids)
    return merged, Added(new, len(added) - new, change.handed_in - len(added), len(gone), version)


def part(document: Document) -> Part:
    """A document as the term index sees it."""
    name = document.id.replace("\\", "/").rpartition("/")[2].rpartition(":")[2]
    date = document.date.date().isoformat() if document.date else ""
    facts = (date, *document.services, document.category or "", *document.labels)
    return Part(title=f"{document.title}\n{name}", facts="\n".join(facts), body=document.text)


def _model_facts(embedder: Embedder | None) -> dict[str, str]:
    if embedder is None:
        return {}
    return {"model": embedder.name, "dimensions": str(embedder.dimensions), "weights": embedder.stamp}


def _chunks(
    old: Contents,
    kept: Sequence[int],
    added: Sequence[Document],
    vectors: Mapping[str, FloatArray],
    embedder: Embedder | None,
) -> tuple[tuple[ChunkRow, ...], FloatArray | None]:
    """The chunks of all documents in order with their vectors; those of kept documents are taken over."""
    places: dict[int, list[int]] = {}
    for at, chunk in enumerate(old.chunks):
        places.setdefault(chunk.document_row, []).append(at)
    rows: list[ChunkRow] = []
    taken: list[int] = []
    for row, before in enumerate(kept):
        for at in places.get(before, ()):
            rows.append(old.chunks[at]._replace(document_row=row))
            taken.append(at)
    texts = [passage(old.documents[old.chunks[at].document_row].title, old.chunks[at]) for at in taken]
    for row, document in enumerate(added, start=len(kept)):
        for cut in chunks(document.text):
            rows.append(ChunkRow(row, cut.heading, cut.line, cut.text))
            texts.append(passage(document.title, cut))
    return tuple(rows), _matrix(old, taken, texts, vectors, embedder)


def _matrix(
    old: Contents,
    taken: Sequence[int],
    texts: Sequence[str],
    vectors: Mapping[str, FloatArray],
    embedder: Embedder | None,
) -> FloatArray | None:
    """One row for each text: taken over where the model is the same, else from the vectors handed in, else zeros."""
    if embedder is None and old.vectors is None:
        return None
    dimensions = embedder.dimensions if embedder else int(old.meta["dimensions"])
    matrix = np.zeros((len(texts), dimensions), dtype=np.float32)
    reusable = old.vectors is not None and (embedder is None or old.meta.get("model") == embedder.name)
    if reusable and old.vectors is not None:
        matrix[: len(taken)] = old.vectors[list(taken)]
    for at in range(len(taken) if reusable else 0, len(texts)):
        vector = vectors.get(texts[at])
        if vector is not None:
            matrix[at] = vector
    return matrix


def _next_version(old: str, documents: Iterable[Document], signatures: Mapping[str, str]) -> str:
    """A number that counts up and a hash of the content: `12-5f3a90c1`."""
    digest = hashlib.sha256()
    for document in documents:
        digest.update(f"{document.id}\x00{document.content_hash}\x00".encode())
    for identity in sorted(signatures):
        digest.update(f"{identity}\x00{signatures[identity]}\x00".encode())
    return f"{int(old.partition('-')[0]) + 1}-{digest.hexdigest()[:8]}"


def _storable(text: str) -> str:
    """Without what UTF-8 or the store cannot hold: half surrogates and NUL."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "")
