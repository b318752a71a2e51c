"""How times, spans and names read."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident_pipeline.documents.wording import clock, elapsed, humanise, kind_name, listed, percent, source_name
from tests.unit.scenes import at


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(0), "less than a minute"),
        (timedelta(seconds=-5), "less than a minute"),
        (timedelta(seconds=59), "less than a minute"),
        (timedelta(minutes=1), "1 minute"),
        (timedelta(minutes=23, seconds=40), "23 minutes"),
        (timedelta(hours=1), "1 hour"),
        (timedelta(hours=1, minutes=5), "1 hour 5 minutes"),
        (timedelta(days=1, minutes=59), "1 day"),
        (timedelta(days=2, hours=3), "2 days 3 hours"),
    ],
)
def test_spans_read_in_at_most_two_units(span: timedelta, text: str) -> None:
    assert humanise(span) == text


@given(st.floats(min_value=0, max_value=1))
def test_nothing_is_certain(probability: float) -> None:
    assert 1 <= int(percent(probability).removesuffix("%")) <= 99


def test_what_is_shown_to_the_minute_is_counted_to_the_minute() -> None:
    assert elapsed(at(14, 32) + timedelta(seconds=41), at(14, 55)) == "23 minutes"


def test_a_time_of_another_day_has_its_date() -> None:
    assert clock(at(14, 32), at(14, 55)) == "14:32"
    assert clock(at(23, 50, day=16), at(0, 5)) == "2026-03-16 23:50"


def test_names_that_people_know() -> None:
    assert source_name("pagerduty") == "PagerDuty"
    assert source_name("our-own") == "our-own"
    assert kind_name("flag_changes") == "feature flags"
    assert kind_name("something") == "something"


def test_lists_read_as_sentences() -> None:
    assert listed([]) == ""
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "a"]) == "a and b"
    assert listed(["a", "b", "c"]) == "a, b and c"
