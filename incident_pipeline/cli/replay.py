"""`incident-pipeline replay`: one incident folder through the whole pipeline."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from incident_pipeline.cli import context
from incident_pipeline.cli.output import note, print_json, print_markdown, progress
from incident_pipeline.durations import parse_duration
from incident_pipeline.errors import ConfigurationError
from incident_pipeline.models import Materialization


def replay(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The incident folder.")],
    until: Annotated[
        str | None, typer.Option(metavar="DURATION", help="As if that much time had passed since the alert.")
    ] = None,
    resolve: Annotated[bool, typer.Option("--resolve", help="Go on to the postmortem.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Play an incident folder through the whole pipeline; nothing is sent anywhere.

    Every asset is stored and can be looked at with `show`, `versions`, `sql` and in the Dagster UI.

    Example: incident-pipeline replay examples/payments-bad-deploy --until 10m
    """
    from assets.replay import replay as play

    began = time.monotonic()
    application = context.application()
    with progress(f"replaying {folder.name}"):
        made = play(application, folder, until=_duration(until), resolve=resolve)
    seconds = round(time.monotonic() - began, 2)
    for remark in made.notes:
        note(f"note: {remark}")
    if as_json:
        print_json(
            {
                "incident_id": made.incident_id,
                "run_id": made.run_id,
                "status_message": made.update.markdown,
                "diagnosis": made.diagnosis,
                "assets": [_record(record) for record in made.assets],
                "seconds": seconds,
            }
        )
        return
    print_markdown(made.update.markdown)
    where = application.data_dir / "incidents"
    note(f"\n{made.incident_id}: {len(made.assets)} assets stored in {where} in {seconds} s")
    note(f"Look closer: incident-pipeline show {made.incident_id}")


def _record(record: Materialization) -> dict[str, Any]:
    return {
        "name": record.asset,
        "version": record.version,
        "rows": record.rows,
        "data_version": record.data_version,
    }


def _duration(text: str | None) -> Any:
    try:
        return None if text is None else parse_duration(text)
    except ValueError as error:
        raise ConfigurationError(f"--until: {error}") from error
