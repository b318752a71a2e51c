"""The backtest as one HTML file: the figures, the reliability diagram, and a section for each incident.

Belongs here: HTML and SVG text. Does not belong here: the figures (`scores`), the pictures (`documents`).
All text from outside is escaped; the file needs no network and reads in light and dark.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from incident_pipeline.backtest.measure import Outcome, summary
from incident_pipeline.backtest.scores import Score, reliability
from incident_pipeline.config import Scenario
from incident_pipeline.documents.propagation_plot import plot_propagation
from incident_pipeline.documents.timeline_plot import plot_timeline

_FIGURES = {
    "incidents": "n", "ac1": "AC@1", "ac3": "AC@3", "ac5": "AC@5", "avg5": "Avg@5", "change_accuracy": "change",
    "decoys_convicted": "decoys", "deployment_accuracy": "release", "category_accuracy": "category",
    "object_accuracy": "object", "mechanism_accuracy": "mechanism", "blast_radius": "radius",
    "remediation_accuracy": "action", "right": "right", "brier": "Brier", "brier_base": "base", "ece": "ECE",
    "seconds": "s",
}  # fmt: skip

_MAX_PICTURE = 100_000
_STYLE = """
:root { color-scheme: light dark; --line: #8885; --good: #2a9d4a; --bad: #d0443a; --mark: #3b82c4; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .6rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
details { border-top: 1px solid var(--line); padding: .4rem 0; }
summary { cursor: pointer; } summary.right::marker { color: var(--good); } summary.wrong::marker { color: var(--bad); }
svg { max-width: 100%; height: auto; } svg text { fill: currentColor; font: 11px system-ui, sans-serif; }
.muted { opacity: .7; }
"""


def write_report(path: Path, outcomes: Sequence[Outcome], settings: Scenario) -> None:
    """Write the report of a backtest."""
    path.write_text(report(outcomes, settings), encoding="utf-8")


def report(outcomes: Sequence[Outcome], settings: Scenario) -> str:
    """The whole page."""
    made = summary(outcomes)
    scores = [o.score for o in outcomes if o.score is not None]
    named = [*made["datasets"].items(), ("all", made["all"])]
    ordered = sorted((o for o in outcomes if o.score is not None), key=_worst_first)
    sections = "".join(_incident(o, settings) for o in ordered)
    problems = "".join(f"<li>{_e(p['problem'])}</li>" for p in made["problems"])
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Backtest of the diagnosis</title>'
        f"<style>{_STYLE}</style><h1>Backtest of the diagnosis</h1>"
        f'<p class="muted">Engine {_e(made["engine_version"])}, {len(scores)} incidents.</p>'
        f"{_table(named)}{f'<h2>Not scored</h2><ul>{problems}</ul>' if problems else ''}"
        f"<h2>Is the confidence honest?</h2>{reliability_svg(scores)}"
        f"<h2>Incidents, the most confident mistakes first</h2>{sections}</html>"
    )


def _worst_first(outcome: Outcome) -> tuple[bool, float, str]:
    made = outcome.score
    return (made.right, -made.confidence, outcome.folder) if made else (True, 0.0, outcome.folder)


def _e(value: Any) -> str:
    return html.escape(str(value), quote=True)


def _table(named: Iterable[tuple[str, dict[str, Any]]]) -> str:
    head = "".join(f"<th>{_e(title)}</th>" for title in _FIGURES.values())
    rows = "".join(
        f"<tr><td>{_e(name or 'unnamed')}</td>{''.join(f'<td>{_cell(figures[key])}</td>' for key in _FIGURES)}</tr>"
        for name, figures in named
    )
    return f"<table><tr><th>data set</th>{head}</tr>{rows}</table>"


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}" if isinstance(value, float) else _e(value)


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
        f'<svg viewBox="0 0 {full} {full}" width="{full}" role="img" aria-label="reliability diagram">'
        f'<rect x="{edge}" y="{edge}" width="{size}" height="{size}" fill="none" stroke="var(--line)"/>'
        f'<line x1="{edge}" y1="{edge + size}" x2="{edge + size}" y2="{edge}" stroke="currentColor" '
        f'stroke-dasharray="4"/>'
        f"{''.join(marks)}{ticks}"
        f'<text x="{edge + size / 2}" y="{full - 4}" text-anchor="middle">confidence of the first hypothesis</text>'
        f'<text x="{edge}" y="{edge - 10}">share that was right</text></svg>'
    )


def _incident(outcome: Outcome, settings: Scenario) -> str:
    made, record = outcome.score, outcome.record
    if made is None or record is None:
        return ""
    verdict = "right" if made.right else "wrong"
    first = record["hypotheses"][0]["description"] if record["hypotheses"] else "no hypothesis"
    facts = [f"data set {made.dataset or 'unnamed'}", f"true service ranked {made.rank or 'not at all'}"]
    facts += [f"change {'right' if made.change_right else 'wrong'}"] if made.change_right is not None else []
    facts += [f"category {'right' if made.category_right else 'wrong'}"] if made.category_right is not None else []
    ranking = ", ".join(f"{row['service']} {row['score']:.2f}" for row in record["services"][:6])
    name = _e(Path(outcome.folder).name)
    return (
        f'<details id="{name}"><summary class="{verdict}"><b>{verdict}</b> at {made.confidence:.0%}: '
        f'{name} <span class="muted">{_e(first)}</span></summary>'
        f"<p>{_e('; '.join(facts))}.</p><p>Ranking: {_e(ranking)}.</p>{_plot(outcome, settings)}"
        f"{''.join(_hypothesis(h) for h in record['hypotheses'][:4])}</details>"
    )


def _hypothesis(hypothesis: dict[str, Any]) -> str:
    sentences = "".join(f"<li>{_e(sentence)}</li>" for sentence in hypothesis["evidence"])
    sentences += f"<li>Disproved if {_e(hypothesis['disproved_by'])}.</li>" if hypothesis.get("disproved_by") else ""
    return f"<p><b>{hypothesis['confidence']:.0%}</b> {_e(hypothesis['description'])}</p><ul>{sentences}</ul>"


def _plot(outcome: Outcome, settings: Scenario) -> str:
    from incident_pipeline.diagnosis.symptoms import find_symptoms
    from incident_pipeline.incident_folder.reading import load_folder

    folder = load_folder(Path(outcome.folder))
    symptoms = find_symptoms(folder.incident, folder.evidence, settings.context.logs.focus_patterns)
    record = outcome.record or {}
    first, suffering = record.get("first_failing_service"), record.get("blast_radius", ())
    spread = plot_propagation(folder.evidence, symptoms, first, suffering, folder.incident.services, _MAX_PICTURE)
    moved = plot_timeline(folder.incident, folder.evidence, symptoms, _MAX_PICTURE)
    return "".join(picture.decode() for picture in (moved, spread) if picture)
