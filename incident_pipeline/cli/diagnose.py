"""`diagnose` and `backtest`: the diagnosis alone, without Dagster and without storage.

Belongs here: options, printing. Does not belong here: diagnosing (`folder_diagnosis`), scoring (`backtest`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from incident_pipeline.cli import context
from incident_pipeline.cli.output import json_text, note, print_json, print_table, print_text, progress
from incident_pipeline.documents.wording import percent
from incident_pipeline.errors import InputError

if TYPE_CHECKING:
    from incident_pipeline.backtest.folder_diagnosis import DiagnosedFolder


def diagnose(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Incident folders.")],
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON per folder.")] = False,
) -> None:
    """Diagnose incident folders; nothing is stored, nothing is sent.

    A folder that cannot be read is reported and the others are diagnosed; the exit status is then 1.

    Example: incident-pipeline diagnose examples/* --json
    """
    from incident_pipeline.backtest.folder_diagnosis import diagnose_folder, diagnosis_record

    settings = context.application().scenario
    failed = 0
    for path in folders:
        try:
            diagnosed = diagnose_folder(path, settings)
        except InputError as error:
            note(f"incident-pipeline: {error}")
            failed += 1
            continue
        for remark in diagnosed.folder.notes:
            note(f"{path}: {remark}")
        if as_json:
            print_text(json_text(diagnosis_record(diagnosed)))
        else:
            _print(diagnosed)
    if failed:
        raise typer.Exit(1)


def _print(diagnosed: DiagnosedFolder) -> None:
    diagnosis = diagnosed.diagnosis
    print_text(f"{diagnosed.folder.path} ({diagnosed.seconds:.2f} s)")
    print_text(diagnosis.summary)
    for index, hypothesis in enumerate(diagnosis.hypotheses[:3], start=1):
        print_text(f"\n{index}. {hypothesis.description}: {percent(hypothesis.confidence)} ({hypothesis.category})")
        for sentence in hypothesis.evidence if index == 1 else hypothesis.evidence[:2]:
            print_text(f"   - {sentence}")
        if index == 1 and hypothesis.disproved_by:
            print_text(f"   Wrong if: {hypothesis.disproved_by}")
    if diagnosed.remediation.actions:
        print_text("\nSuggested:")
        for action in diagnosed.remediation.actions[:3]:
            print_text(f"   - {action.title} (risk {action.risk})")
    for gap in diagnosis.gaps:
        print_text(f"Not available: {gap.kind} ({gap.reason}); it could have told {gap.could_have_told}")
    print_text()


def backtest(
    root: Annotated[Path, typer.Argument(metavar="DIR", help="A folder with incident folders below it.")],
    report: Annotated[Path | None, typer.Option(metavar="OUT.html", help="Write a report to look at.")] = None,
    results: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keep every outcome there as JSONL; a further run goes on from it."),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes. [default: as many as processors]", min=0)] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Measure the diagnosis on folders whose cause is known (those with a truth.json).

    Your own past incidents tell you most: export them, add a truth.json with what the cause was, and run this.

    Example: incident-pipeline backtest exported/ --report backtest.html
    """
    from incident_pipeline.backtest import measure as run

    settings = context.application().scenario
    folders = run.labelled_folders(root)
    known = run.read_outcomes(results) if results else {}
    with progress("diagnosing", len(folders)) as advance:

        def done(outcome: run.Outcome) -> None:
            advance()
            if results is not None:
                with results.open("a", encoding="utf-8") as file:
                    file.write(run.outcome_line(outcome) + "\n")

        outcomes = run.backtest(folders, settings, workers=workers or run.usual_workers(), known=known, done=done)
    made = run.summary(outcomes)
    for problem in made["problems"]:
        note(f"not scored: {problem['problem']}")
    if report is not None:
        from incident_pipeline.backtest.report import write_report

        write_report(report, outcomes, settings)
        note(f"report: {report}")
    if as_json:
        print_json(made)
    else:
        _print_figures(made)


_COLUMNS = {
    "ac1": "AC@1", "ac3": "AC@3", "ac5": "AC@5", "avg5": "Avg@5", "change_accuracy": "change",
    "decoys_convicted": "decoys", "deployment_accuracy": "release", "category_accuracy": "category",
    "object_accuracy": "object", "mechanism_accuracy": "mechanism", "blast_radius": "radius",
    "remediation_accuracy": "action", "brier": "Brier",
    "brier_base": "base", "ece": "ECE", "seconds": "s",
}  # fmt: skip


def _print_figures(made: dict[str, Any]) -> None:
    named = [*made["datasets"].items(), ("all", made["all"])]
    rows = [[name, figures["incidents"], *(figures[key] for key in _COLUMNS)] for name, figures in named]
    print_table(["data set", "n", *_COLUMNS.values()], rows)
