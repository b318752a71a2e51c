"""An incident folder as a source of every kind of evidence.

It answers with all that the folder has: a recording is what its maker thought worth keeping, and its normal part may be
older than any lookback. Only where the clock stands before the end of the recording is what comes later left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from incident_pipeline.connectors.base import Question
from incident_pipeline.errors import InputError, PermanentSourceError
from incident_pipeline.evidence.envelopes import answered
from incident_pipeline.evidence.focus_areas import with_focus_areas
from incident_pipeline.incident_folder.cut import rows_until
from incident_pipeline.incident_folder.reading import Folder, load_folder
from incident_pipeline.models import Envelope, EnvelopeStatus, EvidenceKind, MetricSeries
from incident_pipeline.moments import format_moment


class FolderSource:
    """One incident folder; read once, at the first question."""

    def __init__(self, path: Path, load: Callable[[Path], Folder] = load_folder) -> None:
        self.name = "folder"
        self.kinds = frozenset(EvidenceKind)
        self._path = path
        self._load = load
        self._folder: Folder | None = None
        self._reading = asyncio.Lock()

    async def fetch(self, question: Question) -> Envelope[Any]:
        """The folder's rows of one kind."""
        folder = await self._read()
        (envelope,) = getattr(folder.evidence, question.kind.value).envelopes
        if envelope.status is EnvelopeStatus.UNAVAILABLE:
            return envelope  # type: ignore[no-any-return]
        rows, notes = _known_at(question.window.end, folder.as_of, question.kind, envelope)
        if question.kind is EvidenceKind.CODE_CHANGES:
            rows = with_focus_areas(rows, question.focus_areas)
        about = {"query": envelope.query, "notes": notes, "window": question.window}
        return answered(question.kind, envelope.source, rows, **about)

    async def close(self) -> None:
        """There is nothing to let go of."""

    async def _read(self) -> Folder:
        async with self._reading:
            if self._folder is None:
                try:
                    self._folder = await asyncio.to_thread(self._load, self._path)
                except InputError as error:
                    raise PermanentSourceError(str(error)) from error
        return self._folder


def _known_at(
    moment: datetime, recorded_until: datetime, kind: EvidenceKind, envelope: Envelope[Any]
) -> tuple[Sequence[Any], tuple[str, ...]]:
    """The rows from before the moment, and a note that says how many came later."""
    if moment >= recorded_until:
        return envelope.rows, envelope.notes
    rows = rows_until(kind, envelope.rows, moment)
    later = _size(envelope.rows) - _size(rows)
    if not later:
        return rows, envelope.notes
    left_out = f"{envelope.query}: {later} {'row' if later == 1 else 'rows'} from {format_moment(moment)} on left out"
    return rows, (*envelope.notes, left_out)


def _size(rows: Sequence[Any]) -> int:
    """How many rows they are in the store, which keeps a series as its points."""
    return sum(len(row.timestamps) if isinstance(row, MetricSeries) else 1 for row in rows)
