"""How times, durations and numbers read in a sentence of evidence.

Belongs here: wording that every approach shares. Does not belong here: what the sentences claim.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from incident_pipeline.models import SeriesAnomaly


def clock(at: datetime) -> str:
    """`14:28 UTC`."""
    return f"{at:%H:%M} UTC"


def clock_on(at: datetime, reference: datetime) -> str:
    """`14:28 UTC`, with the date where it is not the reference's day."""
    return clock(at) if at.date() == reference.date() else f"{at:%Y-%m-%d %H:%M} UTC"


def span(delta: timedelta) -> str:
    """`4 minutes`, `2 hours`, `30 seconds`; never negative."""
    seconds = abs(delta.total_seconds())
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= size * (2 if unit != "minute" else 1):
            return plural(round(seconds / size), unit)
    return plural(round(seconds), "second")


def plural(count: int, noun: str) -> str:
    """`1 line`, `3 lines`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def number(value: float) -> str:
    """Three significant digits, no exponent for everyday sizes."""
    if value == 0:
        return "0"
    if 0.001 <= abs(value) < 1e6:
        digits = 0 if abs(value) >= 100 else 2 if abs(value) >= 1 else 4
        return f"{value:,.{digits}f}".rstrip("0").rstrip(".") if digits else f"{value:,.0f}"
    return f"{value:.2g}"


def shortened(text: str, limit: int = 160) -> str:
    """One line of at most `limit` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def went(anomaly: SeriesAnomaly) -> str:
    """`error_rate of payments went from 0.1 to 12 at 14:28 UTC`; a series that stopped or stands still says so."""
    what, at = f"{anomaly.series} of {anomaly.service}", clock(anomaly.onset)
    if anomaly.kind == "missing":
        return f"{what} has no values since {at}"
    if anomaly.kind == "flat_line":
        return f"{what} stands still at {number(anomaly.after)} since {at}"
    verb = {"trend": "climbs", "saturation": "fills up"}.get(anomaly.kind, "went")
    verb = "falls" if anomaly.kind == "trend" and anomaly.after < anomaly.before else verb
    return f"{what} {verb} from {number(anomaly.before)} to {number(anomaly.after)} at {at}"
