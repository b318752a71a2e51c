"""What is stored of incidents: show, versions, diff, sql, timeline, export.

Belongs here: the commands over the incident store, and their JSON. Does not belong here: what people read
(`stored_text.py`), and what people do with incidents (`incidents.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from incident_pipeline.cli import context, output, stored_text
from incident_pipeline.errors import NotFoundError

IncidentId = Annotated[str, typer.Argument(metavar="ID", help="The incident, as `incidents list` names it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Asset = Annotated[str | None, typer.Argument(metavar="ASSET", help="One asset, such as diagnosis or logs.")]


def show(
    incident_id: IncidentId,
    asset: Asset = None,
    version: Annotated[
        int | None, typer.Option(min=1, help="This version of the asset. [default: the newest that has an answer]")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show an incident: what happened, the likeliest cause, what to do; or one of its assets at any version.

    Example:
      incident-pipeline show INC-20261123-143500-payments-4f2a logs --version 2
    """
    if asset is None:
        if version is not None:
            raise typer.BadParameter("which asset? --version needs one: show ID ASSET --version N")
        _show_incident(incident_id, as_json)
        return
    value = context.application().store.read(incident_id, asset, version)
    if as_json:
        output.print_json(value)
    else:
        stored_text.print_asset(asset, value)


def _show_incident(incident_id: str, as_json: bool) -> None:
    store = context.application().store
    values, records = store.read_all(incident_id, stored_text.SHOWN), store.materializations(incident_id)
    if as_json:
        output.print_json(_incident_json(incident_id, values, records))
    else:
        stored_text.print_incident(incident_id, values, records)


def _incident_json(incident_id: str, values: dict[str, Any], records: list[Any]) -> dict[str, Any]:
    """An incident with its diagnosis in the shape that `diagnose --json` has."""
    update, remediation = values.get("status_update"), values.get("remediation")
    actions = list(remediation.actions) if remediation else []
    diagnosis = dict(values["diagnosis"]) | {"remediation": actions} if "diagnosis" in values else None
    newest = {record.asset: record for record in records}
    return {
        "incident_id": incident_id,
        "incident": values.get("incident"),
        "status_message": update.markdown if update else None,
        "diagnosis": diagnosis,
        "suggested_runbooks": values.get("suggested_runbooks", ()),
        "similar_incidents": values.get("similar_incidents", ()),
        "assets": [
            {"name": record.asset, **record.model_dump(include={"version", "rows", "data_version", "status", "run_id"})}
            for record in newest.values()
        ],
    }


def versions(incident_id: IncidentId, asset: Asset = None, as_json: AsJson = False) -> None:
    """List the stored versions of an incident's assets, or of one of them.

    Example:
      incident-pipeline versions INC-20261123-143500-payments-4f2a diagnosis
    """
    records = context.application().store.materializations(incident_id, asset)
    if asset is not None and not records:
        raise NotFoundError(f"{incident_id} has no {asset} yet")
    if as_json:
        output.print_json(records)
    else:
        stored_text.print_versions(records)


def diff(
    incident_id: IncidentId,
    asset: Annotated[str, typer.Argument(metavar="ASSET")],
    v1: Annotated[int, typer.Argument(metavar="V1", min=1)],
    v2: Annotated[int, typer.Argument(metavar="V2", min=1)],
    as_json: AsJson = False,
) -> None:
    """Compare two versions of an asset: rows added, rows removed, fields changed.

    Example:
      incident-pipeline diff INC-20261123-143500-payments-4f2a diagnosis 1 2
    """
    found = context.application().store.diff(incident_id, asset, v1, v2)
    if as_json:
        output.print_json(found)
    else:
        stored_text.print_diff(found)


def sql(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="One query; it can only read.")],
    limit: Annotated[int | None, typer.Option(min=1, help="Rows at most. [default: 100, all with --json]")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask one SQL query over all incidents.

    Every asset is a table with incident_id, version and run_id beside its own columns: the newest version of each
    incident. ASSET_versions holds every version; materializations says when and by which run each was stored.

    Example:
      incident-pipeline sql "SELECT incident_id, count(*) AS lines FROM logs WHERE level = 'error' GROUP BY ALL"
    """
    from incident_pipeline.storage.incidents import across

    wanted = limit if limit is not None or as_json else stored_text.ROWS_SHOWN
    answer = across.query(context.application().store.directory, query, limit=wanted)
    if as_json:
        output.print_json([dict(zip(answer.columns, row, strict=True)) for row in answer.rows])
    else:
        output.print_table(answer.columns, [[stored_text.cell(value) for value in row] for row in answer.rows])
    if answer.truncated:
        output.note(f"There is more: these are the first {len(answer.rows)} rows; --limit shows as many as you like.")
    for sentence in answer.unreadable:
        output.note(f"Left out: {sentence}")
    if answer.unreadable:
        raise typer.Exit(1)


def timeline(incident_id: IncidentId, as_json: AsJson = False) -> None:
    """Print the timeline of an incident: what happened, and what was done.

    Example:
      incident-pipeline timeline INC-20261123-143500-payments-4f2a
    """
    found = context.application().store.read(incident_id, "timeline")
    if as_json:
        output.print_json(found.entries)
    else:
        stored_text.print_asset("timeline", found)


def export(
    incident_id: IncidentId,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to write; made where it does not exist.")],
    as_json: AsJson = False,
) -> None:
    """Write an incident's evidence as a folder that `replay` and `diagnose` read; secrets are taken out.

    Example:
      incident-pipeline export INC-20261123-143500-payments-4f2a ./payments-4f2a
    """
    from incident_pipeline.incident_folder.writing import write_folder
    from incident_pipeline.models import Evidence, EvidenceKind

    store = context.application().store
    incident = store.read(incident_id, "incident")
    evidence = Evidence(**store.read_all(incident_id, [kind.value for kind in EvidenceKind]))
    written = write_folder(folder, incident, evidence)
    if as_json:
        output.print_json({"incident_id": incident_id, "folder": folder, "files": [path.name for path in written]})
    else:
        output.print_text(f"{output.safe(str(folder))}: {', '.join(path.name for path in written)}")
