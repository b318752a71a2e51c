"""What was normal at the same hour of earlier days: asked of any source of metrics, beside the incident's own window.

Belongs here: the questions about earlier days, and joining their answers to the series. How far apart points are is
each connector's, by `Question.sampled`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from incident_pipeline.connectors.base import Question, Source
from incident_pipeline.errors import SourceError, TransientSourceError
from incident_pipeline.models import Envelope, MetricSeries, Window

HOUR = timedelta(hours=1)
"""Around the alert's time of day: half before it and half after."""


async def fetch_with_earlier_days(source: Source, question: Question, before: Sequence[timedelta]) -> Envelope[Any]:
    """The answer of a source of metrics, each series with its points of the same hour of earlier days before its first.

    Args:
        source: who is asked, for all days at the same time.
        question: about the incident.
        before: how long before, for each earlier hour.

    Returns:
        The answer; a note says which earlier day could not be read, for its own reasons: that costs nothing else.

    Raises:
        SourceError: the incident's own time could not be read.
    """
    asked = (_of_an_earlier_day(source, _earlier(question, span)) for span in before)
    own, *earlier = await asyncio.gather(source.fetch(question), *asked, return_exceptions=True)
    if isinstance(own, BaseException):
        raise own
    series: list[MetricSeries] = []
    notes = list(own.notes)
    for span, answer in zip(before, earlier, strict=True):
        if isinstance(answer, SourceError):
            notes.append(f"the same hour {_days(span)} before was not read: {answer}")
        elif isinstance(answer, BaseException):
            raise answer
        else:
            series += _within(answer.rows, _hour(question, span))
    return own.model_copy(update={"rows": with_earlier(own.rows, series), "notes": tuple(dict.fromkeys(notes))})


def with_earlier(series: Sequence[MetricSeries], earlier: Iterable[MetricSeries]) -> tuple[MetricSeries, ...]:
    """The series, each with its own points of earlier days before its first one."""
    points: dict[tuple[str | None, str], dict[float, float]] = {}
    for one in earlier:
        points.setdefault((one.service, one.key), {}).update(zip(one.timestamps, one.values, strict=True))
    return tuple(_after(points.get((one.service, one.key), {}), one) for one in series)


async def _of_an_earlier_day(source: Source, question: Question) -> Envelope[Any]:
    """The answer in the time that a source may take to say what it has: what comes later would cost the other days."""
    try:
        async with asyncio.timeout(question.seconds):
            return await source.fetch(question)
    except TimeoutError as error:
        raise TransientSourceError(f"no answer within {question.seconds:g} s") from error


def _earlier(question: Question, before: timedelta) -> Question:
    return question.model_copy(update={"window": _hour(question, before), "sampled_as": question.window})


def _hour(question: Question, before: timedelta) -> Window:
    around = question.around - before
    return Window(start=around - HOUR / 2, end=around + HOUR / 2)


def _within(rows: Iterable[MetricSeries], window: Window) -> list[MetricSeries]:
    """The points of the window alone: a source that answers the same to every question has none of an earlier day."""
    start, end = window.start.timestamp(), window.end.timestamp()
    found = []
    for row in rows:
        points = [(at, value) for at, value in zip(row.timestamps, row.values, strict=True) if start <= at <= end]
        times, values = tuple(at for at, _ in points), tuple(value for _, value in points)
        found.append(row.model_copy(update={"timestamps": times, "values": values}))
    return found


def _after(earlier: Mapping[float, float], series: MetricSeries) -> MetricSeries:
    first = series.timestamps[0] if series.timestamps else math.inf
    moments = sorted(moment for moment in earlier if moment < first)
    if not moments:
        return series
    values = tuple(earlier[moment] for moment in moments)
    return series.model_copy(update={"timestamps": (*moments, *series.timestamps), "values": (*values, *series.values)})


def _days(span: timedelta) -> str:
    days = span / timedelta(days=1)
    return f"{days:g} day{'' if days == 1 else 's'}"
