"""What one version of the knowledge base holds, and the parts of it that a reader needs.

Belongs here: shapes. How they get into the file and out of it is in `store.py`, how the next version is made of the
last one in `merging.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kb.documents import Document
from kb.lexical import TermIndex


class ChunkRow(NamedTuple):
    """A chunk as it is stored."""

    document_row: int
    heading: str
    line: int
    text: str


class Facts(NamedTuple):
    """What one version of the file says of itself, and the signatures of incidents."""

    signatures: tuple[tuple[str, str], ...] = ()
    """Incident id and the signature as JSON."""
    meta: Mapping[str, str] = MappingProxyType({})

    @property
    def version(self) -> str:
        """Names this content; "0" for an empty memory."""
        return self.meta.get("version", "0")


class Catalogue(NamedTuple):
    """What tells whether something is new."""

    hashes: Mapping[str, str]
    """Of each document's id, the hash of its content as it was handed in, before it was redacted."""
    facts: Facts


@dataclass(frozen=True, slots=True)
class Searchable:
    """What a search needs of one version of the file."""

    documents: tuple[Document, ...] = ()
    chunk_starts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, np.int64))
    """Where the chunks of each document begin; one longer than `documents`. Chunks are cut anew when one is shown."""
    vectors: npt.NDArray[np.float32] | None = None
    """One row for each chunk, zeros where there is none; None where no model was there."""
    index: TermIndex | None = None


@dataclass(frozen=True, slots=True)
class Contents:
    """All that one version of the file holds, as the next one is made of it."""

    documents: tuple[Document, ...] = ()
    hashes: tuple[str, ...] = ()
    """As in `Catalogue`, for each document."""
    chunks: tuple[ChunkRow, ...] = ()
    vectors: npt.NDArray[np.float32] | None = None
    """As in `Searchable`."""
    index: TermIndex | None = None
    signatures: tuple[tuple[str, str], ...] = ()
    removed: tuple[tuple[str, str, str, str], ...] = ()
    meta: dict[str, str] = field(default_factory=dict)

    @property
    def facts(self) -> Facts:
        """What it says of itself."""
        return Facts(self.signatures, self.meta)

    @property
    def catalogue(self) -> Catalogue:
        """The same without texts and vectors."""
        hashes = {document.id: known for document, known in zip(self.documents, self.hashes, strict=True)}
        return Catalogue(hashes, self.facts)
