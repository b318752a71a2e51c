"""Our own alert JSON, and any other JSON through a mapping."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident_pipeline.connectors.custom import alerts_from_custom
from incident_pipeline.errors import ConfigurationError, InputError
from incident_pipeline.models import AlertStatus, Severity

NOW = datetime(2026, 11, 23, 14, 35, tzinfo=UTC)
GRAFANA = {
    "receiver": "oncall",
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "Slow", "service": "checkout", "severity": "page"},
            "annotations": {"summary": "p99 above 2 s"},
            "startsAt": "2026-11-23T14:30:00.123456789Z",
            "fingerprint": "f1",
            "tags": ["team:payments", "urgent"],
        }
    ],
}
MAPPING = {
    "alerts": "alerts",
    "title": "labels.alertname",
    "summary": "annotations.summary",
    "severity": "labels.severity",
    "status": "status",
    "service": "labels.service",
    "started_at": "startsAt",
    "dedup_key": "fingerprint",
    "environment": "'production'",
    "labels": "tags",
    "labels.receiver": "status",
}


def test_one_alert_with_only_a_title_gets_the_rest_from_its_arrival() -> None:
    (alert,) = alerts_from_custom({"title": "Checkout fails"}, received_at=NOW)
    assert alert.started_at == NOW
    assert (alert.source, alert.severity, alert.status) == ("custom", Severity.P3, AlertStatus.TRIGGERED)
    (again,) = alerts_from_custom({"title": "Checkout fails"}, received_at=datetime(2027, 1, 1, tzinfo=UTC))
    assert alert.dedup_key == again.dedup_key


@pytest.mark.parametrize("wrap", [lambda a: [a, a], lambda a: {"alerts": [a, a]}])
def test_lists_are_read(wrap: Any) -> None:
    alerts = alerts_from_custom(wrap({"title": "t", "started_at": 1763908500, "severity": "error", "x": 1}))
    assert [alert.severity for alert in alerts] == [Severity.P2] * 2
    assert alerts[0].labels == {"x": "1", "severity": "error"}
    assert alerts[0].raw == {"title": "t", "started_at": 1763908500, "severity": "error", "x": 1}


def test_a_mapping_reads_any_json() -> None:
    (alert,) = alerts_from_custom(GRAFANA, MAPPING, source="grafana", received_at=NOW)
    assert alert.source == "grafana"
    assert (alert.title, alert.summary, alert.service) == ("Slow", "p99 above 2 s", "checkout")
    assert (alert.severity, alert.environment, alert.dedup_key) == (Severity.P1, "production", "f1")
    assert alert.started_at == datetime(2026, 11, 23, 14, 30, 0, 123456, tzinfo=UTC)
    assert alert.labels == {"team": "payments", "urgent": "true", "receiver": "firing", "severity": "page"}
    assert alert.raw == GRAFANA["alerts"][0]  # type: ignore[index]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"severity": "P1"}, "title: missing"),
        ([{"title": "a"}, {"title": "b", "started_at": "soon"}], "alert 2: started_at: 'soon' is not a moment"),
        ({"title": "a", "status": "melting"}, "status: 'melting' is not one of triggered, acknowledged, resolved"),
        (None, "expected a JSON object with the fields of an alert, not null"),
        (["x", "y"], "alert 1: expected a JSON object with the fields of an alert, not a text"),
        ({"title": "a", "labels": ["b"]}, "labels: expected an object"),
    ],
)
def test_bad_input_is_one_sentence_with_the_field(body: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=re.escape(sentence)):
        alerts_from_custom(body, received_at=NOW)


def test_a_mapping_that_finds_nothing_says_which_expression() -> None:
    with pytest.raises(InputError, match=re.escape("title: missing") + ".*" + re.escape("(mapped by 'name')")):
        alerts_from_custom({"other": 1}, {"title": "name"}, received_at=NOW)
    with pytest.raises(InputError, match="alerts: the mapping's expression 'items' found no list"):
        alerts_from_custom({"other": 1}, {"alerts": "items", "title": "name"}, received_at=NOW)
    with pytest.raises(InputError, match=r"title: the mapping's expression .* failed"):
        alerts_from_custom({"other": 1}, {"title": "length(other)"}, received_at=NOW)


@pytest.mark.parametrize(
    ("mapping", "sentence"),
    [
        ({"titel": "name"}, "alerts.sources.shop.mapping.titel: alerts have no such field"),
        ({"title": "name["}, "alerts.sources.shop.mapping.title: 'name[' is not a JMESPath expression"),
        ({"title": ""}, "alerts.sources.shop.mapping.title: '' is not a JMESPath expression"),
    ],
)
def test_a_wrong_mapping_is_a_wrong_configuration(mapping: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(sentence)):
        alerts_from_custom({}, mapping, source="shop", received_at=NOW)


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
alert_like = st.dictionaries(
    st.sampled_from(
        ["title", "summary", "severity", "status", "labels", "started_at", "service", "url", "raw", "alerts"]
    ),
    json_values,
)


@given(body=json_values | alert_like, mapped=st.booleans())
def test_whatever_arrives_is_alerts_or_one_sentence(body: Any, mapped: bool) -> None:
    try:
        alerts = alerts_from_custom(body, MAPPING if mapped else None, received_at=NOW)
    except InputError as error:
        alerts, sentence = [], str(error)
    else:
        sentence = ""
    assert "\n" not in sentence
    for alert in alerts:
        alert.model_dump_json()
        assert alert.title
