"""What is stored of an incident, as a tired person reads it.

Belongs here: the words and the order of what `stored.py` prints for people. Text from outside is shown without
control characters.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import typer

from incident_pipeline.cli.output import json_text, print_markdown, print_table, print_text, safe
from incident_pipeline.documents.wording import percent
from incident_pipeline.durations import format_duration
from incident_pipeline.models import (
    Diagnosis,
    Gathered,
    Hypothesis,
    Incident,
    Materialization,
    MetricSeries,
    Model,
    Postmortem,
    Remediation,
    RunbookUpdate,
    StatusUpdate,
    Timeline,
)

if TYPE_CHECKING:
    from incident_pipeline.storage.incidents.version_diff import FieldChange, VersionDiff

SHOWN = ("incident", "diagnosis", "remediation", "suggested_runbooks", "similar_incidents", "status_update")
ROWS_SHOWN = 100
_DIFF_ROWS = 20
_WIDE = 160


def print_incident(incident_id: str, values: Mapping[str, Any], records: Sequence[Materialization]) -> None:
    """One incident: what, the likeliest cause, what to do, what is stored."""
    if "incident" in values:
        _print_head(values["incident"])
    else:
        _heading(incident_id)
    if "diagnosis" in values:
        print_text()
        _print_diagnosis(values["diagnosis"])
    if "remediation" in values:
        print_text()
        _heading("What to do")
        _print_actions(values["remediation"])
    _print_pointers(values)
    _print_stored(records)
    print_text(f"\nMore: show {incident_id} ASSET, versions {incident_id}, timeline {incident_id}")


def print_asset(asset: str, value: Any) -> None:
    """One asset at one version."""
    if isinstance(value, StatusUpdate | Postmortem | RunbookUpdate):
        print_markdown(value.markdown.rstrip("\n"))
    elif isinstance(value, Diagnosis):
        _print_diagnosis(value)
    elif isinstance(value, Remediation):
        _print_actions(value)
    elif isinstance(value, Timeline):
        _print_timeline(value)
    elif isinstance(value, Gathered):
        _print_gathered(value)
    elif isinstance(value, tuple):
        _print_models(value, f"No {asset.replace('_', ' ')}.")
    else:
        _print_fields(value)


def print_versions(records: Iterable[Materialization]) -> None:
    """Records, one a line."""
    columns = ("asset", "version", "status", "rows", "stored", "as of", "content", "run")
    print_table(
        columns,
        [
            (r.asset, r.version, r.status, r.rows, r.materialized_at, r.as_of, r.data_version[:20], r.run_id[:8])
            for r in records
        ],
    )


def print_diff(diff: VersionDiff) -> None:
    """What changed, field by field, then row by row."""
    if diff.same:
        print_text(f"{diff.asset}: version {diff.v2} has the same content as version {diff.v1}.")
    for change in diff.changed:
        print_text(_changed(change))
    for mark, rows in (("-", diff.removed), ("+", diff.added)):
        for row in rows[:_DIFF_ROWS]:
            print_text(f"{mark} {_row(row)}")
        if len(rows) > _DIFF_ROWS:
            print_text(f"{mark} ... and {len(rows) - _DIFF_ROWS} more rows; --json shows all")


def cell(value: Any) -> Any:
    """A value for a table: mappings and lists as JSON."""
    return json_text(value) if isinstance(value, dict | list) else value


# --- parts --------------------------------------------------------------------------------------


def _heading(text: str) -> None:
    typer.secho(safe(text), bold=True)


def _print_stored(records: Sequence[Materialization]) -> None:
    """The newest version of each asset, a few to a line."""
    newest = {record.asset: record for record in records}
    print_text()
    _heading("Stored")
    names = [f"{r.asset} v{r.version}" + (" unavailable" * (r.status == "unavailable")) for r in newest.values()]
    for line in wrap(", ".join(name.replace(" ", "\N{NO-BREAK SPACE}") for name in names), 100, break_long_words=False):
        print_text(line.replace("\N{NO-BREAK SPACE}", " "))


def _print_head(incident: Incident) -> None:
    _heading(f"{incident.severity} {incident.status}: {incident.title}")
    where = ", ".join(incident.services) or "service not known"
    environment = f" in {incident.environment}" if incident.environment else ""
    print_text(safe(f"{where}{environment}, {len(incident.alerts)} alert{'s' * (len(incident.alerts) != 1)}"))
    moments = [f"started {_moment(incident.started_at)}"]
    if incident.resolved_at:
        lasted = format_duration(incident.resolved_at - incident.started_at)
        moments.append(f"resolved {_moment(incident.resolved_at)}, after {lasted}")
    print_text(", ".join(moments))
    print_text(incident.incident_id)


def _print_diagnosis(diagnosis: Diagnosis) -> None:
    print_text(safe(diagnosis.summary))
    for number, hypothesis in enumerate(diagnosis.hypotheses[:3], start=1):
        print_text()
        _print_hypothesis("Most likely" if number == 1 else "Or", hypothesis, brief=number > 1)
    if len(diagnosis.hypotheses) > 3:
        print_text(f"\n{len(diagnosis.hypotheses) - 3} less likely ones: --json shows them")
    for gap in diagnosis.gaps:
        told = f"; it could have told {gap.could_have_told}" if gap.could_have_told else ""
        print_text(safe(f"Not known: {gap.kind} from {gap.source}: {gap.reason}{told}"))


def _print_hypothesis(label: str, hypothesis: Hypothesis, *, brief: bool = False) -> None:
    _heading(f"{label}: {hypothesis.description} ({percent(hypothesis.confidence)})")
    for sentence in hypothesis.evidence[:1] if brief else hypothesis.evidence:
        print_text(f"  - {safe(sentence)}")
    if hypothesis.disproved_by and not brief:
        print_text(f"  Wrong if: {safe(hypothesis.disproved_by)}")


def _print_actions(remediation: Remediation) -> None:
    if not remediation.actions:
        print_text("No action is proposed.")
    for number, action in enumerate(remediation.actions, start=1):
        waits = ", waits for approval" if action.requires_approval and action.state == "proposed" else ""
        print_text(safe(f"{number}. {action.title} ({action.state}, risk {action.risk}{waits})"))
        for name, text in (
            ("id", action.action_id),
            ("command", action.command),
            ("why", action.why),
            ("undo", action.undo),
        ):
            if text:
                print_text(f"     {name}: {safe(text)}")
        if action.missing:
            print_text(f"     not known yet: {safe(action.missing)}")


def _print_timeline(timeline: Timeline) -> None:
    for entry in timeline.entries:
        source = f" ({safe(entry.source)})" if entry.source else ""
        print_text(f"{_moment(entry.at)}  {safe(entry.text)}{source}")


def _print_pointers(values: Mapping[str, Any]) -> None:
    for runbook in values.get("suggested_runbooks", ())[:3]:
        print_text(safe(f"Runbook: {runbook.title} ({runbook.runbook_id}) {runbook.why}").rstrip())
    for similar in values.get("similar_incidents", ())[:3]:
        fixed = f"; fixed by {similar.fixed_by}" if similar.fixed_by else ""
        print_text(safe(f"Like {similar.incident_id} ({similar.similarity:.0%}): {similar.title}{fixed}"))


def _print_gathered(gathered: Gathered[Any]) -> None:
    for envelope in gathered.envelopes:
        what = f"{len(envelope.rows)} rows" if envelope.error is None else envelope.error
        print_text(safe(f"{envelope.source}: {envelope.status}, {what} {' '.join(envelope.notes)}").rstrip())
    rows = gathered.rows
    if rows and isinstance(rows[0], MetricSeries):
        print_table(
            ("service", "series", "points", "first", "last"),
            [(s.service, s.key, len(s.values), *(s.values[:1] or (None,)), *(s.values[-1:] or (None,))) for s in rows],
        )
    elif rows:
        _print_models(rows, "")


def _print_models(models: Sequence[Any], nothing: str) -> None:
    """Rows as a table of the columns in which anything stands."""
    if not models:
        print_text(nothing)
        return
    if isinstance(models[0], Hypothesis):
        for number, hypothesis in enumerate(models, start=1):
            _print_hypothesis(str(number), hypothesis)
        return
    names = [
        name for name in type(models[0]).model_fields if any(getattr(m, name) not in (None, "", (), {}) for m in models)
    ]
    shown = [[_short(getattr(model, name)) for name in names] for model in models[:ROWS_SHOWN]]
    print_table(names, shown)
    if len(models) > ROWS_SHOWN:
        print_text(f"... and {len(models) - ROWS_SHOWN} more; --json shows all")


def _print_fields(model: Model) -> None:
    for name, value in model:
        if value not in (None, "", (), {}):
            print_text(f"{name}: {_short(value)}")


def _changed(change: FieldChange) -> str:
    row = f"[{change.row}] " if change.row else ""
    return safe(f"~ {row}{change.field}: {_short(change.before)} -> {_short(change.after)}")


def _row(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_short(value)}" for name, value in row.items() if value not in (None, "", [], {}))


def _short(value: Any) -> Any:
    """A value on one line, cut where it is long."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, datetime):
        return _moment(value)
    text = safe(value) if isinstance(value, str) else json.dumps(json.loads(json_text(value)), ensure_ascii=False)
    return text if len(text) <= _WIDE else f"{text[: _WIDE - 3]}..."


def _moment(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%SZ")
