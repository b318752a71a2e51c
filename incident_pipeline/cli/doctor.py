"""`doctor`: whether each configured source answers, asked one cheap question; with `--all`, this installation too."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from incident_pipeline.cli import context, output

if TYPE_CHECKING:
    from incident_pipeline.application import Application
    from incident_pipeline.evidence.source_check import Check

COLUMNS = ("source", "evidence", "answer", "seconds", "rows", "why", "sample")


def doctor(
    everything: Annotated[
        bool, typer.Option("--all", help="Also inbox, incidents, knowledge base, disk, heartbeats, what waits.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Ask every configured source one cheap question: is it reachable, are we authorised, is its clock right, one row.

    The exit status is 1 where one does not.

    Example:
      incident-pipeline doctor --all
    """
    from incident_pipeline.evidence.source_check import check_sources, unplaced_services

    application = context.application()
    now = datetime.now(UTC)
    with output.progress("asking"):
        checks = check_sources(application.scenario, application.sources(), application.catalogue, now)
    answers = [_answer(check) for check in checks]
    if application.catalogue and (unplaced := unplaced_services(checks, application.catalogue)):
        answers.append(_unplaced(unplaced))
    if everything:
        answers += _own(application, now)
    if as_json:
        output.print_json(answers)
    elif answers:
        output.print_table(COLUMNS, (_line(answer) for answer in answers))
    else:
        output.note(
            "No source is configured: only incident folders can be diagnosed. See incident-pipeline config check."
        )
    if any(answer["status"] == "unavailable" for answer in answers):
        raise typer.Exit(1)


def _answer(check: Check) -> dict[str, Any]:
    envelope = check.envelope
    return {
        "source": envelope.source,
        "kind": check.kind.value,
        "status": envelope.status,
        "seconds": envelope.seconds,
        "rows": len(envelope.rows),
        "error": envelope.error,
        "reachable": check.reachable,
        "authorised": check.authorised,
        "missing_scopes": check.missing_scopes or None,
        "clock_off_seconds": check.clock_off,
        "sample": check.sample or None,
    }


def _unplaced(names: list[str]) -> dict[str, Any]:
    said = f"services that the catalogue does not have for sure: {', '.join(names)}"
    return {
        "source": "catalogue",
        "kind": "services",
        "status": "unplaced",
        "seconds": None,
        "rows": len(names),
        "error": said,
    }


def _line(answer: dict[str, Any]) -> tuple[Any, ...]:
    off = answer.get("clock_off_seconds")
    said = [
        answer["error"],
        f"lacks {answer['missing_scopes']}" if answer.get("missing_scopes") else None,
        f"its clock is {abs(off):.0f} s {'ahead of' if off > 0 else 'behind'} ours" if off else None,
    ]
    why = "; ".join(text for text in said if text)
    return (*(answer[key] for key in ("source", "kind", "status", "seconds", "rows")), why, answer.get("sample") or "")


def _own(application: Application, now: datetime) -> list[dict[str, Any]]:
    from incident_pipeline.operation.self_check import check

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
