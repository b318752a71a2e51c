"""The backtest as one HTML file: the figures, the reliability diagram, a list of incidents, and a page for each.

Belongs here: the first page, and how pages are held together. Does not belong here: the page of one incident
(`incident_page`), the figures (`scores`), the pictures (`documents`).
All text from outside is escaped; the file needs no network and no script, and reads in light and dark. A page is shown
by its anchor (`report.html#incident-1`); printed, each begins a sheet of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from incident_pipeline.backtest.incident_page import Place, escaped, first_description, incident_page
from incident_pipeline.backtest.measure import Outcome, summary
from incident_pipeline.backtest.scores import Score, calibration_interval, expected_calibration_error, reliability
from incident_pipeline.config import Scenario

_FIGURES = {
    "incidents": "n", "ac1": "AC@1", "ac3": "AC@3", "ac5": "AC@5", "avg5": "Avg@5", "change_accuracy": "change",
    "decoys_convicted": "decoys", "deployment_accuracy": "release", "category_accuracy": "category",
    "object_accuracy": "object", "mechanism_accuracy": "mechanism", "blast_radius": "radius",
    "remediation_accuracy": "action", "right": "right", "brier": "Brier", "brier_base": "base", "ece": "ECE",
    "seconds": "s",
}  # fmt: skip

_STYLE = """
:root { color-scheme: light dark; --line: #8885; --good: #2a9d4a; --bad: #d0443a; --mark: #3b82c4; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .6rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child, table.words th, table.words td { text-align: left; }
table.words td { white-space: normal; } a { color: var(--mark); } nav { display: flex; gap: 1.5rem; }
b.right { color: var(--good); } b.wrong { color: var(--bad); } tr.true { font-weight: bold; }
svg { max-width: 100%; height: auto; } svg text { fill: currentColor; }
.muted { opacity: .7; }
section.page { display: none; } section.page:target { display: block; }
body:has(section.page:target) main { display: none; }
@media print { section.page { display: block; break-before: page; } main { display: block !important; } }
"""


def write_report(path: Path, outcomes: Sequence[Outcome], settings: Scenario) -> None:
    """Write the report of a backtest."""
    path.write_text(report(outcomes, settings), encoding="utf-8")


def report(outcomes: Sequence[Outcome], settings: Scenario) -> str:
    """The whole file."""
    made = summary(outcomes)
    scores = [o.score for o in outcomes if o.score is not None]
    named = [*made["datasets"].items(), ("all", made["all"])]
    ordered = sorted((o for o in outcomes if o.score is not None and o.record is not None), key=_worst_first)
    pages = "".join(incident_page(o, settings, Place(n, len(ordered))) for n, o in enumerate(ordered, start=1))
    problems = "".join(f"<li>{escaped(p['problem'])}</li>" for p in made["problems"])
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Backtest of the diagnosis</title>'
        f'<style>{_STYLE}</style><main id="all"><h1>Backtest of the diagnosis</h1>'
        f'<p class="muted">Engine {escaped(made["engine_version"])}, {len(scores)} incidents.</p>'
        f"{_table(named)}{f'<h2>Not scored</h2><ul>{problems}</ul>' if problems else ''}"
        f"<h2>Is the confidence honest?</h2>{_calibration(scores)}{reliability_svg(scores)}"
        f"<h2>Incidents, the most confident mistakes first</h2>{_list(ordered)}</main>{pages}</html>"
    )


def _list(ordered: Sequence[Outcome]) -> str:
    rows = "".join(_list_row(outcome, n) for n, outcome in enumerate(ordered, start=1))
    return (
        '<table class="words"><tr><th>incident</th><th>first hypothesis</th><th>confidence</th>'
        f"<th>true service ranked</th></tr>{rows}</table>"
    )


def _list_row(outcome: Outcome, n: int) -> str:
    made = outcome.score
    if made is None:
        return ""
    verdict, rank = "right" if made.right else "wrong", "–" if made.rank is None else made.rank or "not at all"
    return (
        f'<tr><td><a href="#{Place(n, n).anchor}">{escaped(Path(outcome.folder).name)}</a></td>'
        f'<td><b class="{verdict}">{verdict}</b> {escaped(first_description(outcome))}</td>'
        f"<td>{made.confidence:.0%}</td><td>{rank}</td></tr>"
    )


def _worst_first(outcome: Outcome) -> tuple[bool, float, str]:
    made = outcome.score
    return (made.right, -made.confidence, outcome.folder) if made else (True, 0.0, outcome.folder)


def _table(named: Iterable[tuple[str, dict[str, Any]]]) -> str:
    head = "".join(f"<th>{escaped(title)}</th>" for title in _FIGURES.values())
    rows = "".join(
        f"<tr>{''.join(f'<td>{cell}</td>' for cell in (escaped(name or 'unnamed'), *map(_cell, values)))}</tr>"
        for name, values in ((name, [figures[key] for key in _FIGURES]) for name, figures in named)
    )
    return f"<table><tr><th>data set</th>{head}</tr>{rows}</table>"


def _calibration(scores: Sequence[Score]) -> str:
    error, interval = expected_calibration_error(scores), calibration_interval(scores)
    if error is None or interval is None:
        return ""
    return (
        f"<p>Expected calibration error {error:.3f}; {interval[0]:.3f} to {interval[1]:.3f} in nine of ten "
        f"resamples of these {len(scores)} incidents.</p>"
    )


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}" if isinstance(value, float) else escaped(value)


def reliability_svg(scores: Sequence[Score]) -> str:
    """Confidence against the share of right ones; on the diagonal it is honest."""
    size, edge = 260, 34
    marks = []
    for one in reliability(scores):
        x, y = edge + one.confidence * size, edge + (1 - one.right) * size
        title = f"{one.count} diagnoses, confidence {one.confidence:.0%}, right {one.right:.0%}"
        radius = 3 + min(one.count, 60) ** 0.5
        marks.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="var(--mark)"><title>{title}</title></circle>'
        )
    ticks = "".join(
        f'<text x="{edge + t * size:.0f}" y="{edge + size + 16}" text-anchor="middle">{t:.0%}</text>'
        f'<text x="{edge - 4}" y="{edge + (1 - t) * size + 4:.0f}" text-anchor="end">{t:.0%}</text>'
        for t in (0.0, 0.5, 1.0)
    )
    full = size + 2 * edge
    return (
        f'<svg viewBox="0 0 {full} {full}" width="{full}" font-size="11" role="img" aria-label="reliability diagram">'
        f'<rect x="{edge}" y="{edge}" width="{size}" height="{size}" fill="none" stroke="var(--line)"/>'
        f'<line x1="{edge}" y1="{edge + size}" x2="{edge + size}" y2="{edge}" stroke="currentColor" '
        f'stroke-dasharray="4"/>'
        f"{''.join(marks)}{ticks}"
        f'<text x="{edge + size / 2}" y="{full - 4}" text-anchor="middle">confidence of the first hypothesis</text>'
        f'<text x="{edge}" y="{edge - 10}">share that was right</text></svg>'
    )
