"""What the confidence of the first hypothesis is read from."""

from __future__ import annotations

import pytest

from incident_pipeline.diagnosis.calibration import CEILING, FEW_SERIES, calibrated
from incident_pipeline.models import Category, CausedBy, Gap, Hypothesis


def blamed(service: str, confidence: float) -> Hypothesis:
    return Hypothesis(
        category=Category.CODE_BUG,
        description=f"{service} fails",
        service=service,
        confidence=confidence,
        approach="metric_correlation",
        caused_by=CausedBy(kind="metric", id="errors"),
    )


CLEAR = [blamed("payments", 0.7), blamed("cart", 0.01)]


def test_the_more_series_the_less_one_that_moves_proves() -> None:
    told = [calibrated(CLEAR, series=count) for count in (FEW_SERIES, 300, 1000, 5000)]
    assert told == sorted(told, reverse=True)
    assert len(set(told)) == len(told)


def test_few_series_say_no_more_and_none_are_as_many() -> None:
    assert calibrated(CLEAR, series=3) == calibrated(CLEAR, series=FEW_SERIES)
    assert calibrated(CLEAR, series=0) < calibrated(CLEAR, series=FEW_SERIES)


@pytest.mark.parametrize(("own", "other"), [(0.4, 0.4), (0.5, 0.3), (0.2, 0.19)])
def test_nobody_is_told_with_more_than_his_odds_against_his_rivals(own: float, other: float) -> None:
    told = calibrated([blamed("payments", own), blamed("cart", other)], series=5)
    assert told / (1 - told) <= own / (1 - own) / (other / (1 - other)) + 1e-9


def test_two_that_are_as_likely_are_told_with_half_at_most() -> None:
    assert calibrated([blamed("payments", 0.4), blamed("cart", 0.4)], series=5) <= 0.5 + 1e-9


def test_what_is_missing_lowers_even_what_could_not_be_surer() -> None:
    sure = [blamed("payments", 0.97)]
    assert calibrated(sure, series=10) == pytest.approx(CEILING)
    gap = Gap(kind="logs", source="loki", reason="did not answer")
    assert calibrated(sure, [gap], series=10) < CEILING
