"""What people see of incidents and do with them: list, alert, ack, resolve, reopen, merge, split, mute.

Belongs here: the commands over the inbox. Does not belong here: what is stored of an incident (`stored.py`).
"""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from incident_pipeline.cli import context, output
from incident_pipeline.documents.wording import percent
from incident_pipeline.durations import parse_duration
from incident_pipeline.models import IncidentStatus
from incident_pipeline.moments import parse_moment

COLUMNS = ("incident", "sev", "status", "started", "alerts", "services", "title", "likeliest cause")

IncidentId = Annotated[str, typer.Argument(metavar="ID", help="The incident, as `incidents list` names it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who says so. [default: the user of this shell]")]


def list_incidents(
    as_json: AsJson = False,
    limit: Annotated[int | None, typer.Option(min=1, help="The newest so many. [default: all]")] = None,
    status: Annotated[list[IncidentStatus] | None, typer.Option(help="Only of this status; may be repeated.")] = None,
    merged: Annotated[bool, typer.Option("--merged", help="Also those that were merged into another one.")] = False,
) -> None:
    """List the incidents, newest first.

    Example:
      incident-pipeline incidents list --status investigating --json
    """
    application = context.application()
    found = application.inbox.incidents(limit, status or None, merged) if application.data_dir.exists() else []
    if as_json:
        output.print_json(found)
    elif found:
        output.print_table(COLUMNS, map(_row, found))
    else:
        output.note(f"No incident in {application.data_dir}.")


def ack(incident_id: IncidentId, by: By = None, as_json: AsJson = False) -> None:
    """Say that somebody has seen an incident.

    Example:
      incident-pipeline ack INC-20261123-143500-payments-4f2a
    """
    context.application().inbox.acknowledge(incident_id, _who(by), _now())
    _say(incident_id, "acknowledged", as_json)


def resolve(
    incident_id: IncidentId,
    note: Annotated[str, typer.Option(help="What ended it.")] = "",
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Say that an incident is over; timeline and postmortem are written next.

    Example:
      incident-pipeline resolve INC-20261123-143500-payments-4f2a --note "rolled back to v2.3.4"
    """
    inbox = context.application().inbox
    for title in inbox.firing(incident_id):
        output.note(f"Still firing: {output.safe(title)}. If it is not over, the next alert opens the incident again.")
    inbox.resolve(incident_id, _who(by), _now(), note)
    _say(incident_id, "resolved", as_json)


def reopen(
    incident_id: IncidentId,
    reason: Annotated[str, typer.Option(help="Why it is not over.")] = "",
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Open a resolved incident again; it is diagnosed again.

    Example:
      incident-pipeline reopen INC-20261123-143500-payments-4f2a --reason "errors are back"
    """
    context.application().inbox.reopen(incident_id, _who(by), _now(), reason)
    _say(incident_id, "opened again", as_json)


def merge(
    incident_id: IncidentId,
    into: Annotated[str, typer.Argument(metavar="INTO", help="The incident that stays.")],
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Make one incident of two; INTO keeps its name and is diagnosed again.

    Example:
      incident-pipeline merge INC-20261123-143700-checkout-9b1c INC-20261123-143500-payments-4f2a
    """
    context.application().inbox.merge(incident_id, into, _who(by), _now())
    _say(into, f"now holds the alerts of {incident_id}", as_json)


def split(
    incident_id: IncidentId,
    alerts: Annotated[list[str], typer.Argument(metavar="ALERT...", help="Their source ids or dedup keys.")],
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Move alerts of an incident into one of their own.

    Example:
      incident-pipeline split INC-20261123-143500-payments-4f2a disk-full:payments
    """
    new = context.application().inbox.split(incident_id, alerts, _who(by), _now())
    _say(new, f"split off from {incident_id}", as_json)


def mute(
    service: Annotated[str | None, typer.Option(help="Alerts of this service.")] = None,
    pattern: Annotated[
        str | None, typer.Option(help="Alerts whose title holds this text, or is like `disk *`.")
    ] = None,
    duration: Annotated[str | None, typer.Option("--for", metavar="DURATION", help="For so long, such as 2h.")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Until then, such as 2026-11-23T18:00Z.")] = None,
    reason: Annotated[str, typer.Option(help="Why; needed.")] = "",
    end: Annotated[int | None, typer.Option("--end", metavar="NUMBER", help="End this mute now.")] = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Start no run for some alerts until a given time; their incidents still form and are listed.

    Example:
      incident-pipeline mute --service payments --for 2h --reason "database upgrade"
    """
    inbox, now = context.application().inbox, _now()
    if end is not None:
        inbox.unmute(end, _who(by), now)
        _print({"mute": end, "until": now}, f"mute {end} has ended", as_json)
        return
    over = _end_of_mute(duration, until, now)
    number = inbox.mute(over, reason, _who(by), now, service, pattern)
    _print({"mute": number, "until": over}, f"mute {number}: quiet until {over:%Y-%m-%d %H:%M:%SZ}", as_json)


def _end_of_mute(duration: str | None, until: str | None, now: datetime) -> datetime:
    if (duration is None) == (until is None):
        raise typer.BadParameter("say how long: either --for 2h or --until 2026-11-23T18:00Z")
    try:
        return now + parse_duration(duration) if duration is not None else parse_moment(until)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(f"{'--for' if until is None else '--until'}: {error}") from None


def _row(record: Any) -> Sequence[Any]:
    cause = record.cause or record.failure
    likely = f"{cause} ({percent(record.confidence)})" if cause and record.confidence is not None else cause
    return (
        record.incident_id,
        record.severity,
        f"{record.status} (muted)" if record.muted_until and record.muted_until > _now() else record.status,
        record.started_at,
        record.alerts,
        record.services,
        record.title,
        likely,
    )


def _say(incident_id: str, what: str, as_json: bool) -> None:
    incident = context.application().inbox.incident(incident_id)
    known = {"incident_id": incident_id, "status": incident.status, "title": incident.title}
    _print(known, f"{incident_id} {what}: {output.safe(incident.title)} ({incident.status})", as_json)


def _print(value: Any, text: str, as_json: bool) -> None:
    if as_json:
        output.print_json(value)
    else:
        output.print_text(text)


def _who(by: str | None) -> str:
    if by:
        return by
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # no such user here: a container with a bare number
        return "unknown"


def _now() -> datetime:
    return datetime.now(UTC)
