"""Slack: what is said in the incidents' channel, as alerts; messages that are posted and kept up to date.

Methods (https://api.slack.com/methods): conversations.list, .history (newest first, without replies), .replies,
chat.postMessage, .postEphemeral, .update, .getPermalink, apps.connections.open. Scopes: channels:read,
channels:history (groups:* for private channels), chat:write; the bot has to be in the channel.
Failures are HTTP 200 with `ok: false`; 429 alone is a status, with Retry-After. A message's `ts` is a text and an
identity, never a number. Posting has no protection against doing it twice: a message carries a key in its metadata, by
which `find` sees whether a post that timed out has happened.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from incident_pipeline.connectors.answers import Dialect, Rate, RateLimitedError
from incident_pipeline.connectors.base import Polled, Question, SourceSettings
from incident_pipeline.connectors.deadline import Deadline
from incident_pipeline.connectors.http import HttpClient, bearer
from incident_pipeline.connectors.paging import Collected, collect, mapped, moved
from incident_pipeline.connectors.shapes import at, items
from incident_pipeline.connectors.slack_messages import MARK, alert_from_message
from incident_pipeline.connectors.slack_search import Discussion, discussions, words_of
from incident_pipeline.errors import PermanentSourceError, SourceError, TransientSourceError
from incident_pipeline.evidence.envelopes import answered
from incident_pipeline.models import Alert, Envelope, EvidenceKind
from incident_pipeline.moments import parse_moment

URL = "https://slack.com/api"
PAGE = 200
RATE = Rate(50, 60)
"""Of its tier 3, which reading a channel's history is of."""
OVERLAP = timedelta(minutes=2)
FIRST_POLL = timedelta(hours=1)
MOST_SEARCHED = 5_000
"""Messages among which one of ours is looked for, from when it may have been posted."""
MOST_POLLED = 10_000
MOST_READ = 1_000
"""Messages among which earlier talk is looked for: five requests of the fifty a minute that Slack allows."""
TALKED_BEFORE = timedelta(days=30)

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_PASSES = {"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"}
_ADVICE = {
    "not_in_channel": "invite the bot to the channel",
    "channel_not_found": "check the channel's name, and invite the bot if it is private",
    "invalid_auth": "check connections.slack.token",
    "not_allowed_token_type": "Socket Mode takes the app's own token (xapp-...) in connections.slack.app_token",
    "not_authed": "set connections.slack.token",
    "token_revoked": "renew connections.slack.token",
    "token_expired": "renew connections.slack.token",
    "account_inactive": "renew connections.slack.token",
}


class Posted(NamedTuple):
    """Where a message is."""

    channel: str
    ts: str


class SlackRefusedError(PermanentSourceError):
    """Slack's `ok: false`, with its word for the reason."""

    def __init__(self, message: str, error: str) -> None:
        super().__init__(message)
        self.error = error


