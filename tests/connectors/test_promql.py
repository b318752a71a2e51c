"""Names from outside cannot change what a query means."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident_pipeline.connectors.promql import fill
from incident_pipeline.errors import PermanentSourceError

STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')


@pytest.mark.parametrize(
    ("query", "service", "filled"),
    [
        ('up{job="$service"}', "payments", 'up{job="payments"}'),
        ("up{job='$service'}", "payments", 'up{job="payments"}'),
        ("up{job=$service}", "payments", 'up{job="payments"}'),
        ("up{job=$service,x=~$environment}", 'a"b', 'up{job="a\\"b",x=~"production"}'),
        ("up{job=`$service`}", "payments", 'up{job="payments"}'),
        ('up{job="$service"}', 'a"} or vector(1) #', 'up{job="a\\"} or vector(1) #"}'),
        ('up{job="$service"}', "a\\", 'up{job="a\\\\"}'),
        ('up{job="$service"}', "two\nlines", 'up{job="two\\nlines"}'),
        ('up{job=~"$service-.+"}', "a.b", 'up{job=~"a\\\\.b-.+"}'),
        ('up{job!="$service",x="y"}', "b", 'up{job!="b",x="y"}'),
        ("sum(rate($service_errors[5m]))", "payments", "sum(rate(payments_errors[5m]))"),
        ('up{env="$environment"}', "payments", 'up{env="production"}'),
        ('up{job="$services"}', "payments", 'up{job="$services"}'),
        ("sum(up)", "payments", "sum(up)"),
        ('up{job="$service"}', None, 'up{job=~".*"}'),
        ('up{job="team.a/$service"}', None, 'up{job=~"team\\\\.a/.*"}'),
        ('up{job=~"$service|proxy"}', None, 'up{job=~".*|proxy"}'),
    ],
)
def test_filling_in(query: str, service: str | None, filled: str) -> None:
    assert fill(query, service, "production") == filled


@pytest.mark.parametrize(
    ("query", "service", "words"),
    [
        ("rate($service_errors[5m])", "pay-ments", "is not part of a metric's name"),
        ("rate($service_errors[5m])", None, "is not known"),
        ('up{job!="$service"}', None, "excludes service"),
    ],
)
def test_what_cannot_be_quoted_is_refused(query: str, service: str | None, words: str) -> None:
    with pytest.raises(PermanentSourceError, match=words):
        fill(query, service, None)


@given(service=st.text(max_size=30))
def test_whatever_the_name_it_stays_one_string_that_reads_back(service: str) -> None:
    filled = fill('up{job="$service"}', service, None)
    match = re.fullmatch(r'up\{job="((?:[^"\\\n]|\\.)*)"\}', filled, re.DOTALL)
    assert match is not None
    assert re.sub(r"\\(.)", lambda m: {"n": "\n", "r": "\r"}.get(m[1], m[1]), match[1]) == service
    if "\n" in service or "\r" in service:
        return
    expression = fill('up{job=~"$service"}', service, None)
    quoted = STRING.search(expression)
    assert quoted is not None
    assert re.fullmatch(re.sub(r"\\(.)", r"\1", quoted[1]), service)
