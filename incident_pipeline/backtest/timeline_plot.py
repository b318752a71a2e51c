"""One incident on one time axis, as SVG: the top series, the onset, the alert, deployments, changes and flags.

Belongs here: drawing. Does not belong here: finding what is drawn (`diagnosis.symptoms`).
The picture takes its text colour from the page, so that it reads in light and dark.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from datetime import UTC, datetime

from incident_pipeline.models import Evidence, Incident, MetricSeries, Symptoms

WIDTH, ROW, LEFT, RIGHT, TOP = 900, 46, 250, 20, 34
_SERIES = 6
_POINTS = 300
_BEFORE, _AFTER = 3600.0, 1800.0


def timeline_svg(incident: Incident, evidence: Evidence, symptoms: Symptoms) -> str:
    """The picture of one incident; series without anomalies are not drawn."""
    alert = incident.started_at.timestamp()
    onset = symptoms.onset.timestamp() if symptoms.onset else alert
    start, end = min(onset, alert) - _BEFORE, max(onset, alert) + _AFTER
    rows = _top(evidence.metrics.rows, symptoms)
    height = TOP + ROW * len(rows) + 46
    body = [_row(series, index, start, end) for index, series in enumerate(rows)]
    marks = [
        _mark(onset, "onset", "#d0443a", start, end, height, 0),
        _mark(alert, "alert", "#c98a1b", start, end, height, 1),
    ]
    marks += _events(evidence, start, end, height)
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" role="img" aria-label="timeline of the incident" '
        f'font-family="system-ui, sans-serif" font-size="11" fill="currentColor">'
        f"{''.join(body)}{''.join(marks)}{_axis(start, end, height)}</svg>"
    )


def _top(series: Sequence[MetricSeries], symptoms: Symptoms) -> list[MetricSeries]:
    wanted: list[tuple[str | None, str]] = []
    for anomaly in symptoms.anomalies:
        if (anomaly.service, anomaly.series) not in wanted:
            wanted.append((anomaly.service, anomaly.series))
    by_name = {(s.service, s.key): s for s in series}
    return [by_name[name] for name in wanted if name in by_name][:_SERIES]


def _x(at: float, start: float, end: float) -> float:
    return LEFT + (at - start) / (end - start) * (WIDTH - LEFT - RIGHT)


def _row(series: MetricSeries, index: int, start: float, end: float) -> str:
    points = [(t, v) for t, v in zip(series.timestamps, series.values, strict=False) if start <= t <= end and v == v]
    points = points[:: max(1, len(points) // _POINTS)]
    base = TOP + ROW * (index + 1) - 8
    label = html.escape(f"{series.service}: {series.key}"[:44])
    text = f'<text x="{LEFT - 8}" y="{base - 10}" text-anchor="end">{label}</text>'
    if not points:
        return text
    low, high = min(v for _, v in points), max(v for _, v in points)
    scale = (ROW - 14) / (high - low) if high > low else 0.0
    path = " ".join(f"{_x(t, start, end):.1f},{base - (v - low) * scale:.1f}" for t, v in points)
    return f'{text}<polyline points="{path}" fill="none" stroke="#3b82c4" stroke-width="1.5"/>'


def _mark(at: float, label: str, colour: str, start: float, end: float, height: int, level: int) -> str:
    x = _x(at, start, end)
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 4}" y2="{height - 30}" stroke="{colour}" stroke-width="1.5"/>'
        f'<text x="{x + 3:.1f}" y="{12 + 12 * level}" style="fill: {colour}">{label}</text>'
    )


def _events(evidence: Evidence, start: float, end: float, height: int) -> list[str]:
    events = [(d.at, f"deployment {d.id}") for d in evidence.deployments.rows if d.at is not None]
    events += [(f.changed_at, f"flag {f.name}") for f in evidence.flag_changes.rows if f.changed_at is not None]
    marks = []
    for at, text in sorted(events, key=lambda e: (e[0], e[1])):
        if start <= at.timestamp() <= end:
            x = _x(at.timestamp(), start, end)
            marks.append(
                f'<path d="M{x:.1f} {height - 30} l-5 9 h10 z" fill="#7b5bd6">'
                f"<title>{html.escape(text)} at {at:%H:%M} UTC</title></path>"
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{height - 30}" stroke="#7b5bd6" '
                f'stroke-dasharray="2 4"/>'
            )
    return marks


def _axis(start: float, end: float, height: int) -> str:
    step = 900.0
    first = -(-start // step) * step
    ticks = []
    while first <= end:
        text = f"{datetime.fromtimestamp(first, tz=UTC):%H:%M}"
        ticks.append(f'<text x="{_x(first, start, end):.1f}" y="{height - 6}" text-anchor="middle">{text}</text>')
        first += step
    return "".join(ticks)
