"""The picture of an incident: what moved, and when, with the onset, the alert and the deployments on one time axis."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from incident_pipeline.documents.escape import clean
from incident_pipeline.models import Evidence, MetricSeries, SeriesAnomaly, Symptoms

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SERIES_SHOWN = 4
WIDTH_INCHES, PANEL_INCHES, HEAD_INCHES, FOOT_INCHES = 9.0, 1.25, 0.85, 0.45
INK = "#808080"
"""Axes and text: a grey that can be read on white and on black."""
SIGNAL, ONSET, DEPLOYED = "#2f7ed8", "#d62728", "#9467bd"
MARGIN = timedelta(minutes=30)
POINTS_SHOWN = 120
LABEL_LINES = 3
UNDRAWABLE = 1e100
"""Values from here on overflow in an axis."""


def plot_symptoms(evidence: Evidence, symptoms: Symptoms, max_bytes: int) -> bytes | None:
    """An SVG of the strongest anomalous series; None if there is none, or if it does not fit `max_bytes`.

    The background is transparent and the ink a middle grey, so that it can be read in a light and in a dark theme.
    """
    shown = list(_series_of(evidence.metrics.rows, symptoms.anomalies))
    for count in range(len(shown), 0, -1):
        picture = _draw(evidence, symptoms, shown[:count])
        if len(picture) <= max_bytes:
            return picture
    return None


def _series_of(
    rows: Sequence[MetricSeries], anomalies: Sequence[SeriesAnomaly]
) -> Iterator[tuple[MetricSeries, SeriesAnomaly]]:
    by_name = {(series.service, series.key): series for series in rows}
    found = ((by_name.get((a.service, a.series)), a) for a in anomalies)
    for count, (series, anomaly) in enumerate((s, a) for s, a in found if s is not None and s.timestamps):
        if count == SERIES_SHOWN:
            return
        yield series, anomaly


def _draw(evidence: Evidence, symptoms: Symptoms, shown: Sequence[tuple[MetricSeries, SeriesAnomaly]]) -> bytes:
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    height = PANEL_INCHES * len(shown) + HEAD_INCHES + FOOT_INCHES
    figure = Figure(figsize=(WIDTH_INCHES, height))
    FigureCanvasSVG(figure)
    figure.subplots_adjust(
        left=0.07, right=0.99, bottom=FOOT_INCHES / height, top=1 - HEAD_INCHES / height, hspace=0.35
    )
    panels = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
    start, end = _time_axis(symptoms, shown)
    for panel, (series, anomaly) in zip(panels, shown, strict=True):
        _draw_series(panel, series, anomaly, start, end)
        _mark(panel, evidence, symptoms, start, end, labelled=panel is panels[0])
    panels[-1].set_xlim(_number(start), _number(end))
    _label_times(panels[-1])
    out = io.BytesIO()
    # text stays text, which keeps the file small; the salt and the empty date make the same picture the same bytes
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "incident", "font.family": "sans-serif"}):
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return out.getvalue()


def _time_axis(symptoms: Symptoms, shown: Sequence[tuple[MetricSeries, SeriesAnomaly]]) -> tuple[datetime, datetime]:
    """From half an hour before the onset to the last sample, as far as there are samples."""
    first = min(series.timestamps[0] for series, _ in shown)
    last = max(series.timestamps[-1] for series, _ in shown)
    start, end = datetime.fromtimestamp(first, UTC), datetime.fromtimestamp(max(last, first + 60), UTC)
    if symptoms.onset is None:
        return start, end
    nearer = max(start, symptoms.onset - 2 * MARGIN), min(end, symptoms.onset + 2 * MARGIN)
    return nearer if nearer[0] < nearer[1] else (start, end)


def _draw_series(panel: Axes, series: MetricSeries, anomaly: SeriesAnomaly, start: datetime, end: datetime) -> None:
    inside = [
        (datetime.fromtimestamp(t, UTC), v)
        for t, v in zip(series.timestamps, series.values, strict=True)
        if start.timestamp() <= t <= end.timestamp()
    ]
    step = max(1, len(inside) // POINTS_SHOWN)
    values = [v if abs(v) < UNDRAWABLE else float("nan") for _, v in inside[::step]]
    panel.plot([_number(t) for t, _ in inside[::step]], values, color=SIGNAL, linewidth=1.3)
    title = f"{series.service or 'unknown service'}: {series.key}"
    panel.set_title(_drawable(title, 90), fontsize=9, loc="left", color=INK)
    if abs(anomaly.before) < UNDRAWABLE:
        panel.axhline(anomaly.before, color=INK, linewidth=0.6, linestyle=":")
    panel.tick_params(labelsize=8, colors=INK)
    panel.margins(y=0.15)
    for name, spine in panel.spines.items():
        spine.set_visible(name in {"left", "bottom"})
        spine.set_color(INK)


def _mark(
    panel: Axes, evidence: Evidence, symptoms: Symptoms, start: datetime, end: datetime, *, labelled: bool
) -> None:
    """The onset and the deployments as vertical lines; named in the first panel only."""
    marks: list[tuple[datetime, str, str]] = [] if symptoms.onset is None else [(symptoms.onset, "onset", ONSET)]
    marks += [
        (d.at, f"{d.service or ''} {d.version or d.id}".strip(), DEPLOYED) for d in evidence.deployments.rows if d.at
    ]
    inside = sorted((mark for mark in marks if start <= mark[0] <= end), key=lambda mark: mark[0])
    for place, (at, text, colour) in enumerate(inside):
        panel.axvline(_number(at), color=colour, linewidth=1.2, linestyle="-" if colour == ONSET else "--")
        if labelled:
            # names of marks that are close to each other would cover each other on one line
            panel.annotate(
                _drawable(text, 40),
                (_number(at), 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(0, 16 + 11 * (place % LABEL_LINES)),
                textcoords="offset points",
                ha="right" if (at - start) > (end - start) / 2 else "left",
                fontsize=8,
                color=colour,
            )


def _drawable(text: str, limit: int) -> str:
    """The text on one line, in the letters that the font has and that are not read as mathematics."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    letters = get_font(findfont(FontProperties())).get_charmap()
    return "".join(c if ord(c) in letters else "?" for c in clean(text, limit)).replace("$", r"\$")


def _number(at: datetime) -> float:
    from matplotlib.dates import date2num

    return float(date2num(at))  # type: ignore[no-untyped-call]


def _label_times(panel: Any) -> None:
    from matplotlib.dates import AutoDateLocator, DateFormatter

    panel.xaxis.set_major_locator(AutoDateLocator(tz=UTC, minticks=3, maxticks=8))  # type: ignore[no-untyped-call]
    panel.xaxis.set_major_formatter(DateFormatter("%H:%M", tz=UTC))  # type: ignore[no-untyped-call]
    panel.set_xlabel("UTC", fontsize=8, color=INK)
