"""`backup`, `restore`, `prune`: keeping what is stored, and letting go of it in time.

Belongs here: the commands and what they say. Does not belong here: how it is done (`storage/`, `assets/history.py`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from incident_pipeline.cli import context, output

if TYPE_CHECKING:
    from incident_pipeline.application import Application

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The .tar.gz to write; it must not exist yet.")],
    as_json: AsJson = False,
) -> None:
    """Save incidents, inbox and knowledge base in one file, while everything runs.

    Dagster's own history is not in it: it is made anew.

    Example:
      incident-pipeline backup /backups/incidents-2026-11-23.tar.gz
    """
    from incident_pipeline.storage.backup import backup as save

    application = context.application()
    if application.scenario.inbox_url is not None:
        output.note("The inbox is in PostgreSQL: save it with pg_dump, before this. This saves all else.")
    with output.progress("saving"):
        names = save(application.data_dir, file)
    size = file.stat().st_size
    if as_json:
        output.print_json({"file": file, "bytes": size, "stores": names})
    else:
        output.print_text(f"{output.safe(str(file))}: {len(names)} files, {size / 1e6:.1f} MB")


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `backup` wrote.", exists=True, dir_okay=False)],
    as_json: AsJson = False,
) -> None:
    """Put a backup into a data directory that is empty or does not exist; nothing is ever overwritten.

    Example:
      incident-pipeline restore /backups/incidents-2026-11-23.tar.gz --data-dir ./restored
    """
    from incident_pipeline.storage.backup import restore as put_back

    data_dir = context.application().data_dir
    with output.progress("restoring"):
        names = put_back(file, data_dir)
    if as_json:
        output.print_json({"data_dir": data_dir, "stores": names})
    else:
        output.print_text(f"{output.safe(str(data_dir))}: {len(names)} files")


def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    as_json: AsJson = False,
) -> None:
    """Archive incidents that ended long ago, forget those past their retention, and Dagster's old history.

    How long is long: archive_after, retention and retention_by_severity in the configuration. Archived incidents are
    still there for show, sql and export. Safe while everything runs; run it once a day.

    Example:
      incident-pipeline prune --dry-run
    """
    from incident_pipeline.storage.housekeeping_lock import housekeeping
    from incident_pipeline.storage.prune import prune as let_go

    application, now = context.application(), datetime.now(UTC)
    with housekeeping(application.data_dir), output.progress("pruning"):
        done = let_go(application.inbox, application.store, application.scenario, now, dry_run=dry_run)
        runs, partitions = (0, 0) if dry_run else _forget_history(application, now)
    if as_json:
        report = {"dry_run": dry_run, "archived": done.archived, "forgotten": done.forgotten, "in_use": done.in_use}
        output.print_json({**report, "dagster_runs": runs, "dagster_partitions": partitions})
        return
    verb = "would be " if dry_run else ""
    output.print_text(f"incidents: {len(done.archived)} {verb}archived, {len(done.forgotten)} {verb}forgotten")
    if not dry_run:
        output.print_text(f"Dagster: {runs} runs and {partitions} partitions removed")
    for name in done.in_use:
        output.note(f"{name} is open in another program and stays for the next time")


def _forget_history(application: Application, now: datetime) -> tuple[int, int]:
    """Remove Dagster's runs older than `archive_after`, and partitions of incidents without a file of their own."""
    if not (application.dagster_home / "dagster.yaml").exists():
        return 0, 0
    from assets.history import forget_partitions, forget_runs
    from assets.instance import open_instance
    from incident_pipeline.storage.incidents.archive import archived_ids
    from incident_pipeline.storage.prune import without_file

    directory = application.store.directory
    archived, known = set(archived_ids(directory)), application.inbox.incident_ids()
    with open_instance(application) as instance:
        runs = forget_runs(instance, now - application.scenario.archive_after)
        partitions = forget_partitions(
            instance, lambda keys: [k for k in without_file(directory, keys) if k in archived or k not in known]
        )
    return runs, partitions
