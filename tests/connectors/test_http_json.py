"""A system described in the configuration alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest

from incident_pipeline.config import Scenario
from incident_pipeline.connectors.registry import UnavailableSource, build_sources
from incident_pipeline.evidence.gather import gather_now
from incident_pipeline.models import EnvelopeStatus, EvidenceKind, Gathered
from tests.connectors.questions import AROUND, Recorder, incident

RELEASES = {
    "kind": "deployments",
    "path": "/releases?app=$service&from=$start&to=$end_ms",
    "rows": "result.items[?state!='draft']",
    "field.id": "key",
    "field.version": "build.tag",
    "field.finished_at": "done",
    "field.status": "state",
    "field.cluster": "where",
}


def scenario(options: dict[str, str], **context: Any) -> Scenario:
    connection = {"url": "https://releases.example/api", "token": "token-0123", "options": options}
    context = context or {"deployments": {"sources": ["releases"]}}
    return Scenario.model_validate({"connections": {"releases": connection}, "context": context})


def ask(recorder: Recorder, kind: EvidenceKind, settings: Scenario) -> Gathered[Any]:
    sources = build_sources(settings, recorder.transport)
    return gather_now([kind], sources, incident(), settings, AROUND + timedelta(minutes=10))[kind]


def test_rows_are_found_and_mapped() -> None:
    items = [
        {"key": "r1", "build": {"tag": "v2"}, "done": "2026-11-23T14:30:00Z", "state": "live", "where": "eu"},
        {"key": "r2", "state": "draft"},
        {"key": None, "state": "live", "build": None},
        {"key": "r3", "build": {"tag": "v3"}, "done": "soon", "state": "live"},
    ]
    recorder = Recorder(lambda _: {"result": {"items": items}})
    got = ask(recorder, EvidenceKind.DEPLOYMENTS, scenario(RELEASES))
    (request,) = recorder.requests
    assert str(request.url) == (
        "https://releases.example/api/releases?app=payments&from=2026-11-22T14%3A35%3A00Z&to=1795445100000"
    )
    assert request.headers["authorization"] == "Bearer token-0123"
    first, unnamed = got.rows
    assert (first.id, first.service, first.version, first.status) == ("r1", "payments", "v2", "live")
    assert first.attributes == {"cluster": "eu"}
    assert unnamed.id == "payments@unknown"
    assert "1 rows could not be read" in got.envelopes[0].notes[0]


def test_metrics_are_gathered_into_series() -> None:
    options = {
        "kind": "metrics",
        "rows": "@",
        "field.metric": "n",
        "field.value": "v",
        "field.timestamp": "t",
        "field.service": "s",
    }
    rows = [
        {"n": "cpu{pod=a}", "v": "2", "t": 1795444560, "s": "cart"},
        {"n": "cpu{pod=a}", "v": 1, "t": 1795444500, "s": "cart"},
    ]
    got = ask(Recorder(lambda _: rows), EvidenceKind.METRICS, scenario(options, metrics={"provider": "releases"}))
    (series,) = got.rows
    assert (series.name, series.service, series.labels, series.values) == ("cpu", "cart", {"pod": "a"}, (1.0, 2.0))


def test_an_answer_without_the_list_is_told() -> None:
    got = ask(Recorder(lambda _: {"result": {}}), EvidenceKind.DEPLOYMENTS, scenario(RELEASES))
    assert "answered without a list at" in got.gaps[0].reason
    broken = ask(Recorder(lambda _: {"result": {"items": []}}), EvidenceKind.DEPLOYMENTS, scenario(RELEASES))
    assert broken.status is EnvelopeStatus.EMPTY
    refused = ask(Recorder(lambda _: httpx.Response(401)), EvidenceKind.DEPLOYMENTS, scenario(RELEASES))
    assert "check connections.releases.token" in refused.gaps[0].reason


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({**RELEASES, "kind": "traces"}, "options.kind: write one of"),
        ({**RELEASES, "rows": "a["}, "options.rows: 'a[' is not a JMESPath expression"),
        ({**RELEASES, "field.id": ""}, "options.field.id: '' is not a JMESPath expression"),
        ({"kind": "deployments", "rows": "@"}, "write rows (where the list is) and field.<name>"),
    ],
)
def test_a_wrong_description_is_one_sentence(options: dict[str, str], words: str) -> None:
    (source,) = build_sources(scenario(options))[EvidenceKind.DEPLOYMENTS]
    assert isinstance(source, UnavailableSource)
    assert words in source.reason


def test_names_cannot_leave_the_path() -> None:
    recorder = Recorder(lambda _: [])
    settings = scenario({**RELEASES, "path": "/of/$service/list", "rows": "@"})
    kind = EvidenceKind.DEPLOYMENTS
    odd = incident().model_copy(update={"services": ("../../admin?x=1#",)})
    gather_now([kind], build_sources(settings, recorder.transport), odd, settings, AROUND)
    assert recorder.requests[0].url.raw_path == b"/api/of/..%2F..%2Fadmin%3Fx%3D1%23/list"
