"""The picture is drawn whatever the series are called, whatever they hold, and however long they last."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

from incident_pipeline.documents.plot import plot_symptoms
from incident_pipeline.evidence.envelopes import answered, gathered
from incident_pipeline.models import Evidence, EvidenceKind, MetricSeries, SeriesAnomaly, Symptoms

START = 1.7e9
LIMIT = 32_000


def drawn(series: MetricSeries, onset: float | None) -> bytes | None:
    evidence = Evidence(metrics=gathered(EvidenceKind.METRICS, [answered(EvidenceKind.METRICS, "x", [series])]))
    at = datetime.fromtimestamp(START if onset is None else onset, UTC)
    anomaly = SeriesAnomaly(
        service=series.service, series=series.key, kind="shift", before=0.1, after=1.0, onset=at, score=1.0
    )
    return plot_symptoms(evidence, Symptoms(anomalies=(anomaly,), onset=None if onset is None else at), LIMIT)


@pytest.mark.parametrize("seconds", [0.0, 1e-6, 1.0, 100.0, 3600.0, 13_000.0, 86_400.0, 250_000.0, 1e7, 1e9])
def test_any_stretch_of_time_has_an_axis(seconds: float) -> None:
    count = 40 if seconds else 1
    moments = tuple(START + index * seconds / max(count - 1, 1) for index in range(count))
    series = MetricSeries(name="latency", timestamps=moments, values=tuple(math.sin(i) for i in range(count)))
    for onset in (None, START, START + seconds / 2, START + seconds, START - 1e6):
        assert drawn(series, onset)


def test_letters_that_the_font_lacks_and_formulas_are_drawn_as_text() -> None:
    name = "🚨 \u202egnp مرحبا 中文 $x_{1}$ {{ 7*7 }} \x1b[31m \x00"
    series = MetricSeries(name=name, service="a\nb", timestamps=(START, START + 60), values=(1.0, 2.0))
    assert drawn(series, START)


def test_values_that_no_axis_can_hold_are_left_out() -> None:
    values = (1.0, math.nan, math.inf, -math.inf, 1e308, -1e308, 1e-308, 2.0)
    moments = tuple(START + 60 * index for index in range(len(values)))
    assert drawn(MetricSeries(name="odd", timestamps=moments, values=values), START)
