"""One incident on one time axis, as SVG: the series that moved, the onset, the alert, deployments, flags and changes.

Belongs here: choosing what is shown, and drawing it. Does not belong here: finding what moved (`diagnosis.symptoms`).
The background is transparent, the ink a middle grey and every colour set on its element, so that the picture reads in a
light and in a dark theme, within a page or as an image of its own.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from incident_pipeline.diagnosis.sentences import number
from incident_pipeline.documents.escape import clean
from incident_pipeline.models import Evidence, Incident, MetricSeries, SeriesAnomaly, Symptoms

SERIES_SHOWN, MARKS_SHOWN, POINTS_SHOWN = 6, 12, 240
WIDTH, LEFT, RIGHT = 900, 62, 14
HEAD, PANEL, TITLE, FOOT, LABEL_LINE = 64, 66, 14, 34, 13
LABEL_LINES = 4
INK, SIGNAL, ONSET, ALERT, CHANGED = "#808080", "#2f7ed8", "#d62728", "#b8860b", "#9467bd"
BEFORE, AFTER = 3600.0, 1800.0
"""Seconds shown before the first and after the last of onset and alert."""
STEPS = (60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400)
TICKS = 8
UNDRAWABLE = 1e100
"""Values from here on overflow in an axis."""

Drawn = tuple[MetricSeries, SeriesAnomaly]


@dataclass(frozen=True)
class _Mark:
    at: float
    text: str
    colour: str
    dashed: bool = True


@dataclass(frozen=True)
class _Axis:
    start: float
    end: float

    def x(self, at: float) -> float:
        return LEFT + (at - self.start) / (self.end - self.start) * (WIDTH - LEFT - RIGHT)

    def holds(self, at: float) -> bool:
        return self.start <= at <= self.end


def plot_timeline(incident: Incident, evidence: Evidence, symptoms: Symptoms, max_bytes: int) -> bytes | None:
    """An SVG of the strongest anomalous series and of what happened from an hour before to half an hour after.

    None if there is nothing but the alert to show, or if it does not fit `max_bytes` even without series.
    """
    alert = incident.started_at.timestamp()
    onset = symptoms.onset.timestamp() if symptoms.onset else alert
    axis = _Axis(max(min(onset, alert) - BEFORE, 0.0), max(onset, alert) + AFTER)
    shown = list(_strongest(evidence.metrics.rows, symptoms.anomalies))
    events = [mark for mark in _events(evidence) if axis.holds(mark.at)]
    if not shown and not events:
        return None
    nearest = sorted(events, key=lambda mark: (abs(mark.at - onset), mark.text))[:MARKS_SHOWN]
    marks = [_Mark(alert, "alert", ALERT, dashed=False), *nearest]
    marks += [_Mark(onset, "onset", ONSET, dashed=False)] if symptoms.onset else []
    marks.sort(key=lambda mark: (mark.at, mark.text))
    for count in range(len(shown), -1, -1):
        picture = _svg(shown[:count], marks, axis, unshown=len(events) - len(nearest)).encode()
        if len(picture) <= max_bytes:
            return picture
    return None


def _strongest(rows: Sequence[MetricSeries], anomalies: Sequence[SeriesAnomaly]) -> list[Drawn]:
    """The first anomalous series, in the order of the symptoms, each once."""
    by_name = {(series.service, series.key): series for series in rows if series.timestamps}
    first = {(a.service, a.series): a for a in reversed(anomalies)}
    wanted = dict.fromkeys((a.service, a.series) for a in anomalies)
    return [(by_name[name], first[name]) for name in wanted if name in by_name][:SERIES_SHOWN]


def _events(evidence: Evidence) -> Iterator[_Mark]:
    for deployment in evidence.deployments.rows:
        if deployment.at is not None:
            text = f"{deployment.service or 'deployment'} {deployment.version or deployment.id}"
            yield _Mark(deployment.at.timestamp(), text, CHANGED)
    for flag in evidence.flag_changes.rows:
        if flag.changed_at is not None:
            yield _Mark(flag.changed_at.timestamp(), f"flag {flag.name}", CHANGED)
    for change in evidence.code_changes.rows:
        if change.committed_at is not None:
            yield _Mark(change.committed_at.timestamp(), f"commit {change.sha[:8]}", INK)


def _svg(shown: Sequence[Drawn], marks: Sequence[_Mark], axis: _Axis, *, unshown: int) -> str:
    height = HEAD + PANEL * len(shown) + FOOT
    panels = "".join(_panel(series, anomaly, HEAD + PANEL * i, axis) for i, (series, anomaly) in enumerate(shown))
    lines = "".join(_line(mark, place, height, axis) for mark, place in _placed(marks, axis))
    more = _text(WIDTH - RIGHT, height - 4, f"{unshown} more changes not shown", anchor="end") if unshown else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" aria-label="timeline of the incident" font-family="sans-serif" font-size="11">'
        f"{panels}{lines}{_times(axis, height)}{more}</svg>"
    )


def _text(x: float, y: float, text: str, colour: str = INK, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" style="fill: {colour}">{html.escape(text)}</text>'


def _panel(series: MetricSeries, anomaly: SeriesAnomaly, top: int, axis: _Axis) -> str:
    """One series: its name, its lowest and highest value, its usual value dotted."""
    upper, lower = top + TITLE + 4, top + PANEL - 8
    title = _text(LEFT, top + TITLE - 2, clean(f"{series.service or 'unknown service'}: {series.key}", 110))
    points = [
        (t, v)
        for t, v in zip(series.timestamps, series.values, strict=False)
        if axis.holds(t) and abs(v) < UNDRAWABLE  # false for what is not a number
    ]
    if not points:
        return title + _text(LEFT, lower, "no values here")
    usual = [anomaly.before] if abs(anomaly.before) < UNDRAWABLE else []
    low, high = min([v for _, v in points] + usual), max([v for _, v in points] + usual)
    scale = (lower - upper) / (high - low) if high > low else 0.0
    path = " ".join(f"{axis.x(t):.1f},{lower - (v - low) * scale:.1f}" for t, v in _thinned(points))
    dots = "".join(
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{lower - (v - low) * scale:.1f}" '
        f'y2="{lower - (v - low) * scale:.1f}" stroke="{INK}" stroke-width="0.7" stroke-dasharray="1 4"/>'
        for v in usual
    )
    return (
        f"{title}{dots}{_text(LEFT - 6, upper + 6, number(high), anchor='end')}"
        f"{_text(LEFT - 6, lower, number(low), anchor='end') if high > low else ''}"
        f'<polyline points="{path}" fill="none" stroke="{SIGNAL}" stroke-width="1.4"/>'
    )


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most POINTS_SHOWN points: the lowest and the highest of each stretch, so that no spike is lost."""
    if len(points) <= POINTS_SHOWN:
        return list(points)
    size = math.ceil(2 * len(points) / POINTS_SHOWN)
    kept: list[tuple[float, float]] = []
    for begin in range(0, len(points), size):
        stretch = points[begin : begin + size]
        kept += sorted({min(stretch, key=lambda p: p[1]), max(stretch, key=lambda p: p[1])})
    return kept


