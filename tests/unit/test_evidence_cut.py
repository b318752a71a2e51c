"""Evidence as it was at an earlier moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from incident_pipeline.incident_folder.cut import rows_until
from incident_pipeline.models import CodeChange, Deployment, EvidenceKind, LogEntry, MetricSeries, Service

START = datetime(2026, 11, 23, 14, 35, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def test_what_came_later_is_not_there_and_what_has_no_time_is() -> None:
    lines = [LogEntry(timestamp=at(m), message=str(m)) for m in (-1, 0, 1)]
    assert [row.message for row in rows_until(EvidenceKind.LOGS, lines, START)] == ["-1"]
    changes = [CodeChange(sha="a"), CodeChange(sha="b", committed_at=at(5))]
    assert [row.sha for row in rows_until(EvidenceKind.CODE_CHANGES, changes, START)] == ["a"]
    assert rows_until(EvidenceKind.SERVICE_GRAPH, [Service(name="a")], START) == (Service(name="a"),)


def test_a_release_that_ended_later_was_still_going_on() -> None:
    releases = [
        Deployment(id="going on", started_at=at(-2), finished_at=at(2), status="success"),
        Deployment(id="done", finished_at=at(-1), status="success"),
        Deployment(id="later", started_at=at(1)),
    ]
    assert [(row.id, row.status, row.finished_at) for row in rows_until(EvidenceKind.DEPLOYMENTS, releases, START)] == [
        ("going on", "in_progress", None),
        ("done", "success", at(-1)),
    ]


@given(moments=st.lists(st.integers(-100, 100), unique=True).map(sorted), end=st.integers(-100, 100))
def test_series_are_cut_as_their_points_are(moments: list[int], end: int) -> None:
    series = MetricSeries(name="m", timestamps=tuple(map(float, moments)), values=tuple(map(float, moments)))
    rows = rows_until(EvidenceKind.METRICS, [series], datetime.fromtimestamp(end, tz=UTC))
    expected = tuple(float(moment) for moment in moments if moment < end)
    assert [row.timestamps for row in rows] == ([expected] if expected else [])
