"""The tables of an incident's file, derived from the models, so that the two cannot drift apart.

Belongs here: which assets are stored, the shape of each one's value, its columns and its view.
Does not belong here: turning values into rows (`rows.py`), or opening a file (`store.py`).

Every asset has one table, `<asset>_versions`, that holds the rows of all versions, and one view, named after the asset,
that shows the newest version that has an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from incident_pipeline import models
from incident_pipeline.models import EvidenceKind, Gathered, Materialization, Model, Remediation, Timeline
from incident_pipeline.remediation.records import ExecutedAction


class Shape(StrEnum):
    """How the value of an asset is laid out in rows."""

    DOCUMENT = "document"
    """One value, one row."""
    ROWS = "rows"
    """A tuple of values, a row each."""
    ENTRIES = "entries"
    """A value that is nothing but a tuple of others, a row each."""
    GATHERED = "gathered"
    """Evidence: the rows of all envelopes; the envelopes themselves are in the record."""
    SERIES = "series"
    """Evidence of metrics: a row for each point."""


@dataclass(frozen=True)
class Column:
    """One column: the field it holds, its name, its SQL type."""

    field: str
    name: str
    type: str


RENAMED = {
    (models.Incident, "incident_id"): "id",
    (models.SimilarIncident, "incident_id"): "similar_incident_id",
    (models.Deployment, "version"): "deployment_version",
}
"""Fields whose names the views need for themselves."""

_SQL_TYPES = {bool: "BOOLEAN", int: "BIGINT", float: "DOUBLE", datetime: "TIMESTAMP"}
_SERIES_COLUMNS = (
    Column("series", "series", "VARCHAR"),
    Column("series_number", "series_number", "INTEGER"),
    Column("name", "name", "VARCHAR"),
    Column("service", "service", "VARCHAR"),
    Column("labels", "labels", "JSON"),
    Column("unit", "unit", "VARCHAR"),
    Column("source", "source", "VARCHAR"),
    Column("timestamp", "timestamp", "TIMESTAMP"),
    Column("value", "value", "DOUBLE"),
)
POSITION = Column("position", "position", "INTEGER")
ENVELOPE = Column("envelope", "envelope", "INTEGER")


def _sql_type(annotation: Any) -> str:
    """The column type of a field: text, numbers and moments as they are, all else as JSON."""
    if get_origin(annotation) is Annotated:
        return _sql_type(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        inner = [part for part in get_args(annotation) if part is not type(None)]
        return _sql_type(inner[0]) if len(inner) == 1 else "JSON"
    if annotation in _SQL_TYPES:
        return _SQL_TYPES[annotation]
    return "VARCHAR" if isinstance(annotation, type) and issubclass(annotation, str) else "JSON"


def columns_of(model: type[Model]) -> tuple[Column, ...]:
    """One column for each field of a model, in the order of the fields."""
    return tuple(
        Column(name, RENAMED.get((model, name), name), _sql_type(field.annotation))
        for name, field in model.model_fields.items()
    )


@dataclass(frozen=True)
class AssetTable:
    """Where one asset is stored, and what its rows are."""

    name: str
    row: type[Model]
    shape: Shape
    key: tuple[str, ...] = ()
    """The fields by which a row of one version is recognised in another; empty: only by all of its content."""
    wrapper: type[Model] | None = None
    """For `Shape.ENTRIES`: the value whose only field, `entries`, holds the rows."""

    @property
    def table(self) -> str:
        """The table that holds every version."""
        return f"{self.name}_versions"

    @property
    def is_evidence(self) -> bool:
        """Whether the value is `Gathered`."""
        return self.shape in (Shape.GATHERED, Shape.SERIES)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The columns of a row, its position (and envelope) first."""
        own = _SERIES_COLUMNS if self.shape is Shape.SERIES else columns_of(self.row)
        return (POSITION, ENVELOPE, *own) if self.is_evidence else (POSITION, *own)

    def ddl(self) -> str:
        """The statement that creates the table."""
        columns = ", ".join(f'"{column.name}" {column.type}' for column in self.columns)
        return f"CREATE TABLE IF NOT EXISTS {self.table} (content_version INTEGER NOT NULL, {columns})"

    def select(self, catalog: str = "", *, every_version: bool = False, columns: Sequence[str] | None = None) -> str:
        """The query behind the view: the newest version that has an answer, or every version."""
        names = [column.name for column in self.columns] if columns is None else columns
        listed = ", ".join(f'r."{name}"' for name in names)
        newest = (
            ""
            if every_version
            else f" AND m.version = (SELECT version FROM {catalog}materializations WHERE asset = '{self.name}'"  # noqa: S608
            " ORDER BY status = 'unavailable', version DESC LIMIT 1)"
        )
        return (
            f"SELECT m.incident_id, m.version, m.run_id, {listed} FROM {catalog}{self.table} r "  # noqa: S608 - own names
            f"JOIN {catalog}materializations m ON m.content_version = r.content_version "
            f"WHERE m.asset = '{self.name}'{newest}"
        )

    def view(self) -> str:
        """The statement that creates the view."""
        return f"CREATE OR REPLACE VIEW {self.name} AS {self.select()}"


