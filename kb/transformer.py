"""The forward pass of a small BERT encoder, in numpy.

Belongs here: weights as they lie in a safetensors file, and the arithmetic of one layer. Texts are packed one after the
other, so padding costs nothing. Which model it is, and what is done with its vectors, is in `embedding.py`.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]

HEADS, HEAD_SIZE = 12, 32
_PACKED_TOKENS = 1024
"""Tokens in one pass: enough for the matrix product to be fast, few enough to stay in the cache."""
_GELU_ROWS = 64


class Half(NamedTuple):
    """Half of one layer's heads and half of its hidden units; matrices are stored so that `x @ matrix` is contiguous.

    What the two halves give is added up, so they can be computed at the same time (Shoeybi et al., "Megatron-LM").
    """

    qkv: FloatArray
    qkv_bias: FloatArray
    out: FloatArray
    up: FloatArray
    up_bias: FloatArray
    down: FloatArray


class Layer(NamedTuple):
    """The weights of one transformer layer."""

    halves: tuple[Half, Half]
    out_bias: FloatArray
    norm: tuple[FloatArray, FloatArray]
    down_bias: FloatArray
    last_norm: tuple[FloatArray, FloatArray]


def mapped_tensors(path: Path) -> dict[str, FloatArray]:
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


def make_layer(weights: Mapping[str, FloatArray], number: int) -> Layer:
    """One layer, with the scale of the attention scores taken into the query's weights."""

    def named(name: str) -> FloatArray:
        return weights[f"encoder.layer.{number}.{name}"]

    scale = np.float32(1 / np.sqrt(HEAD_SIZE))
    parts = [("query", scale), ("key", np.float32(1)), ("value", np.float32(1))]

    def half(at: int) -> Half:
        heads = slice(at * HEADS // 2 * HEAD_SIZE, (at + 1) * HEADS // 2 * HEAD_SIZE)
        matrices = [named(f"attention.self.{part}.weight")[heads] * factor for part, factor in parts]
        biases = [named(f"attention.self.{part}.bias")[heads] * factor for part, factor in parts]
        size = len(named("intermediate.dense.bias")) // 2
        units = slice(at * size, (at + 1) * size)
        return Half(
            qkv=np.ascontiguousarray(np.concatenate(matrices).T),
            qkv_bias=np.concatenate(biases),
            out=named("attention.output.dense.weight")[:, heads].T,
            up=named("intermediate.dense.weight")[units].T,
            up_bias=named("intermediate.dense.bias")[units],
            down=named("output.dense.weight")[:, units].T,
        )

    return Layer(
        halves=(half(0), half(1)),
        out_bias=named("attention.output.dense.bias"),
        norm=(named("attention.output.LayerNorm.weight"), named("attention.output.LayerNorm.bias")),
        down_bias=named("output.dense.bias"),
        last_norm=(named("output.LayerNorm.weight"), named("output.LayerNorm.bias")),
    )


def packs(lengths: Sequence[int]) -> Iterator[list[int]]:
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


def attended(x: FloatArray, half: Half, spans: Sequence[tuple[int, int]]) -> FloatArray:
    """What half of the heads add to each row, seeing only its own span.

    Scores are small (layer norm bounds them), so exp needs no shift.
    """
    qkv = x @ half.qkv
    qkv += half.qkv_bias
    context = np.empty((len(x), HEADS // 2 * HEAD_SIZE), dtype=np.float32)
    for start, end in spans:
        query, key, value = qkv[start:end].reshape(end - start, 3, HEADS // 2, HEAD_SIZE).transpose(1, 2, 0, 3)
        scores: FloatArray = query @ key.transpose(0, 2, 1)
        np.minimum(scores, 80, out=scores)
        np.exp(scores, out=scores)
        mixed = scores @ value
        mixed /= scores.sum(axis=-1, keepdims=True)
        context[start:end] = mixed.transpose(1, 0, 2).reshape(end - start, -1)
    result: FloatArray = context @ half.out
    return result


def fed_forward(x: FloatArray, half: Half) -> FloatArray:
    """What half of the hidden units add to each row."""
    hidden: FloatArray = x @ half.up
    hidden += half.up_bias
    gelu(hidden)
    result: FloatArray = hidden @ half.down
    return result


def normalised(x: FloatArray, weight: FloatArray, bias: FloatArray) -> FloatArray:
    """Layer normalisation of each row, in place."""
    x -= x.mean(axis=1, keepdims=True)
    variance = np.einsum("ij,ij->i", x, x) / x.shape[1]
    x *= (1 / np.sqrt(variance + np.float32(1e-12)))[:, None]
    x *= weight
    x += bias
    return x


def gelu(x: FloatArray) -> None:
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
