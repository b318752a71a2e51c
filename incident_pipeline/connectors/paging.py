"""Reading page after page, to the end, to a cap or to the deadline, and saying which it was.

Belongs here: what is the same for every vendor that pages. How the next page is found is the vendor's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from incident_pipeline.connectors.deadline import Deadline
from incident_pipeline.errors import SourceError, TransientSourceError
from incident_pipeline.moments import format_moment, parse_moment

MAX_PAGES = 50
GRACE_SECONDS = 0.5
"""How much longer than an answer a remark on it may take."""
_SHOWN = 3

Row = TypeVar("Row")
Answer = TypeVar("Answer")


@dataclass
class Collected(Generic[Row]):
    """What came of all pages."""

    rows: list[Row] = field(default_factory=list)
    truncated: bool = False
    """There was more than the cap."""
    partial: bool = False
    """The deadline or a failure came before the end."""
    notes: list[str] = field(default_factory=list)

    def about(self) -> dict[str, Any]:
        """As the fields of an envelope."""
        return {"truncated": self.truncated, "partial": self.partial, "notes": tuple(dict.fromkeys(self.notes))}

    def add(self, other: Collected[Row]) -> None:
        """Take what came of other pages."""
        self.rows += other.rows
        self.truncated = self.truncated or other.truncated
        self.partial = self.partial or other.partial
        self.notes += other.notes


async def collect(pages: AsyncIterator[Sequence[Any]], deadline: Deadline, limit: int) -> Collected[Any]:
    """The items of all pages, at most `limit`.

    A failure of the first page is raised; a later one that would pass ends the reading with what there is.

    Raises:
        SourceError: the first page could not be had, or a later one was refused.
    """
    found: Collected[Any] = Collected()
    count = 0
    try:
        async for page in pages:
            count += 1
            found.rows += page
            if len(found.rows) > limit:
                found.rows, found.truncated = found.rows[:limit], True
                break
            if count >= MAX_PAGES:
                found.truncated = True
                found.notes.append(f"reading stopped after {MAX_PAGES} pages")
                break
            if deadline.passed:
                found.partial = True
                found.notes.append("the deadline came before the last page")
                break
    except TransientSourceError as error:
        if count == 0:
            raise
        found.partial = True
        found.notes.append(f"not all pages could be read: {error}")
    return found


async def together(parts: Mapping[str, Awaitable[Collected[Row]]]) -> Collected[Row]:
    """What comes of several questions asked at once; one that fails costs itself alone and is told by its name.

    Raises:
        SourceError: all of them failed.
    """
    answers = await asyncio.gather(*parts.values(), return_exceptions=True)
    found: Collected[Row] = Collected()
    failed: list[SourceError] = []
    for name, answer in zip(parts, answers, strict=True):
        if isinstance(answer, Collected):
            found.add(answer)
        elif isinstance(answer, SourceError):
            failed.append(answer)
            found.partial = True
            found.notes.append(f"{name}: {answer}")
        else:
            raise answer
    if failed and len(failed) == len(answers):
        raise failed[0]
    return found


async def with_remarks(
    answer: Awaitable[Answer], remarks: Awaitable[list[str]], grace: float = GRACE_SECONDS
) -> tuple[Answer, list[str]]:
    """An answer, and remarks on it that are welcome but not worth waiting for.

    Both are asked for at once; the remarks have `grace` seconds more than the answer takes, then there are none.
    """
    remarking = asyncio.ensure_future(remarks)
    try:
        found = await answer
        await asyncio.wait([remarking], timeout=grace)
        return found, remarking.result() if remarking.done() else []
    finally:
        remarking.cancel()
        await asyncio.gather(remarking, return_exceptions=True)


async def bounded(questions: Iterable[Awaitable[Row]], at_once: int) -> list[Row]:
    """All answers in the order of the questions, with at most so many under way at the same time."""
    gate = asyncio.Semaphore(at_once)

    async def ask(question: Awaitable[Row]) -> Row:
        async with gate:
            return await question

    return list(await asyncio.gather(*(ask(question) for question in questions)))


def mapped(found: Collected[Any], read: Callable[[Any], Row | None], what: str) -> Collected[Row]:
    """The rows that the items read as; None leaves an item out, one that cannot be read is counted and skipped."""
    rows: list[Row] = []
    problems: list[str] = []
    for item in found.rows:
        try:
            row = read(item)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            problems.append(f"{type(error).__name__}: {' '.join(str(error).split())[:80]}")
            continue
        if row is not None:
            rows.append(row)
    notes = list(found.notes)
    if problems:
        shown = "; ".join(list(dict.fromkeys(problems))[:_SHOWN])
        notes.append(f"{len(problems)} {what} could not be read and were skipped ({shown})")
    return Collected(rows, found.truncated, found.partial, notes)


def moved(cursor: str | None, found: Collected[Any], now: datetime, reached: datetime | None = None) -> str:
    """The cursor after a poll: it moves only over what was read, so that nothing is missed.

    Args:
        cursor: of the last poll; None at the first.
        found: what was read.
        now: the clock at this poll.
        reached: how far the reading came where it goes from old to new; None where it does not.

    Returns:
        The new cursor; empty where the first poll has to be done again.
    """
    if not (found.partial or found.truncated):
        return format_moment(now)
    if reached is not None and (cursor is None or reached > parse_moment(cursor)):
        return format_moment(min(reached, now))
    return cursor or ""


def newest(moments: Iterable[Any]) -> datetime | None:
    """The latest of the moments that can be read."""
    read = []
    for moment in moments:
        with suppress(ValueError):
            read.append(parse_moment(moment))
    return max(read, default=None)


def unique(rows: Iterable[Row], key: Callable[[Row], Any]) -> list[Row]:
    """The rows without those whose key came before."""
    kept: dict[Any, Row] = {}
    for row in rows:
        kept.setdefault(key(row), row)
    return list(kept.values())
