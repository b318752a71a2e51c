"""Values to rows and back: pure, and exact.

Belongs here: the form in which a value is stored, free of secrets.
Does not belong here: the name of its content (`content.py`), SQL, files, versions.

A row is a dict of column name to text, number, bool, None, naive UTC datetime, or, for JSON columns, plain lists and
dicts. What is stored is the redacted form. Moments are kept to the microsecond; within free-form
attributes NaN and infinities become text, as JSON has no word for them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from incident_pipeline.errors import NotFoundError, StoreError
from incident_pipeline.json_text import clean
from incident_pipeline.models import Envelope, EnvelopeStatus, EvidenceKind, Gathered, MetricSeries
from incident_pipeline.storage.incidents.tables import ASSETS, AssetTable, Column, Shape
from kb.redaction import PLACEHOLDER, is_sensitive_key, redact, redact_value

Row = dict[str, Any]
Rows = list[Row]

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - TIMESTAMP columns are UTC without a zone
_FIRST, _LAST = -62135596800.0, 253402300799.0
_BIGINT = 2**63 - 1


def asset_table(asset: str) -> AssetTable:
    """The table of an asset.

    Raises:
        NotFoundError: no asset has this name.
    """
    if asset not in ASSETS:
        close = get_close_matches(asset, ASSETS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"the assets are {', '.join(ASSETS)}"
        raise NotFoundError(f"there is no asset named {asset!r}; {hint}")
    return ASSETS[asset]


def to_rows(asset: str, value: Any) -> Rows:
    """The rows of a value, redacted, in order."""
    table = asset_table(asset)
    if table.is_evidence:
        _expect(table, value, Gathered)
        return list(_numbered(_evidence_rows(table, value)))
    return list(_numbered(_model_row(table, item) for item in _items(table, value)))


def from_rows(asset: str, rows: Iterable[Mapping[str, Any]], sources: Sequence[Mapping[str, Any]] = ()) -> Any:
    """The value whose rows these are; `sources` are the envelopes of the record."""
    table = asset_table(asset)
    if table.is_evidence:
        return _gathered(table, list(rows), sources)
    items = tuple(_model(table, row) for row in rows)
    if table.shape is Shape.DOCUMENT:
        return items[0]
    return table.wrapper(entries=items) if table.wrapper else items


def envelopes_of(asset: str, value: Any) -> tuple[dict[str, Any], ...]:
    """The envelopes of evidence without their rows, redacted; nothing for other assets."""
    if not asset_table(asset).is_evidence:
        return ()
    return tuple(
        _plain(envelope.model_dump(mode="json", exclude={"rows"}, exclude_defaults=True))
        for envelope in value.envelopes
    )


def status_of(asset: str, value: Any) -> EnvelopeStatus:
    """Whether the value is an answer at all, and whether it holds anything."""
    if isinstance(value, Gathered):
        return value.status
    return EnvelopeStatus.OK if list(_items(asset_table(asset), value)) else EnvelopeStatus.EMPTY


# --- values to rows -----------------------------------------------------------------------------


def _expect(table: AssetTable, value: Any, kind: type) -> None:
    if not isinstance(value, kind):
        raise StoreError(f"the asset {table.name} stores {kind.__name__}, not {type(value).__name__}")


def _items(table: AssetTable, value: Any) -> Iterable[BaseModel]:
    if table.shape is Shape.DOCUMENT:
        value = (value,)
    elif table.wrapper is not None:
        _expect(table, value, table.wrapper)
        value = value.entries
    for item in value:
        _expect(table, item, table.row)
    items: Iterable[BaseModel] = value
    return items


def _numbered(rows: Iterable[Row]) -> Iterator[Row]:
    for position, row in enumerate(rows):
        yield {"position": position, **row}


def _evidence_rows(table: AssetTable, gathered: Gathered[Any]) -> Iterator[Row]:
    for number, envelope in enumerate(gathered.envelopes):
        for index, item in enumerate(envelope.rows):
            _expect(table, item, table.row)
            rows = _points(item, index) if table.shape is Shape.SERIES else [_model_row(table, item)]
            for row in rows:
                yield {"envelope": number, **row}


def _model_row(table: AssetTable, item: BaseModel) -> Row:
    row = {
        column.name: _cell(column, getattr(item, column.field))
        for column in table.columns
        if column.field in type(item).model_fields
    }
    return _without_secrets(row)


def _cell(column: Column, value: Any) -> Any:
    if value is None:
        return None
    if column.type == "JSON":
        return to_jsonable_python(value, inf_nan_mode="strings", bytes_mode="base64", fallback=str)
    if column.type == "TIMESTAMP":
        return value.astimezone(UTC).replace(tzinfo=None)
    if column.type == "BIGINT":
        return max(-_BIGINT, min(_BIGINT, value))
    return str(value) if column.type == "VARCHAR" else value


def _points(series: MetricSeries, index: int) -> Iterator[Row]:
    about = _without_secrets(
        {
            "series": series.key,
            "series_number": index,
            "name": series.name,
            "service": series.service,
            "labels": dict(series.labels),
            "unit": series.unit,
            "source": series.source,
        }
    )
    moments = [(_moment(at), value) for at, value in zip(series.timestamps, series.values, strict=False)]
    points = [(at, value) for at, value in moments if at is not None]
    if not points:
        # A series that was asked for and had no points is known to exist: it keeps one row without a time.
        yield {**about, "timestamp": None, "value": None}
    for at, value in points:
        yield {**about, "timestamp": at, "value": value}


def _moment(seconds: float) -> datetime | None:
    """The naive UTC moment; None for what is no moment of the years 1 to 9999."""
    if not (math.isfinite(seconds) and _FIRST <= seconds < _LAST):
        return None
    return _EPOCH + timedelta(seconds=seconds)


def _without_secrets(row: Row) -> Row:
    safe = {
        name: _text(value) if isinstance(value, str) else _plain(value) if isinstance(value, list | dict) else value
        for name, value in row.items()
    }
    if "previous_value" in safe and is_sensitive_key(str(safe["name"])):
        safe |= {name: PLACEHOLDER for name in ("value", "previous_value") if safe[name] is not None}
    return safe


@lru_cache(maxsize=4096)
def _text(text: str) -> str:
    """Lines repeat."""
    return redact(clean(text))


def _plain(value: Any) -> Any:
    """JSON-like data without secrets, and without what no database can hold."""
    return redact_value(_printable(value))


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(str(key)): _printable(item) for key, item in value.items()}
    return [_printable(item) for item in value] if isinstance(value, list) else value


# --- rows to values -----------------------------------------------------------------------------


def _model(table: AssetTable, row: Mapping[str, Any]) -> BaseModel:
    """A row as its model; a column that an older file lacks, or that is empty, takes the field's default."""
    fields = table.row.model_fields
    return table.row.model_validate(
        {
            column.field: row[column.name]
            for column in table.columns
            if column.field in fields and row.get(column.name) is not None
        }
    )


