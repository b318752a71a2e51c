"""The picture is drawn whatever the series are called, whatever they hold, and however long they last."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest

from incident_pipeline.documents.timeline_plot import MARKS_SHOWN, POINTS_SHOWN, plot_timeline
from incident_pipeline.evidence.envelopes import answered, gathered
from incident_pipeline.models import (
    Alert,
    Deployment,
    Evidence,
    EvidenceKind,
    Incident,
    MetricSeries,
    SeriesAnomaly,
    Symptoms,
)

START = 1.7e9
LIMIT = 32_000
SVG = "{http://www.w3.org/2000/svg}"


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def incident() -> Incident:
    alert = Alert(source="a", source_id="1", dedup_key="1", title="slow", service="shop", started_at=at(START + 600))
    return Incident(
        incident_id="i", title="slow", started_at=alert.started_at, updated_at=alert.started_at, alerts=(alert,)
    )


def drawn(
    series: MetricSeries, onset: float | None, deployments: tuple[Deployment, ...] = (), limit: int = LIMIT
) -> ElementTree.Element:
    evidence = Evidence(
        metrics=gathered(EvidenceKind.METRICS, [answered(EvidenceKind.METRICS, "x", [series])]),
        deployments=gathered(EvidenceKind.DEPLOYMENTS, [answered(EvidenceKind.DEPLOYMENTS, "x", deployments)]),
    )
    began = at(START if onset is None else onset)
    anomaly = SeriesAnomaly(
        service=series.service, series=series.key, kind="shift", before=0.1, after=1.0, onset=began, score=1.0
    )
    symptoms = Symptoms(anomalies=(anomaly,), onset=None if onset is None else began)
    picture = plot_timeline(incident(), evidence, symptoms, limit)
    assert picture is not None
    assert len(picture) <= limit
    return ElementTree.fromstring(picture)  # noqa: S314  (the project's own picture; malformed is what is tested)


def texts(picture: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in picture.iter(f"{SVG}text")]


def curve(picture: ElementTree.Element) -> list[tuple[float, float]]:
    (line,) = picture.iter(f"{SVG}polyline")
    pairs = (pair.split(",") for pair in line.attrib["points"].split())
    return [(float(x), float(y)) for x, y in pairs]


@pytest.mark.parametrize("seconds", [0.0, 1e-6, 1.0, 100.0, 3600.0, 13_000.0, 86_400.0, 250_000.0, 1e7, 1e9])
def test_any_stretch_of_time_has_an_axis(seconds: float) -> None:
    count = 40 if seconds else 1
    moments = tuple(START + index * seconds / max(count - 1, 1) for index in range(count))
    series = MetricSeries(name="latency", timestamps=moments, values=tuple(math.sin(i) for i in range(count)))
    for onset in (None, START, START + seconds / 2, START + seconds, START - 1e6):
        picture = drawn(series, onset)
        assert ("onset" in " ".join(texts(picture))) == (onset is not None)
        assert len(texts(picture)) < 20


def test_names_from_outside_are_text_and_nothing_else() -> None:
    name = "🚨 \u202egnp مرحبا $x_{1}$ {{ 7*7 }} \x1b[31m \x00 <script>alert(1)</script>"
    series = MetricSeries(name=name, service="a\nb", timestamps=(START, START + 60), values=(1.0, 2.0))
    picture = drawn(series, START)
    assert not list(picture.iter(f"{SVG}script"))
    assert any("<script>" in text for text in texts(picture))


def test_values_that_no_axis_can_hold_are_left_out() -> None:
    values = (1.0, math.nan, math.inf, -math.inf, 1e308, -1e308, 1e-308, 2.0)
    moments = tuple(START + 60 * index for index in range(len(values)))
    assert len(curve(drawn(MetricSeries(name="odd", timestamps=moments, values=values), START))) == 3


def test_a_spike_of_one_point_among_thousands_is_kept() -> None:
    moments = tuple(START + index / 2 for index in range(5000))
    values = tuple(100.0 if index == 2345 else 1.0 for index in range(5000))
    points = curve(drawn(MetricSeries(name="spiky", timestamps=moments, values=values), START))
    assert len(points) <= POINTS_SHOWN
    assert len({y for _, y in points}) == 2


def test_what_happened_is_named_nearest_to_the_onset_first_and_the_rest_counted() -> None:
    series = MetricSeries(name="latency", timestamps=(START, START + 60), values=(1.0, 2.0))
    many = tuple(
        Deployment(id=str(n), service="shop", version=f"v{n}", finished_at=at(START) - timedelta(minutes=n))
        for n in range(20)
    )
    said = " ".join(texts(drawn(series, START, many)))
    assert "onset" in said
    assert "alert" in said
    assert "shop v0 " in said
    assert "shop v19 " not in said
    assert f"{20 - MARKS_SHOWN} more changes not shown" in said


def test_every_colour_reads_on_white_and_on_black() -> None:
    picture = drawn(MetricSeries(name="latency", timestamps=(START, START + 60), values=(1.0, 2.0)), START)
    colours = {text.attrib["style"].removeprefix("fill: ") for text in picture.iter(f"{SVG}text")}
    colours |= {line.attrib["stroke"] for line in picture.iter() if "stroke" in line.attrib}
    assert len(colours) >= 4
    for colour in colours:
        parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        red, green, blue = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        light = 0.2126 * red + 0.7152 * green + 0.0722 * blue
        assert min(1.05 / (light + 0.05), (light + 0.05) / 0.05) >= 3.0, colour


def test_a_picture_that_does_not_fit_loses_series_first() -> None:
    moments = tuple(START + index for index in range(200))
    series = MetricSeries(name="latency", timestamps=moments, values=tuple(float(i % 7) for i in range(200)))
    release = Deployment(id="1", service="shop", finished_at=at(START))
    assert not list(drawn(series, START, (release,), limit=2000).iter(f"{SVG}polyline"))
    assert plot_timeline(incident(), Evidence(), Symptoms(), LIMIT) is None
