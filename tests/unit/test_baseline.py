"""The same hour of earlier days, asked of any source of metrics."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import httpx
import pytest

from incident_pipeline.config import Connection
from incident_pipeline.connectors import cloudwatch, datadog, prometheus
from incident_pipeline.connectors.base import Question, Source
from incident_pipeline.errors import PermanentSourceError
from incident_pipeline.evidence.baseline import fetch_with_earlier_days
from incident_pipeline.evidence.envelopes import answered
from incident_pipeline.models import Envelope, EvidenceKind, MetricSeries
from tests.connectors.questions import AROUND, Recorder, question, settings_for

DAY = timedelta(days=1)


class Measured:
    """A source that has a point every minute, up to so many days ago."""

    name = "measured"
    kinds = frozenset({EvidenceKind.METRICS})

    def __init__(self, keeps: timedelta, same_answer: bool = False) -> None:
        self.keeps = keeps
        self.same_answer = same_answer
        self.asked: list[Question] = []

    async def fetch(self, asked: Question) -> Envelope[Any]:
        self.asked.append(asked)
        if asked.window.start < AROUND - self.keeps:
            raise PermanentSourceError("measured keeps no more")
        window = self.asked[0].window if self.same_answer else asked.window
        times = range(int(window.start.timestamp()), int(window.end.timestamp()) + 1, 60)
        row = MetricSeries(
            name="errors", service="payments", timestamps=tuple(map(float, times)), values=tuple(t / 60 for t in times)
        )
        return answered(asked.kind, self.name, [row], window=asked.window)

    async def close(self) -> None:
        """Nothing is open."""


def fetched(source: Source, before: Sequence[timedelta] = (DAY, 7 * DAY)) -> Envelope[Any]:
    return asyncio.run(fetch_with_earlier_days(source, question(EvidenceKind.METRICS), before))


def test_the_hours_stand_before_the_series_in_order() -> None:
    source = Measured(keeps=timedelta(days=30))
    answer = fetched(source)
    (row,) = answer.rows
    own = source.asked[0].window
    minutes = int((own.end - own.start).total_seconds() // 60) + 1
    assert len(row.timestamps) == 61 + 61 + minutes
    assert list(row.timestamps) == sorted(set(row.timestamps))
    assert row.timestamps[0] == (AROUND - 7 * DAY - timedelta(minutes=30)).timestamp()
    assert row.values == tuple(at / 60 for at in row.timestamps)
    assert answer.window == own
    assert not answer.notes


def test_a_day_that_is_not_kept_is_a_note_and_the_rest_stands() -> None:
    answer = fetched(Measured(keeps=timedelta(days=2)))
    (row,) = answer.rows
    assert row.timestamps[0] == (AROUND - DAY - timedelta(minutes=30)).timestamp()
    assert answer.notes == ("the same hour 7 days before was not read: measured keeps no more",)
    assert not answer.partial


def test_a_source_that_answers_the_same_to_every_question_has_no_earlier_day() -> None:
    source = Measured(keeps=timedelta(days=30), same_answer=True)
    (row,) = fetched(source).rows
    assert row.timestamps[0] >= source.asked[0].window.start.timestamp()


def test_an_earlier_day_that_never_comes_does_not_cost_the_answer() -> None:
    class Slow(Measured):
        async def fetch(self, asked: Question) -> Envelope[Any]:
            if asked.window.start < AROUND - DAY:
                await asyncio.Event().wait()
            return await super().fetch(asked)

    asked = question(EvidenceKind.METRICS, seconds=0.05)
    answer = asyncio.run(fetch_with_earlier_days(Slow(keeps=timedelta(days=30)), asked, (DAY,)))
    assert answer.rows
    assert answer.notes == ("the same hour 1 day before was not read: no answer within 0.05 s",)


def test_what_fails_for_the_incident_itself_has_failed() -> None:
    with pytest.raises(PermanentSourceError, match="keeps no more"):
        fetched(Measured(keeps=timedelta(0)))


def test_points_are_as_far_apart_as_in_the_incidents_own_window() -> None:
    asked = question(EvidenceKind.METRICS, queries={"cpu": "AWS/ECS:CPUUtilization{ServiceName=$service}"})
    apart = {build.__name__.rpartition(".")[2]: distances(build, asked) for build in (prometheus, datadog, cloudwatch)}
    assert {name: len(found) for name, found in apart.items()} == {"prometheus": 1, "datadog": 1, "cloudwatch": 1}


def distances(connector: Any, asked: Question) -> set[Any]:
    """What distance of points a connector asks for, over the incident's window and the same hour of the day before."""
    recorder = Recorder(lambda _: httpx.Response(422, json={}))
    connection = Connection(
        url="http://source.example",
        username="key",
        password="secret-0123",  # noqa: S106
        headers={"DD-API-KEY": "key-0123", "DD-APPLICATION-KEY": "key-0123"},
        options={"region": "eu-central-1"},
    )
    source = connector.build(
        settings_for(connector.__name__.rpartition(".")[2], recorder.transport, connection=connection)
    )
    with pytest.raises(PermanentSourceError):
        asyncio.run(fetch_with_earlier_days(source, asked, (DAY,)))
    assert len(recorder.requests) == 2 * len(asked.services)
    return {_distance(request) for request in recorder.requests}


def _distance(request: httpx.Request) -> Any:
    if request.method == "GET":
        return request.url.params["step"]
    body = json.loads(request.content)
    if "data" in body:
        return body["data"]["attributes"]["interval"]
    return body["MetricDataQueries"][0]["MetricStat"]["Period"]
