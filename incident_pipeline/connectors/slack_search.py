"""What was said in Slack before about something like this: the words to look for, and what a hit says.

Belongs here: choosing words and rating messages, without Slack. The methods are in `slack.py`. A bot's token cannot
use Slack's own search (`search.messages` wants a person's), so the channel's history is read and rated here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from incident_pipeline.connectors.shapes import at
from incident_pipeline.connectors.slack_messages import plain_text
from incident_pipeline.models import Model, Utc
from incident_pipeline.moments import parse_moment

SHORTEST_WORD = 4
ENOUGH = 0.5
"""Share of the words that a message has to have."""
LONGEST_TEXT = 300

_WORD = re.compile(r"[a-z][a-z0-9_-]+")
_COMMON = frozenset(
    {"about", "after", "alert", "alerts", "been", "before", "error", "errors", "fail", "failed", "failing", "fails"}
    | {"firing", "from", "have", "high", "into", "more", "service", "that", "their", "there", "this", "were", "what"}
    | {"when", "where", "which", "with"}
)


class Discussion(Model):
    """A message that speaks of the same."""

    at: Utc
    text: str
    channel: str
    ts: str
    replies: int = 0
    score: float
    """Share of the words that are in it, from 0 to 1."""

    @property
    def sentence(self) -> str:
        """For people: when, how many replies, what."""
        replies = f", {self.replies} replies" if self.replies else ""
        return f"talked about before ({self.at:%Y-%m-%d}{replies}): {self.text}"


def words_of(text: str) -> frozenset[str]:
    """The words of a text that say what it is about."""
    return frozenset(word for word in _WORD.findall(text.lower()) if len(word) >= SHORTEST_WORD) - _COMMON


def discussions(messages: Iterable[Any], words: frozenset[str], channel: str, before: datetime) -> list[Discussion]:
    """The messages with enough of the words, the best first; our own and those of the incident itself left out."""
    found = []
    for message in messages:
        one = _rated(message, words, channel)
        if one is not None and one.at < before and one.score >= ENOUGH:
            found.append(one)
    return sorted(found, key=lambda one: (-one.score, -one.replies, -one.at.timestamp()))


def _rated(message: Any, words: frozenset[str], channel: str) -> Discussion | None:
    if not words or not isinstance(message, Mapping) or at(message, "metadata", "event_type") == "incident_pipeline":
        return None
    text, ts = plain_text(message), message.get("ts")
    try:
        moment = parse_moment(ts)
    except ValueError:
        return None
    replies = message.get("reply_count")
    return Discussion(
        at=moment,
        text=" ".join(text.split())[:LONGEST_TEXT],
        channel=channel,
        ts=str(ts),
        replies=replies if isinstance(replies, int) else 0,
        score=len(words & words_of(text)) / len(words),
    )
