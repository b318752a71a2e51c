"""Envelopes of a kind that is known only at run time.

Belongs here: making typed envelopes from an `EvidenceKind`. Where the type is known, write `Envelope[LogEntry]`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from incident_pipeline.models import ROW_TYPES, Envelope, EvidenceKind, Gathered


def answered(kind: EvidenceKind, source: str, rows: Sequence[Any], **about: Any) -> Envelope[Any]:
    """An answer of one source: `ok` with rows, `empty` without."""
    return _envelope(kind).of(source, rows, **about)


def unavailable(kind: EvidenceKind, source: str, error: str, **about: Any) -> Envelope[Any]:
    """No answer of one source, and why."""
    return _envelope(kind).unavailable(source, error, **about)


def gathered(kind: EvidenceKind, envelopes: Iterable[Envelope[Any]]) -> Gathered[Any]:
    """The answers of all sources that were asked for one kind."""
    typed: type[Gathered[Any]] = Gathered.__class_getitem__(ROW_TYPES[kind])  # type: ignore[assignment]
    return typed(kind=kind, envelopes=tuple(envelopes))


def _envelope(kind: EvidenceKind) -> type[Envelope[Any]]:
    typed: type[Envelope[Any]] = Envelope.__class_getitem__(ROW_TYPES[kind])  # type: ignore[assignment]
    return typed
