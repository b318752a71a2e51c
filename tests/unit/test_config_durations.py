from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident_pipeline.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("24h", timedelta(days=1)),
        ("90d", timedelta(days=90)),
        ("2w", timedelta(days=14)),
        ("1h30m", timedelta(minutes=90)),
        (" 1.5 H ", timedelta(minutes=90)),
    ],
)
def test_durations_as_people_write_them(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    ("text", "written"),
    [("0s", "0s"), ("60s", "1m"), ("90m", "90m"), ("60m", "1h"), ("24h", "24h"), ("2d", "48h"), ("7d", "7d")],
)
def test_the_specification_s_own_spelling_is_kept(text: str, written: str) -> None:
    assert format_duration(parse_duration(text)) == written


@pytest.mark.parametrize(
    "wrong", ["", "2 hours", "m", "-5m", "5", "1h and 2m", "PT2H", "24:00", "99999999999d", 5, 0.5]
)
def test_what_is_no_duration_is_refused_in_words(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"write 90s, 15m|needs a unit"):
        parse_duration(wrong)


@given(st.timedeltas(min_value=timedelta(), max_value=timedelta(days=36500)))
def test_what_is_written_is_read_back(value: timedelta) -> None:
    assert parse_duration(format_duration(value)) == value


@given(st.text(max_size=20))
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    try:
        value = parse_duration(text)
    except ValueError:
        return
    assert value >= timedelta()
