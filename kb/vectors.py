"""Exact search among the vectors of all chunks.

Belongs here: which chunk of which document is nearest in meaning. Where vectors come from is in `embedding.py`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


class VectorIndex:
    """Unit vectors of chunks, sorted by document; a row of zeros is a chunk that has none yet."""

    def __init__(self, vectors: FloatArray, chunk_starts: Rows) -> None:
        self._vectors = vectors
        counts = np.diff(chunk_starts)
        self._documents = np.nonzero(counts)[0]
        self._starts = chunk_starts[:-1][self._documents]
        self._chunk_starts = chunk_starts

    @property
    def count(self) -> int:
        """How many chunks have a vector."""
        return int(np.count_nonzero(np.einsum("ij,ij->i", self._vectors, self._vectors)))

    def nearness(self, vector: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The cosine of every chunk to a vector, and of every document's nearest chunk (0 where it has none)."""
        # not `@`: BLAS would split it among threads, which wait for each other on a busy machine
        chunks: FloatArray = np.einsum("ij,j->i", self._vectors, vector)
        documents = np.zeros(len(self._chunk_starts) - 1, dtype=np.float32)
        if len(self._documents):
            documents[self._documents] = np.maximum.reduceat(chunks, self._starts)
        return chunks, documents
