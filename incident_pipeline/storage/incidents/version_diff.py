"""What changed between two versions of an asset.

Belongs here: comparing rows, purely. Does not belong here: reading them, or showing the difference.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from incident_pipeline.models import Materialization, Model
from incident_pipeline.storage.incidents.tables import AssetTable

Row = Mapping[str, Any]
_PLACE = ("position", "envelope", "series_number")


class FieldChange(Model):
    """One field of one row that is not what it was."""

    row: str
    """How a person recognises the row; empty where the asset is a single document."""
    field: str
    """A column, or a path within it: `hypotheses[0].confidence`."""
    before: Any
    after: Any


class VersionDiff(Model):
    """The way from one version of an asset to another."""

    asset: str
    v1: int
    v2: int
    same: bool
    """The content is equal."""
    added: tuple[dict[str, Any], ...] = ()
    removed: tuple[dict[str, Any], ...] = ()
    changed: tuple[FieldChange, ...] = ()


def compare(
    table: AssetTable, first: Materialization, before: Sequence[Row], second: Materialization, after: Sequence[Row]
) -> VersionDiff:
    """What rows were added and removed, and which fields of the others changed."""
    old, new = _by_key(table, before), _by_key(table, after)
    envelopes = list(_changes("", "sources", _answers(first), _answers(second)))
    fields = [change for key in old if key in new for change in _row_changes(table, old[key], new[key])]
    return VersionDiff(
        asset=table.name,
        v1=first.version,
        v2=second.version,
        same=first.data_version == second.data_version,
        added=tuple(_shown(row) for key, row in new.items() if key not in old),
        removed=tuple(_shown(row) for key, row in old.items() if key not in new),
        changed=tuple(envelopes + fields),
    )


def _by_key(table: AssetTable, rows: Sequence[Row]) -> dict[tuple[str, int], Row]:
    """Rows under what identifies them, and how many equal ones came before."""
    seen: Counter[str] = Counter()
    result: dict[tuple[str, int], Row] = {}
    document = not table.key and len(rows) == 1 and "envelope" not in rows[0]
    for row in rows:
        cells = {} if document else _key_cells(table, row)
        key = json.dumps(cells, sort_keys=True, default=str)
        result[(key, seen[key])] = row
        seen[key] += 1
    return result


def _key_cells(table: AssetTable, row: Row) -> Row:
    if not table.key:
        return {name: value for name, value in row.items() if name not in _PLACE}
    names = {column.field: column.name for column in table.columns}
    return {field: row.get(names[field]) for field in table.key}


def _row_changes(table: AssetTable, before: Row, after: Row) -> Iterator[FieldChange]:
    name = ", ".join(str(value) for value in _key_cells(table, after).values()) if table.key else ""
    for field in after:
        if field not in _PLACE:
            yield from _changes(name, field, before.get(field), after[field])


def _changes(row: str, path: str, before: Any, after: Any) -> Iterator[FieldChange]:
    """The innermost places at which two JSON-like values differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in {**before, **after}:
            yield from _changes(row, f"{path}.{key}", before.get(key), after.get(key))
    elif isinstance(before, list) and isinstance(after, list):
        for index in range(max(len(before), len(after))):
            pair = (values[index] if index < len(values) else None for values in (before, after))
            yield from _changes(row, f"{path}[{index}]", *pair)
    elif before != after and not (before != before and after != after):
        yield FieldChange(row=row, field=path, before=before, after=after)


def _answers(record: Materialization) -> dict[str, Any]:
    return {
        str(envelope.get("source")): {name: envelope.get(name) for name in ("status", "error")}
        for envelope in record.sources
    }


def _shown(row: Row) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in _PLACE}
