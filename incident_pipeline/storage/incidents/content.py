"""A value on its way into the store: made into rows once, with the name of its content.

Belongs here: what counts as content, its hash, and the text in which columns travel to the database.
Does not belong here: rows (`rows.py`), SQL.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from incident_pipeline.models import EnvelopeStatus
from incident_pipeline.storage.incidents.rows import Rows, asset_table, envelopes_of, from_rows, status_of, to_rows
from incident_pipeline.storage.incidents.tables import AssetTable

_NOT_CONTENT = ("seconds", "query", "window")


@dataclass(frozen=True)
class Prepared:
    """The stored form of a value: without secrets, with moments to the microsecond."""

    table: AssetTable
    rows: Rows
    columns: list[str]
    envelopes: tuple[dict[str, Any], ...]
    status: EnvelopeStatus
    data_version: str
    """Equal for equal content, whatever it cost to get it; `unavailable:...` where no source answered."""

    @cached_property
    def value(self) -> Any:
        """What a later `read` returns.

        Whoever computes with this rather than with the value itself comes to the same result when the stored evidence
        is analysed again, or exported.
        """
        return from_rows(self.table.name, self.rows, self.envelopes)


def prepare(asset: str, value: Any) -> Prepared:
    """The stored form of a value.

    Raises:
        StoreError: it is not what the asset stores.
        NotFoundError: no asset has this name.
    """
    table, rows = asset_table(asset), to_rows(asset, value)
    envelopes, status = envelopes_of(asset, value), status_of(asset, value)
    columns = column_texts(table, rows)
    return Prepared(table, rows, columns, envelopes, status, content_hash(columns, envelopes, status))


def column_texts(table: AssetTable, rows: Rows) -> list[str]:
    """Each column of the table as a JSON list of its cells; cells of JSON columns are JSON texts themselves."""
    return [_column_text([row[column.name] for row in rows], column.type) for column in table.columns]


def content_hash(texts: Sequence[str], envelopes: Sequence[Mapping[str, Any]], status: EnvelopeStatus) -> str:
    """The hash of columns and of what the sources said; durations, queries and windows are not content."""
    said = [{key: value for key, value in envelope.items() if key not in _NOT_CONTENT} for envelope in envelopes]
    text = "\n".join((json.dumps(said, sort_keys=True), *texts))
    digest = hashlib.sha256(text.encode()).hexdigest()[:20]
    return f"unavailable:{digest}" if status is EnvelopeStatus.UNAVAILABLE else digest


def _column_text(values: list[Any], sql_type: str) -> str:
    """One column as a JSON list; JSON columns as a list of JSON texts, so that they arrive as they are."""
    if sql_type == "JSON":
        known: dict[int, str] = {}
        # Points share the labels of their series: each object is written once.
        values = [None if v is None else known.get(id(v)) or known.setdefault(id(v), json.dumps(v)) for v in values]
    elif sql_type == "DOUBLE":
        values = [v if v is None or v - v == 0 else str(v) for v in values]
    elif sql_type == "TIMESTAMP":
        values = [_moment_text(v) for v in values]
    return json.dumps(values)


def _moment_text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(sep=" ")
