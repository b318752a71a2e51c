"""The forward pass of a small BERT encoder, in numpy.

Belongs here: weights as they lie in a safetensors file, and the arithmetic of one layer. A text is a matrix of a column
for each token, so that every product takes the weights as they lie in the file. Texts are packed one after the other,
so padding costs nothing. Which model it is, and what is done with its vectors, is in `embedding.py`.
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
_GELU_AT_ONCE = 48 * 1024
"""Numbers: as many as stay in a core's own cache between two steps."""
_GELU = tuple(np.float32(-c) for c in (2.23816539e-06, -6.11620296e-05, -2.49723190e-04, 7.29375818e-02, 1.59565627))


class Half(NamedTuple):
    """Half of one layer's heads and half of its hidden units; biases are columns.

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
            qkv=np.concatenate(matrices),
            qkv_bias=np.concatenate(biases)[:, None],
            out=named("attention.output.dense.weight")[:, heads],
            up=named("intermediate.dense.weight")[units],
            up_bias=named("intermediate.dense.bias")[units, None],
            down=named("output.dense.weight")[:, units],
        )

    return Layer(
        halves=(half(0), half(1)),
        out_bias=named("attention.output.dense.bias")[:, None],
        norm=layer_norm(weights, f"encoder.layer.{number}.attention.output."),
        down_bias=named("output.dense.bias")[:, None],
        last_norm=layer_norm(weights, f"encoder.layer.{number}.output."),
    )


def layer_norm(weights: Mapping[str, FloatArray], prefix: str) -> tuple[FloatArray, FloatArray]:
    """Weight and bias of a layer normalisation, as columns."""
    return weights[f"{prefix}LayerNorm.weight"][:, None], weights[f"{prefix}LayerNorm.bias"][:, None]


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
    """What half of the heads add to each token, seeing only its own span.

    Scores are small (layer norm bounds them), so exp needs no shift.
    """
    qkv = half.qkv @ x
    qkv += half.qkv_bias
    query, key, value = qkv.reshape(3, HEADS // 2, HEAD_SIZE, -1)
    context = np.empty_like(value)
    for start, end in spans:
        scores: FloatArray = key[..., start:end].transpose(0, 2, 1) @ query[..., start:end]
        np.minimum(scores, 80, out=scores)
        np.exp(scores, out=scores)
        mixed = value[..., start:end] @ scores
        np.divide(mixed, scores.sum(axis=1, keepdims=True), out=context[..., start:end])
    result: FloatArray = half.out @ context.reshape(HEADS // 2 * HEAD_SIZE, -1)
    return result


def fed_forward(x: FloatArray, half: Half) -> FloatArray:
    """What half of the hidden units add to each token."""
    hidden: FloatArray = half.up @ x
    hidden += half.up_bias
    gelu(hidden)
    result: FloatArray = half.down @ hidden
    return result


def normalised(x: FloatArray, weight: FloatArray, bias: FloatArray) -> FloatArray:
    """Layer normalisation of each column, in place."""
    x -= x.mean(axis=0)
    variance = np.einsum("ij,ij->j", x, x) / len(x)
    x *= 1 / np.sqrt(variance + np.float32(1e-12))
    x *= weight
    x += bias
    return x


def gelu(x: FloatArray) -> None:
    """X * Phi(x) in place, by rows that fit the cache; error below 4e-6.

    Phi(x) is the logistic function of an odd polynomial of degree 9, fitted to the least largest error of the product.
    """
    rows_at_once = max(1, _GELU_AT_ONCE // max(x.shape[1], 1))
    for start in range(0, len(x), rows_at_once):
        rows = x[start : start + rows_at_once]
        square = rows * rows
        exponent = square * _GELU[0]
        for coefficient in _GELU[1:-1]:
            exponent += coefficient
            exponent *= square
        exponent += _GELU[-1]
        exponent *= rows
        np.minimum(exponent, 80, out=exponent)
        np.exp(exponent, out=exponent)
        exponent += 1
        rows /= exponent
