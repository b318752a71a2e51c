"""Old contents and new documents to the next contents.

Belongs here: what is taken over and what is made anew. Pure but for the vectors, which are handed in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from kb.chunking import Chunk, chunks
from kb.documents import KINDS, Document
from kb.embedding import Embedder
from kb.errors import UnreadableError
from kb.lexical import Part, build_index, update_index
from kb.redaction import redact
from kb.store import ChunkRow, Contents

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Added:
    """What one `add` did."""

    new: int
    changed: int
    unchanged: int
    removed: int
    version: str


def redacted(document: Document) -> Document:
    """The document as it may be stored: without secrets, and without what UTF-8 cannot hold.

    Raises:
        UnreadableError: it has no id or an unknown kind.
    """
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


def passage(title: str, chunk: Chunk | ChunkRow) -> str:
    """What is embedded for a chunk: the document's title, the heading path, the text."""
    parts = dict.fromkeys((title, *chunk.heading.split(" > ")))
    return ". ".join(filter(None, parts)) + "\n" + chunk.text


def new_passages(old: Contents, fresh: Mapping[str, Document], embedder: Embedder | None) -> list[str]:
    """The texts whose vectors are needed and not there: of changed documents, or of all after a change of the model."""
    if embedder is None:
        return []
    hashes = {document.id: document.content_hash for document in old.documents}
    changed = [document for document in fresh.values() if hashes.get(document.id) != document.content_hash]
    needed = [passage(d.title, chunk) for d in changed for chunk in chunks(d.text)]
    if old.meta.get("model") != embedder.name:
        needed += [passage(old.documents[chunk.document_row].title, chunk) for chunk in old.chunks]
    return list(dict.fromkeys(needed))


def merge(
    old: Contents,
    fresh: Mapping[str, Document],
    signatures: Mapping[str, str],
    remove: set[str],
    vectors: Mapping[str, FloatArray],
    embedder: Embedder | None,
) -> tuple[Contents, Added]:
    """The next contents; the same object where nothing changed."""
    hashes = {document.id: document.content_hash for document in old.documents}
    changed = {identity for identity, document in fresh.items() if hashes.get(identity) != document.content_hash}
    gone = (remove & hashes.keys()) - fresh.keys()
    known = {**dict(old.signatures), **signatures}
    model = embedder.name if embedder else old.meta.get("model")
    same_model = model == old.meta.get("model") or not (old.documents or fresh)
    if not changed and not gone and known == dict(old.signatures) and same_model:
        return old, Added(0, 0, len(fresh), 0, old.version)
    kept = [row for row, document in enumerate(old.documents) if document.id not in changed | gone]
    added = [document for identity, document in fresh.items() if identity in changed]
    documents = (*(old.documents[row] for row in kept), *added)
    rows, matrix = _chunks(old, kept, added, vectors, embedder)
    parts = [part(document) for document in added]
    version = _next_version(old.version, documents, known)
    merged = Contents(
        documents=documents,
        chunks=rows,
        vectors=matrix,
        index=build_index(parts) if old.index is None else update_index(old.index, kept, parts),
        signatures=tuple(sorted(known.items())),
        removed=(*old.removed, *((d.id, d.title, d.content_hash, version) for d in old.documents if d.id in gone)),
        meta={**old.meta, "version": version, **_model_facts(embedder if matrix is not None else None)},
    )
    new = len(changed - hashes.keys())
    return merged, Added(new, len(changed) - new, len(fresh) - len(changed), len(gone), version)


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
