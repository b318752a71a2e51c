"""Gathering: at once, within deadlines, and whatever happens is an envelope."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from incident_pipeline.config import Context, LogContext, MetricContext, Scenario
from incident_pipeline.connectors.base import Question
from incident_pipeline.errors import PermanentSourceError, TransientSourceError
from incident_pipeline.evidence.envelopes import answered
from incident_pipeline.evidence.gather import gather, gather_now, question_for
from incident_pipeline.incident_folder.reading import incident_from
from incident_pipeline.models import Alert, EnvelopeStatus, EvidenceKind, Incident, LogEntry, Service

START = datetime(2026, 11, 23, 14, 35, tzinfo=UTC)
AS_OF = START + timedelta(minutes=3)


def an_alert(key: str = "a", **about: Any) -> Alert:
    fields = {"source": "custom", "source_id": key, "dedup_key": key, "title": "Checkout fails", "started_at": START}
    return Alert.model_validate({**fields, "service": "checkout", "labels": {"env": "prod"}, **about})


INCIDENT: Incident = incident_from([an_alert()])


class Fake:
    """A source that does what the function does."""

    def __init__(self, name: str, fetch: Callable[[Question], Awaitable[Any]]) -> None:
        self.name = name
        self.kinds = frozenset(EvidenceKind)
        self.asked: list[Question] = []
        self.closed = 0
        self._fetch = fetch

    async def fetch(self, question: Question) -> Any:
        self.asked.append(question)
        return await self._fetch(question)

    async def close(self) -> None:
        self.closed += 1


async def no_rows(question: Question) -> Any:
    return answered(question.kind, "fake", ())


def raising(error: BaseException) -> Callable[[Question], Awaitable[Any]]:
    async def fetch(question: Question) -> Any:
        raise error

    return fetch


async def never(question: Question) -> Any:
    await asyncio.Event().wait()


def test_all_sources_are_asked_at_the_same_time() -> None:
    everyone = asyncio.Barrier(5)  # metrics are asked about the day before as well

    async def meet(question: Question) -> Any:
        await everyone.wait()
        return await no_rows(question)

    sources = {
        EvidenceKind.LOGS: [Fake("a", meet), Fake("b", meet)],
        EvidenceKind.METRICS: [Fake("c", meet)],
        EvidenceKind.DEPLOYMENTS: [Fake("d", meet)],
    }
    answers = gather_now(sources, sources, INCIDENT, Scenario(), AS_OF)
    assert [len(answers[kind].envelopes) for kind in sources] == [2, 1, 1]
    assert {answer.status for answer in answers.values()} == {EnvelopeStatus.EMPTY}


@pytest.mark.parametrize(
    ("fetch", "reason"),
    [
        (raising(PermanentSourceError("prometheus answered 401")), "prometheus answered 401"),
        (raising(TransientSourceError("later")), "later"),
        (raising(KeyError("data")), "the connector fake failed: KeyError: 'data'"),
        (raising(ValueError("password=hunter22")), "the connector fake failed: ValueError: password=[redacted]"),
        (never, "fake did not answer within 0.02 s"),
    ],
)
def test_whatever_a_source_does_wrong_is_its_own_gap(fetch: Any, reason: str) -> None:
    scenario = Scenario(context=_with_log_deadline(0.02))
    good = Fake("good", no_rows)
    sources = {EvidenceKind.LOGS: [Fake("fake", fetch)], EvidenceKind.METRICS: [good]}
    answers = gather_now(sources, sources, INCIDENT, scenario, AS_OF)
    (gap,) = answers[EvidenceKind.LOGS].gaps
    assert gap.reason == reason
    assert gap.source == "fake"
    assert answers[EvidenceKind.LOGS].envelopes[0].window is not None
    assert answers[EvidenceKind.METRICS].status is EnvelopeStatus.EMPTY
    assert good.closed == 1


def _with_log_deadline(seconds: float) -> Context:
    return Context(logs=LogContext(deadline=timedelta(seconds=seconds)))


def test_an_answer_beside_a_gap_still_counts() -> None:
    entry = LogEntry(timestamp=START, message="boom")

    async def rows(question: Question) -> Any:
        return answered(question.kind, "good", [entry], notes=("said",))

    sources = {EvidenceKind.LOGS: [Fake("bad", raising(PermanentSourceError("no"))), Fake("good", rows)]}
    logs = gather_now(sources, sources, INCIDENT, Scenario(), AS_OF)[EvidenceKind.LOGS]
    assert logs.rows == (entry,)
    assert logs.status is EnvelopeStatus.OK
    assert [gap.source for gap in logs.gaps] == ["bad"]
    assert logs.envelopes[1].notes == ("said",)


def test_nobody_to_ask_is_a_gap() -> None:
    answers = gather_now([EvidenceKind.TRACES], {}, INCIDENT, Scenario(), AS_OF)
    assert answers[EvidenceKind.TRACES].gaps[0].reason == "no source is configured"


def test_a_run_that_is_cancelled_is_cancelled() -> None:
    sources = {EvidenceKind.LOGS: [Fake("slow", never)]}

    async def run() -> None:
        task = asyncio.ensure_future(gather(sources, sources, INCIDENT, Scenario(), AS_OF))
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(run())


def test_how_long_each_source_took_is_measured_by_the_given_clock() -> None:
    ticks = iter([10.0, 12.5])
    sources = {EvidenceKind.LOGS: [Fake("fake", no_rows)]}
    answers = gather_now(sources, sources, INCIDENT, Scenario(), AS_OF, clock=lambda: next(ticks))
    assert answers[EvidenceKind.LOGS].envelopes[0].seconds == 2.5


def test_questions_follow_the_configuration() -> None:
    scenario = Scenario(
        context=Context(
            logs=LogContext(lookback=timedelta(hours=2), max_entries=77, focus_patterns=("timeout",)),
            metrics=MetricContext(queries={"cpu": "cpu"}, deadline=timedelta(seconds=4)),
        )
    )
    logs = question_for(EvidenceKind.LOGS, INCIDENT, scenario, AS_OF)
    assert (logs.window.start, logs.window.end) == (START - timedelta(hours=2), AS_OF)
    assert (logs.limit, logs.focus_patterns, logs.services) == (77, ("timeout",), ("checkout",))
    assert logs.alert_labels == {"env": "prod"}
    metrics = question_for(EvidenceKind.METRICS, INCIDENT, scenario, AS_OF)
    assert metrics.window.start == START - timedelta(hours=4)
    assert metrics.queries == {"cpu": "cpu"}
    assert metrics.seconds == pytest.approx(3.4)
    assert question_for(EvidenceKind.CODE_CHANGES, INCIDENT, scenario, AS_OF).window.start == START - timedelta(
        hours=48
    )


def test_a_clock_before_the_start_gives_no_window_that_ends_before_it_begins() -> None:
    asked = question_for(EvidenceKind.SERVICE_GRAPH, INCIDENT, Scenario(), START - timedelta(days=1))
    assert asked.window.start == asked.window.end == START


def test_what_the_services_call_is_asked_about_too() -> None:
    catalogue = [Service(name="checkout", depends_on=("cart", "checkout", "payments")), Service(name="cart")]
    asked = question_for(EvidenceKind.LOGS, INCIDENT, Scenario(), AS_OF, catalogue)
    assert asked.services == ("checkout", "cart", "payments")


def test_the_incidents_own_alerts_are_not_related_alerts() -> None:
    async def rows(question: Question) -> Any:
        return answered(question.kind, "alertmanager", [an_alert("a"), an_alert("b")])

    sources = {EvidenceKind.RELATED_ALERTS: [Fake("alertmanager", rows)]}
    related = gather_now(sources, sources, INCIDENT, Scenario(), AS_OF)[EvidenceKind.RELATED_ALERTS]
    assert [alert.dedup_key for alert in related.rows] == ["b"]


def test_rows_are_told_under_the_catalogues_names() -> None:
    entry = LogEntry(timestamp=START, message="boom", service="svc:cart")

    async def rows(question: Question) -> Any:
        return answered(question.kind, "logs", [entry])

    sources = {EvidenceKind.LOGS: [Fake("logs", rows)]}
    found = gather_now(sources, sources, INCIDENT, Scenario(), AS_OF, catalogue=[Service(name="cart")])
    (row,) = found[EvidenceKind.LOGS].rows
    assert (row.service, row.attributes) == ("cart", {"source_service": "svc:cart"})