def _placed(marks: Sequence[_Mark], axis: _Axis) -> list[tuple[_Mark, int]]:
    """The line of text for each name: neighbours on different ones, and so that no name is crossed by the next mark."""
    middle = sum(axis.x(mark.at) <= (LEFT + WIDTH) / 2 for mark in marks)
    right = len(marks) - middle
    places = [*(i % LABEL_LINES for i in range(middle)), *((right - 1 - i) % LABEL_LINES for i in range(right))]
    return list(zip(marks, places, strict=True))


def _line(mark: _Mark, place: int, height: int, axis: _Axis) -> str:
    """A moment as a vertical line with its name and time."""
    x, y = axis.x(mark.at), 12 + LABEL_LINE * place
    aside, anchor = (-4, "end") if x > (LEFT + WIDTH) / 2 else (4, "start")
    dashes = ' stroke-dasharray="4 3"' if mark.dashed else ""
    said = f"{clean(mark.text, 34)} {datetime.fromtimestamp(mark.at, tz=UTC):%H:%M}"
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y - 8}" y2="{height - FOOT + 4}" stroke="{mark.colour}" '
        f'stroke-width="1.3"{dashes}/>{_text(x + aside, y, said, mark.colour, anchor)}'
    )


def _times(axis: _Axis, height: int) -> str:
    """A handful of round times under the panels, with the date where more than a day is shown."""
    length = axis.end - axis.start
    step = next((s for s in STEPS if length / s <= TICKS), 86_400 * math.ceil(length / 86_400 / TICKS))
    form = "%H:%M" if length < 86_400 else "%Y-%m-%d" if step >= 86_400 else "%m-%d %H:%M"
    ticks = range(math.ceil(axis.start / step) * step, math.floor(axis.end) + 1, step)
    labels = "".join(
        _text(axis.x(at), height - FOOT + 17, f"{datetime.fromtimestamp(at, tz=UTC):{form}}", anchor="middle")
        for at in ticks
    )
    return labels + _text(LEFT - 6, height - FOOT + 17, "UTC", anchor="end")
