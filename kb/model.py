"""The embedding model of one knowledge base: loaded at first use, asked for vectors of passages and of queries.

Belongs here: which model is used when. How vectors are computed is in `embedding.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from kb.embedding import Embedder, load_embedder
from kb.errors import ModelError
from kb.shipped import shipped_vectors

FloatArray = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]

_AT_ONCE = 256
_MOST_ASKED = 256
"""Vectors of queries that are kept: an incident asks the same again after one, three and ten minutes."""


class Model:
    """The model that is wanted and, while its vectors are not there yet, the one that made those that are.

    Args:
        name: of the model; "none" does without.
        embedder: used in place of the named model.
    """

    def __init__(self, name: str, embedder: Embedder | None = None) -> None:
        self.name = embedder.name if embedder else name
        self._embedder = embedder
        self._looked_for = embedder is not None
        self._former: Embedder | None = None
        self._asked: dict[tuple[str, str], FloatArray] = {}

    def load(self, trusted_stamp: str | None = None) -> Embedder | None:
        """The model that is wanted; None where it is not installed, or none is wanted."""
        if not self._looked_for:
            self._embedder = load_embedder(self.name, trusted_stamp)
            self._looked_for = True
        return self._embedder

    def load_stored(self, stored: str | None, trusted_stamp: str | None = None) -> Embedder | None:
        """The model of stored vectors: until all are made anew with another one, searches go on with the old."""
        embedder = self.load(trusted_stamp)
        if self.name == "none" or stored is None or (embedder is not None and embedder.name == stored):
            return embedder if stored is not None else None
        if self._former is None or self._former.name != stored:
            try:
                self._former = load_embedder(stored, trusted_stamp)
            except ModelError:
                return None
        return self._former

    def of_query(self, embedder: Embedder, text: str) -> FloatArray:
        """The vector of a query; the last few hundred are remembered."""
        known = self._asked.get((embedder.name, text))
        if known is not None:
            return known
        vector = embedder.embed_query(text)
        if len(self._asked) >= _MOST_ASKED:
            self._asked.clear()
        self._asked[embedder.name, text] = vector
        return vector

    def of_passages(self, passages: Sequence[str], progress: Progress | None = None) -> dict[str, FloatArray]:
        """The vectors of some texts, none without a model; texts of one length go together."""
        embedder = self.load()
        if embedder is None:
            return {}
        found = shipped_vectors(embedder.name, passages)
        ordered = sorted((text for text in passages if text not in found), key=len)
        for start in range(0, len(ordered), _AT_ONCE):
            batch = ordered[start : start + _AT_ONCE]
            found.update(zip(batch, embedder.embed_passages(batch), strict=True))
            if progress is not None:
                progress(min(start + _AT_ONCE, len(ordered)), len(ordered))
        return found