def _gathered(
    table: AssetTable, rows: Sequence[Mapping[str, Any]], sources: Sequence[Mapping[str, Any]]
) -> Gathered[Any]:
    items: list[list[BaseModel]] = [[] for _ in sources]
    if table.shape is Shape.SERIES:
        for number, series in _series(rows):
            items[number].append(series)
    else:
        for row in rows:
            items[row["envelope"]].append(_model(table, row))
    envelopes = tuple(
        Envelope[table.row].model_validate({**source, "rows": tuple(found)})  # type: ignore[name-defined]
        for source, found in zip(sources, items, strict=True)
    )
    return Gathered[table.row](kind=EvidenceKind(table.name), envelopes=envelopes)  # type: ignore[name-defined]


def _series(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, MetricSeries]]:
    series: dict[tuple[int, int], list[Mapping[str, Any]]] = {}
    for row in rows:
        series.setdefault((row["envelope"], row["series_number"]), []).append(row)
    for (number, _), found in series.items():
        first, points = found[0], [row for row in found if row["timestamp"] is not None]
        yield (
            number,
            MetricSeries(
                name=first["name"],
                service=first["service"],
                labels=first["labels"] or {},
                unit=first["unit"],
                source=first["source"],
                timestamps=tuple((row["timestamp"] - _EPOCH) / timedelta(seconds=1) for row in points),
                values=tuple(row["value"] for row in points),
            ),
        )