def _evidence(kind: EvidenceKind, key: tuple[str, ...]) -> AssetTable:
    shape = Shape.SERIES if kind is EvidenceKind.METRICS else Shape.GATHERED
    return AssetTable(kind.value, models.ROW_TYPES[kind], shape, key)


def _hypotheses(name: str) -> AssetTable:
    return AssetTable(name, models.Hypothesis, Shape.ROWS, ("approach", "category", "service", "caused_by"))


_TABLES = (
    AssetTable("raw_alerts", models.Alert, Shape.ROWS, ("source", "source_id")),
    AssetTable("incident", models.Incident, Shape.DOCUMENT),
    _evidence(EvidenceKind.DEPLOYMENTS, ("id",)),
    _evidence(EvidenceKind.CODE_CHANGES, ("repository", "sha")),
    _evidence(EvidenceKind.FLAG_CHANGES, ("name", "service", "changed_at")),
    _evidence(EvidenceKind.METRICS, ("service", "series", "timestamp")),
    _evidence(EvidenceKind.LOGS, ()),
    _evidence(EvidenceKind.TRACES, ("trace_id", "span_id")),
    _evidence(EvidenceKind.RELATED_ALERTS, ("source", "source_id")),
    _evidence(EvidenceKind.SERVICE_GRAPH, ("name",)),
    _evidence(EvidenceKind.KUBERNETES_STATE, ("kind", "namespace", "name")),
    _evidence(EvidenceKind.ON_CALL, ("source", "policy", "name")),
    AssetTable("symptoms", models.Symptoms, Shape.DOCUMENT),
    _hypotheses("change_hypotheses"),
    _hypotheses("log_pattern_hypotheses"),
    _hypotheses("metric_hypotheses"),
    _hypotheses("cluster_hypotheses"),
    _hypotheses("similar_incident_hypotheses"),
    AssetTable("similar_incidents", models.SimilarIncident, Shape.ROWS, ("incident_id",)),
    AssetTable("diagnosis", models.Diagnosis, Shape.DOCUMENT),
    AssetTable("suggested_runbooks", models.SuggestedRunbook, Shape.ROWS, ("runbook_id",)),
    AssetTable("remediation", Remediation, Shape.DOCUMENT),
    AssetTable("executed_actions", ExecutedAction, Shape.ROWS, ("execution_id",)),
    AssetTable("timeline", models.TimelineEntry, Shape.ENTRIES, ("at", "kind", "text"), wrapper=Timeline),
    AssetTable("status_update", models.StatusUpdate, Shape.DOCUMENT),
    AssetTable("postmortem", models.Postmortem, Shape.DOCUMENT),
    AssetTable("runbook_update", models.RunbookUpdate, Shape.DOCUMENT),
    AssetTable("knowledge_base_entry", models.KnowledgeBaseEntry, Shape.DOCUMENT),
)
ASSETS: dict[str, AssetTable] = {table.name: table for table in _TABLES}
"""Every asset that is stored, in the order in which an incident passes through them."""

RECORD_COLUMNS = columns_of(Materialization)


def _empty(table: AssetTable) -> Any:
    if table.is_evidence:
        return Gathered(kind=EvidenceKind(table.name))
    return table.wrapper() if table.wrapper else ()


EMPTY_VALUES: dict[str, Any] = {
    name: _empty(table) for name, table in ASSETS.items() if table.shape is not Shape.DOCUMENT
} | {"remediation": Remediation()}
"""What an asset reads as that no run has made yet, where nothing is a value of its own."""
