"""Another model: searches go on with the old vectors until all are made anew, then switch at once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from kb import Document, KnowledgeBase
from kb import model as kb_model


class Counted:
    """A model that knows words by their hash."""

    def __init__(self, name: str, dimensions: int) -> None:
        self.name = self.stamp = name
        self.dimensions = dimensions
        self.embedded = 0

    def embed_passages(self, texts: Sequence[str]) -> np.ndarray:
        self.embedded += len(texts)
        found = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split():
                found[row, int(hashlib.sha256(word.encode()).hexdigest(), 16) % self.dimensions] += 1
        unit: np.ndarray = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-6)
        return unit

    def embed_query(self, text: str) -> np.ndarray:
        return self.embed_passages([text])[0]


DOCUMENTS = [Document(f"rb/{n}", "runbook", f"Title {n}", f"number{n} broker") for n in range(5)]


def test_searches_use_the_old_vectors_until_the_new_ones_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, old, new = tmp_path / "kb.duckdb", Counted("old", 32), Counted("new", 48)
    KnowledgeBase.open(path, embedder=old).add(DOCUMENTS)
    monkeypatch.setattr(kb_model, "load_embedder", lambda name, _: {"old": old, "new": new}[name])
    kb = KnowledgeBase.open(path, model="new")
    before = old.embedded
    assert kb.search("number3 broker")[0].id == "rb/3"
    assert (old.embedded, new.embedded) == (before + 1, 0)
    assert kb.stats()["method"] == "words and meaning (BM25 and vectors)"
    kb.add()
    assert new.embedded == len(DOCUMENTS)
    assert kb.search("number3 broker")[0].id == "rb/3"
    assert (old.embedded, new.embedded) == (before + 1, len(DOCUMENTS) + 1)


def test_a_moved_or_edited_document_keeps_its_vectors(tmp_path: Path) -> None:
    model = Counted("old", 32)
    kb = KnowledgeBase.open(tmp_path / "kb.duckdb", embedder=model)
    text = "# One\n\nfirst part\n\n# Two\n\nsecond part"
    kb.add([Document("rb", "runbook", "Title", text, source="/here.md")])
    assert model.embedded == 2
    kb.add([Document("rb", "runbook", "Title", text, source="/there.md")])
    kb.add([Document("rb", "runbook", "Title", text.replace("second", "another"), source="/there.md")])
    assert model.embedded == 3
