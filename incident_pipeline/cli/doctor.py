"""`doctor`: whether each configured source answers, asked one cheap question; with `--all`, this installation too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from incident_pipeline.cli import context, output

if TYPE_CHECKING:
    from incident_pipeline.application import Application
    from incident_pipeline.config import Scenario

COLUMNS = ("source", "evidence", "answer", "seconds", "rows", "why")
WINDOW = timedelta(minutes=1)


def doctor(
    everything: Annotated[
        bool, typer.Option("--all", help="Also inbox, incidents, knowledge base, disk, heartbeats, what waits.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Ask every configured source one cheap question, and say which answer.

    The exit status is 1 where one does not.

    Example:
      incident-pipeline doctor --all
    """
    from incident_pipeline.evidence.gather import gather_now
    from incident_pipeline.models import Incident

    application = context.application()
    sources = {kind: asked for kind, asked in application.sources().items() if asked}
    now = datetime.now(UTC)
    question = Incident(incident_id="doctor", title="doctor", started_at=now)
    with output.progress("asking"):
        gathered = gather_now(sources, sources, question, _cheap(application.scenario), now)
    answers = [_answer(kind, envelope) for kind, found in gathered.items() for envelope in found.envelopes]
    if everything:
        answers += _own(application, now)
    if as_json:
        output.print_json(answers)
    elif answers:
        output.print_table(COLUMNS, (tuple(answer.values()) for answer in answers))
    else:
        output.note(
            "No source is configured: only incident folders can be diagnosed. See incident-pipeline config check."
        )
    if any(answer["status"] == "unavailable" for answer in answers):
        raise typer.Exit(1)


def _answer(kind: str, envelope: Any) -> dict[str, Any]:
    return {
        "source": envelope.source,
        "kind": str(kind),
        "status": envelope.status,
        "seconds": envelope.seconds,
        "rows": len(envelope.rows),
        "error": envelope.error,
    }


def _own(application: Application, now: datetime) -> list[dict[str, Any]]:
    from incident_pipeline.self_check import check

    return [
        {
            "source": answer.part,
            "kind": "own",
            "status": answer.status,
            "seconds": answer.seconds,
            "rows": None,
            "error": answer.said,
        }
        for answer in check(application, now)
    ]


def _cheap(scenario: Scenario) -> Scenario:
    """The same sources, asked about one minute and one line."""
    context_ = scenario.context
    short = {
        name: getattr(context_, name).model_copy(update={"lookback": WINDOW})
        for name in ("deployments", "code", "flags", "metrics", "logs", "traces", "related_alerts")
    }
    short["logs"] = short["logs"].model_copy(update={"max_entries": 1})
    return scenario.model_copy(update={"context": context_.model_copy(update=short)})