class Slack:
    """One Slack workspace, as its bot sees it."""

    def __init__(self, client: HttpClient, channel: str | None, name: str = "slack") -> None:
        self.name = name
        self.kinds = frozenset({EvidenceKind.RELATED_ALERTS})
        self._client = client
        self._channel = channel
        self._ids: dict[str, str] = {}

    async def fetch(self, question: Question) -> Envelope[Any]:
        """Messages of the window that tell of something wrong.

        Raises:
            SourceError: it did not answer.
        """
        deadline = Deadline(question.seconds)
        if self._channel:
            await self.channel_id(self._channel, deadline)
        found, before = await asyncio.gather(
            self._alerts(question.window.start, question.window.end, question.limit, deadline),
            self._talked_before(question, deadline),
        )
        found.notes += before
        about = {"window": question.window, "query": f"messages in {self._channel}", **found.about()}
        return answered(question.kind, self.name, found.rows, **about)

    async def search(
        self, text: str, before: datetime, since: datetime, limit: int = 5, seconds: float = 8.0
    ) -> list[Discussion]:
        """What was said in the channel about something like this, the best first.

        Raises:
            SourceError: it did not answer.
        """
        words, deadline = words_of(text), Deadline(seconds)
        if not words or not self._channel:
            return []
        place = await self.channel_id(self._channel, deadline)
        form = {"channel": place, "oldest": _ts(since), "latest": _ts(before), "limit": PAGE}
        found = await collect(self._pages("conversations.history", form, deadline), deadline, MOST_READ)
        return discussions(found.rows, words, place, before)[:limit]

    async def _talked_before(self, question: Question, deadline: Deadline) -> list[str]:
        about = question.alert_labels.get("alertname", "").replace("-", " ")
        text = " ".join((*question.services[:1], _CAMEL.sub(" ", about)))
        start = question.window.start
        try:
            found = await self.search(text, start, start - TALKED_BEFORE, 3, deadline.left() / 2)
        except SourceError as error:
            return [f"earlier discussions were not read: {error}"]
        return [one.sentence for one in found]

    async def poll(self, cursor: str | None, now: datetime, seconds: float) -> Polled:
        """Messages since the cursor that tell of something wrong; the last hour's at first.

        Raises:
            SourceError: it did not answer.
        """
        since = parse_moment(cursor) - OVERLAP if cursor else now - FIRST_POLL
        found = await self._alerts(since, now, MOST_POLLED, Deadline(seconds))
        # told from the newest on: ten thousand messages are no outage but a flood, and reading them again helps nobody
        found.truncated = False
        return Polled(alerts=tuple(found.rows), cursor=moved(cursor, found, now), notes=tuple(found.notes))

    async def post(
        self,
        channel: str,
        text: str,
        *,
        blocks: list[Any] | None = None,
        thread_ts: str | None = None,
        key: str | None = None,
        seconds: float = 8.0,
    ) -> Posted:
        """Post a message, once: a post that may have happened is not repeated; ask `find` first.

        Raises:
            SourceError: it was refused, or nobody knows whether it happened.
        """
        deadline = Deadline(seconds)
        body: dict[str, Any] = {
            "channel": await self.channel_id(channel, deadline),
            "text": text,
            "unfurl_links": False,
        }
        body |= {"blocks": blocks} if blocks else {}
        body |= {"thread_ts": thread_ts} if thread_ts else {}
        body |= {"metadata": {"event_type": MARK, "event_payload": {"key": key}}} if key else {}
        answer = await self._call("chat.postMessage", body, deadline, json=True)
        return Posted(str(answer.get("channel")), str(answer.get("ts")))

    async def update(self, posted: Posted, text: str, blocks: list[Any] | None = None, seconds: float = 8.0) -> None:
        """Replace what a message says; doing it twice does no harm.

        Raises:
            SourceError: it was refused.
        """
        body = {"channel": posted.channel, "ts": posted.ts, "text": text, **({"blocks": blocks} if blocks else {})}
        await self._call("chat.update", body, Deadline(seconds), json=True, retry=True)

    async def find(
        self,
        channel: str,
        key: str,
        thread_ts: str | None = None,
        *,
        since: datetime | None = None,
        seconds: float = 8.0,
    ) -> Posted | None:
        """Our message with this key, in a thread or in the channel; None where there is none.

        Args:
            channel: its name or id.
            key: what it was posted with.
            thread_ts: of the message in whose thread it would be.
            since: when it cannot have been posted before; None: among the newest messages.
            seconds: how long it may take.

        Raises:
            SourceError: it did not answer.
        """
        deadline = Deadline(seconds)
        place = await self.channel_id(channel, deadline)
        method = "conversations.replies" if thread_ts else "conversations.history"
        form = {
            "channel": place,
            "limit": PAGE,
            "include_all_metadata": "true",
            **({"ts": thread_ts} if thread_ts else {}),
            **({"oldest": _ts(since - OVERLAP)} if since else {}),
        }
        found = await collect(self._pages(method, form, deadline), deadline, MOST_SEARCHED if since else PAGE)
        for message in found.rows:
            if at(message, "metadata", "event_payload", "key") == key:
                return Posted(place, str(at(message, "ts")))
        if since and (found.partial or found.truncated):
            raise TransientSourceError(f"slack has more messages in {channel} than could be looked through")
        return None

    async def whisper(self, channel: str, user: str, text: str, seconds: float = 4.0) -> None:
        """Say something that one person alone sees; it is gone when they look away.

        Raises:
            SourceError: it was refused, or nobody knows whether it was shown.
        """
        body = {"channel": channel, "user": user, "text": text}
        await self._call("chat.postEphemeral", body, Deadline(seconds), json=True)

    async def permalink(self, posted: Posted, seconds: float = 8.0) -> str:
        """The address of a message.

        Raises:
            SourceError: it did not answer.
        """
        form = {"channel": posted.channel, "message_ts": posted.ts}
        return str((await self._call("chat.getPermalink", form, Deadline(seconds))).get("permalink"))

    async def socket_address(self, deadline: Deadline) -> str:
        """Where Socket Mode is to be connected to, once; for a client with the app's own token.

        Raises:
            SourceError: it was refused, or Slack did not answer.
        """
        return str((await self._call("apps.connections.open", {}, deadline)).get("url"))

    async def channel_id(self, channel: str, deadline: Deadline) -> str:
        """The id of a channel that is named `#incidents`, `incidents` or by its id.

        Raises:
            SourceError: there is none of that name, or it did not answer.
        """
        name = channel.removeprefix("#")
        if not channel.startswith("#") and name[:1] in "CGD" and name.isalnum() and name.isupper():
            return name
        if name not in self._ids:
            try:
                await self._list_channels("public_channel,private_channel", deadline)
            except SlackRefusedError as error:
                if error.error != "missing_scope":
                    raise
                await self._list_channels("public_channel", deadline)
        if name not in self._ids:
            raise PermanentSourceError(
                f"slack has no channel #{name} that the bot sees; invite the bot if it is private"
            )
        return self._ids[name]

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.close()

    async def _list_channels(self, types: str, deadline: Deadline) -> None:
        form = {"limit": 1000, "exclude_archived": "true", "types": types}
        found = await collect(self._pages("conversations.list", form, deadline, "channels"), deadline, 20_000)
        self._ids |= {str(at(one, "name")): str(at(one, "id")) for one in found.rows}

    async def _alerts(self, start: datetime, end: datetime, limit: int, deadline: Deadline) -> Collected[Alert]:
        if not self._channel:
            raise PermanentSourceError("alerts.sources.slack.channel is not set; write which channel to read")
        place = await self.channel_id(self._channel, deadline)
        # without its metadata a message of ours could not be told from somebody else's
        form = {
            "channel": place,
            "oldest": _ts(start),
            "latest": _ts(end),
            "limit": PAGE,
            "include_all_metadata": "true",
        }
        found = await collect(self._pages("conversations.history", form, deadline), deadline, limit)
        return mapped(found, lambda message: alert_from_message(message, place), "messages")

    async def _pages(
        self, method: str, form: Mapping[str, Any], deadline: Deadline, name: str = "messages"
    ) -> AsyncIterator[list[Any]]:
        cursor = ""
        while True:
            body = await self._call(method, {**form, **({"cursor": cursor} if cursor else {})}, deadline)
            yield items(body.get(name))
            after = at(body, "response_metadata", "next_cursor")
            if not isinstance(after, str) or after in ("", cursor):
                return
            cursor = after

    async def _call(
        self, method: str, body: Mapping[str, Any], deadline: Deadline, *, json: bool = False, retry: bool | None = None
    ) -> dict[str, Any]:
        retry = not json if retry is None else retry
        sent: dict[str, Any] = {"json": dict(body)} if json else {"form": body}
        answer = await self._client.request("POST", method, deadline=deadline, retry=retry, **sent)
        content = answer.object()
        if content.get("ok") is True:
            return content
        error = str(content.get("error") or "no reason given")[:100]
        if error in _PASSES:
            raise RateLimitedError(f"slack refused {method}: {error}")
        needed = f"needs the scope {content['needed']}" if content.get("needed") else ""
        advice = _ADVICE.get(error) or needed
        raise SlackRefusedError(f"slack refused {method}: {error}" + (f"; {advice}" if advice else ""), error)


def build(settings: SourceSettings) -> Slack:
    """Slack, with the bot's token of `connections.slack` or `alerts.sources.slack`.

    Raises:
        ConfigurationError: the token is missing.
    """
    client = HttpClient(
        settings.name,
        settings.url(URL),
        settings.connection,
        headers=bearer(settings.secret()),
        dialect=Dialect(rate=RATE),
        transport=settings.transport,
    )
    return Slack(client, settings.keys.channel, settings.name)


def _ts(moment: datetime) -> str:
    return f"{int(moment.timestamp())}.{moment.microsecond:06d}"
