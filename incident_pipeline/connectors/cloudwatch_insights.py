"""CloudWatch Logs Insights: one search over all log groups, which is started and then asked after until it is done.

Actions (JSON 1.1): `StartQuery` (seconds since 1970, both ends included; 50 log groups; gives `queryId`),
`GetQueryResults` (`Scheduled` and `Running` go on and carry what was found so far; rows are lists of `field` and
`value`, all text; times read `2026-11-23 14:35:00.000`, in UTC) and `StopQuery`. A search costs by the bytes that it
scans, so that one which is not waited for is stopped.
Does not belong here: signing and sending, which is `cloudwatch.py`'s.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from incident_pipeline.connectors.answers import Answer
from incident_pipeline.connectors.cloudwatch_rows import escaped
from incident_pipeline.connectors.deadline import Deadline
from incident_pipeline.connectors.log_plan import LogSearch, counted
from incident_pipeline.connectors.paging import Collected
from incident_pipeline.connectors.shapes import at, items, rows_at
from incident_pipeline.errors import PermanentSourceError, SourceError, TransientSourceError

MAX_GROUPS = 50
MOST_ROWS = 10_000
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 1.0
"""Seconds between two looks; the pauses grow by half."""
KEPT_BACK = 0.1
"""Share of the time that is kept for taking what was found so far and stopping the search."""
_GOES_ON = ("Scheduled", "Running", "Unknown")

Call = Callable[[str, Mapping[str, Any]], Awaitable[Answer]]
"""Sends an action with its body."""


async def search(
    call: Call, part: LogSearch, groups: Sequence[str], texts: Sequence[str], deadline: Deadline
) -> Collected[Any]:
    """The events that one search of the plan finds, as `FilterLogEvents` would tell them, each with its `group`.

    Args:
        call: sends an action.
        part: when, how many and in which order.
        groups: names of log groups.
        texts: one of them has to be in a line; empty: any line.
        deadline: what is found until shortly before it counts; the answer is partial then.

    Raises:
        SourceError: the search could not be started, or it failed.
    """
    started = await call("StartQuery", started_with(part, groups, texts))
    key = started.object().get("queryId")
    if not isinstance(key, str) or not key:
        raise PermanentSourceError("StartQuery gave no queryId")
    answer, status = await _finished(call, key, deadline)
    found: Collected[Any] = Collected([event for row in rows_at(answer, "results") if (event := event_of(row))])
    found.truncated = len(groups) > MAX_GROUPS
    if found.truncated:
        found.notes.append(f"only the first {MAX_GROUPS} of {len(groups)} log groups were searched")
    if status in _GOES_ON:
        found.partial = True
        found.notes.append(f"{part.name}: the search was not done in time; it tells what it had found")
        found.notes += await _stopped(call, key)
    matched = at(answer.object(), "statistics", "recordsMatched")
    total = int(matched) if isinstance(matched, int | float) and math.isfinite(matched) else 0
    found.notes += counted(part.name, total, len(found.rows))
    found.truncated = found.truncated or total > len(found.rows)
    return found


def started_with(part: LogSearch, groups: Sequence[str], texts: Sequence[str]) -> dict[str, Any]:
    """The body of `StartQuery`."""
    wanted = " or ".join(f'@message like "{escaped(text)}"' for text in texts)
    lines = ["fields @timestamp, @message, @logStream, @log"]
    lines += [f"filter {wanted}"] if wanted else []
    limit = min(MOST_ROWS, part.limit)
    lines += [f"sort @timestamp {'desc' if part.newest_first else 'asc'}", f"limit {limit}"]
    return {
        "logGroupNames": list(groups[:MAX_GROUPS]),
        "startTime": math.floor(part.start.timestamp()),
        "endTime": math.ceil(part.end.timestamp()),
        "queryString": " | ".join(lines),
        "limit": limit,
    }


def event_of(row: Any) -> dict[str, Any] | None:
    """A row as an event; None where it has no time or no text. `@log` reads `ACCOUNT:GROUP`."""
    told = {str(at(one, "field")): at(one, "value") for one in items(row)}
    if told.get("@timestamp") is None or told.get("@message") is None:
        return None
    return {
        "timestamp": told["@timestamp"],
        "message": told["@message"],
        "eventId": told.get("@ptr"),
        "logStreamName": told.get("@logStream"),
        "group": str(told.get("@log") or "").rpartition(":")[2],
    }


async def _finished(call: Call, key: str, deadline: Deadline) -> tuple[Answer, str]:
    """The last answer and its status; it still goes on where the time ran out.

    Raises:
        SourceError: the search failed.
    """
    kept_back, pause = deadline.left() * KEPT_BACK, FIRST_PAUSE
    while True:
        answer = await call("GetQueryResults", {"queryId": key})
        status = str(answer.object().get("status") or "Unknown")
        if status == "Complete":
            return answer, status
        if status not in _GOES_ON:
            # one that was cancelled or timed out may do better the next time, one that failed is wrong
            kind = PermanentSourceError if status == "Failed" else TransientSourceError
            raise kind(f"the search in Logs Insights ended as {status}")
        if deadline.left() - pause <= kept_back:
            return answer, status
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)


async def _stopped(call: Call, key: str) -> list[str]:
    try:
        await call("StopQuery", {"queryId": key})
    except SourceError as error:
        return [f"the search could not be stopped: {error}"]
    return []
