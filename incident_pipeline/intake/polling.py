"""Asking alert sources that no webhook brings: which of them are due, and where each goes on.

Belongs here: the turn of one round and its cursor, a text that whoever calls keeps between rounds. Storing the alerts
is the caller's, and comes before the new cursor is kept: after a crash in between the same alerts come again, and the
inbox knows them by their keys. Each source overlaps a little with its last round, so that nothing falls between two.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from incident_pipeline.config import Scenario
from incident_pipeline.connectors.base import AlertFeed, Polled
from incident_pipeline.connectors.registry import UnavailableSource, build_feeds
from incident_pipeline.errors import SourceError
from incident_pipeline.json_text import loads
from incident_pipeline.models import Alert
from incident_pipeline.moments import format_moment, parse_moment
from kb.redaction import redact

DEADLINE = timedelta(seconds=20)


@dataclass(frozen=True)
class Round:
    """What one round brought."""

    alerts: tuple[Alert, ...]
    cursor: str
    """To be kept once the alerts are stored."""
    asked: tuple[str, ...] = ()
    """The sources that were due."""
    problems: Mapping[str, str] | None = None
    """Source -> why it could not be asked, in a sentence; it is asked again when it is due."""


def poll(scenario: Scenario, cursor: str | None, now: datetime, transport: Any = None) -> Round:
    """One round over the configured sources that are due by their `poll_interval`.

    Args:
        scenario: the configuration.
        cursor: of the last round; None at the first.
        now: the clock.
        transport: replaces the network, for tests.
    """
    feeds = build_feeds(scenario, transport)
    places = _places(cursor)
    due = {name: feed for name, feed in feeds.items() if _is_due(places.get(name), scenario, name, now)}
    answers = asyncio.run(_ask_all(due, places, now))
    alerts: list[Alert] = []
    problems: dict[str, str] = {}
    for name, answer in answers.items():
        place = places.setdefault(name, {})
        place["at"] = format_moment(now)
        if isinstance(answer, Polled):
            place["cursor"] = answer.cursor
            alerts += answer.alerts
        else:
            problems[name] = answer
    kept = {name: places[name] for name in feeds if name in places}
    return Round(tuple(alerts), json.dumps(kept, sort_keys=True), tuple(due), problems)


async def _ask_all(
    due: Mapping[str, AlertFeed | UnavailableSource], places: Mapping[str, Mapping[str, str]], now: datetime
) -> dict[str, Polled | str]:
    answers = await asyncio.gather(*(_ask(feed, places.get(name, {}).get("cursor"), now) for name, feed in due.items()))
    return dict(zip(due, answers, strict=True))


async def _ask(feed: AlertFeed | UnavailableSource, cursor: str | None, now: datetime) -> Polled | str:
    if isinstance(feed, UnavailableSource):
        return feed.reason
    seconds = DEADLINE.total_seconds()
    try:
        async with asyncio.timeout(seconds):
            return await feed.poll(cursor or None, now, seconds * 0.85)
    except SourceError as error:
        return str(error)
    except TimeoutError:
        return f"it did not answer within {seconds:g} s"
    except Exception as error:  # noqa: BLE001  # whatever a connector does wrong costs its own alerts alone
        return f"the connector failed: {type(error).__name__}: {redact(' '.join(str(error).split()))[:200]}"
    finally:
        await feed.close()


def _is_due(place: Mapping[str, str] | None, scenario: Scenario, name: str, now: datetime) -> bool:
    if not place or "at" not in place:
        return True
    return parse_moment(place["at"]) + scenario.alerts.sources[name].poll_interval <= now


def _places(cursor: str | None) -> dict[str, dict[str, str]]:
    """Where each source goes on; a cursor that cannot be read begins anew."""
    try:
        found = loads(cursor or "{}")
        read = {
            str(name): {key: str(place[key]) for key in ("at", "cursor") if place.get(key)}
            for name, place in found.items()
        }
        for place in read.values():
            _ = [parse_moment(text) for text in place.values()]
    except (ValueError, AttributeError, TypeError):
        return {}
    return read
