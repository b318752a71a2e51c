"""Slack by its specification, its samples and its habits."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from pydantic import SecretStr

from incident_pipeline.config import AlertSource, Connection
from incident_pipeline.connectors import signatures
from incident_pipeline.connectors.slack import Posted, Slack, build
from incident_pipeline.connectors.slack_messages import alert_from_message, alerts_from_event, challenge, plain_text
from incident_pipeline.errors import ConfigurationError, InputError, PermanentSourceError, TransientSourceError
from incident_pipeline.models import AlertStatus, EvidenceKind, Severity
from tests.connectors.questions import AROUND, Recorder, fetch, question, settings_for
from tests.shared_data import shared_path

TS = f"{int(AROUND.timestamp())}.000100"


def source(recorder: Recorder, channel: str | None = "#incidents") -> Slack:
    keys = AlertSource(channel=channel)
    connection = Connection(token="xoxb-0123456789")  # noqa: S106
    return build(settings_for("slack", recorder.transport, keys=keys, connection=connection))


def slack(messages: list[Any], **others: Any) -> Recorder:
    answers = {
        "conversations.list": {
            "channels": [{"id": "C01", "name": "incidents"}],
            "response_metadata": {"next_cursor": ""},
        },
        "conversations.history": {"messages": messages},
        **others,
    }

    def answer(request: httpx.Request) -> Any:
        found = answers[request.url.path.removeprefix("/api/")]
        return found if isinstance(found, httpx.Response) else {"ok": True, **found}

    return Recorder(answer)


def forms(recorder: Recorder) -> list[dict[str, str]]:
    return [{k: v[0] for k, v in parse_qs(request.content.decode()).items()} for request in recorder.requests]


def test_messages_of_the_window_that_tell_of_something_wrong() -> None:
    messages = [
        {"ts": TS, "user": "U1", "text": ":rotating_light: P1 checkout is failing\nservice: payments env: prod"},
        {"ts": TS, "user": "U1", "text": "good morning everybody"},
        {"ts": TS, "user": "U1", "text": "errors again", "thread_ts": "1.000001"},
        {"ts": TS, "subtype": "channel_join", "text": "outage joined"},
        {"ts": TS, "text": "P1 our own update", "metadata": {"event_type": "incident_pipeline"}},
        {"ts": TS, "bot_id": "B1", "text": "", "attachments": [{"title": "[FIRING] High latency", "text": "p99 3 s"}]},
        {"ts": TS, "user": "U1", "text": "Resolved: it was DNS", "thread_ts": "1.000001"},
        {"user": "U1", "text": "outage without ts"},
    ]
    recorder = slack(messages)
    got = fetch(source(recorder), question(EvidenceKind.RELATED_ALERTS))
    first, second, third = got.rows
    assert (first.title, first.severity) == (":rotating_light: P1 checkout is failing", Severity.P1)
    assert (first.service, first.environment, first.source_id) == ("payments", "prod", f"C01:{TS}")
    assert first.started_at == AROUND + timedelta(microseconds=100)
    assert (second.title, second.summary, second.service) == ("[FIRING] High latency", "p99 3 s", None)
    assert (third.status, third.dedup_key) == (AlertStatus.RESOLVED, "C01:1.000001")
    assert "1 messages could not be read" in got.notes[0]
    listing, history, *_ = forms(recorder)
    assert listing["types"] == "public_channel,private_channel"
    assert (history["channel"], history["oldest"]) == ("C01", f"{int(AROUND.timestamp()) - 7200}.000000")
    assert recorder.requests[0].headers["authorization"] == "Bearer xoxb-0123456789"


def test_requests_use_what_the_specification_knows() -> None:
    spec = json.loads(shared_path("contracts/slack/web-api.trim.json").read_text())
    recorder = slack(
        [], **{"chat.postMessage": {"channel": "C01", "ts": "1.2"}, "chat.update": {}, "chat.getPermalink": {}}
    )
    one = source(recorder)
    fetch(one, question(EvidenceKind.RELATED_ALERTS))
    asyncio.run(one.post("C01", "text", blocks=[], thread_ts="1.1", key="k"))
    asyncio.run(one.update(Posted("C01", "1.2"), "text"))
    asyncio.run(one.permalink(Posted("C01", "1.2")))
    for request in recorder.requests:
        method = "/" + request.url.path.removeprefix("/api/")
        operation = next(iter(spec["paths"][method].values()))
        # metadata is younger than the published specification
        known = {parameter["name"] for parameter in operation.get("parameters", ())}
        known |= {"metadata", "include_all_metadata"}
        body = request.content.decode()
        sent = set(json.loads(body)) if body.startswith("{") else set(parse_qs(body))
        assert sent <= known, (method, sent - known)


def test_pages_are_followed_by_cursor() -> None:
    def answer(request: httpx.Request) -> Any:
        cursor = parse_qs(request.content.decode()).get("cursor", ["0"])[0]
        return {
            "ok": True,
            "messages": [{"ts": f"{int(AROUND.timestamp()) - int(cursor)}.000000", "text": f"outage {cursor}"}],
            "response_metadata": {"next_cursor": str(int(cursor) + 1) if int(cursor) < 2 else ""},
        }

    got = fetch(source(Recorder(answer), "C0123"), question(EvidenceKind.RELATED_ALERTS))
    assert [alert.title for alert in got.rows] == ["outage 0", "outage 1", "outage 2"]


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        ({"ok": False, "error": "not_in_channel"}, PermanentSourceError, "not_in_channel; invite the bot"),
        (
            {"ok": False, "error": "missing_scope", "needed": "channels:history"},
            PermanentSourceError,
            "scope channels:history",
        ),
        ({"ok": False, "error": "invalid_auth"}, PermanentSourceError, "check connections.slack.token"),
        ({"ok": False}, PermanentSourceError, "no reason given"),
        ({"ok": False, "error": "internal_error"}, TransientSourceError, "internal_error"),
        (httpx.Response(429, headers={"Retry-After": "3600"}), TransientSourceError, "429"),
    ],
)
def test_failures_with_status_200_are_failures(answer: Any, error: type[Exception], words: str) -> None:
    recorder = Recorder(lambda _: answer)
    with pytest.raises(error, match=words):
        fetch(source(recorder, "C0123"), question(EvidenceKind.RELATED_ALERTS, seconds=1))


def test_an_unknown_channel_and_no_channel_are_told() -> None:
    with pytest.raises(PermanentSourceError, match="no channel #nowhere that the bot sees"):
        fetch(source(slack([]), "#nowhere"), question(EvidenceKind.RELATED_ALERTS))
    with pytest.raises(PermanentSourceError, match=r"alerts.sources.slack.channel is not set"):
        fetch(source(slack([]), None), question(EvidenceKind.RELATED_ALERTS))
    with pytest.raises(ConfigurationError, match=r"connections.slack.token is not set"):
        build(settings_for("slack"))


def test_a_post_that_may_have_happened_is_not_repeated_but_found() -> None:
    recorder = Recorder(lambda _: httpx.Response(503))
    with pytest.raises(TransientSourceError):
        asyncio.run(source(recorder).post("C01", "text", key="INC-1:1"))
    assert len(recorder.requests) == 1
    sent = json.loads(recorder.requests[0].content)
    ours = {"ts": "5.000001", "metadata": sent["metadata"]}
    found = source(slack([{"ts": "6.000001"}, ours], **{"conversations.replies": {"messages": [ours]}}))
    assert asyncio.run(found.find("C01", "INC-1:1")) == Posted("C01", "5.000001")
    assert asyncio.run(found.find("C01", "INC-1:1", thread_ts="1.0")) == Posted("C01", "5.000001")
    assert asyncio.run(found.find("C01", "INC-2:1")) is None


def test_polling_overlaps_a_little() -> None:
    recorder = slack([{"ts": TS, "text": "outage"}])
    one = source(recorder)
    first = asyncio.run(one.poll(None, AROUND, 8))
    assert [alert.title for alert in first.alerts] == ["outage"]
    asyncio.run(one.poll(first.cursor, AROUND + timedelta(minutes=1), 8))
    oldest = [form["oldest"] for form in forms(recorder) if "oldest" in form]
    assert oldest == [f"{int(AROUND.timestamp()) - seconds}.000000" for seconds in (3600, 120)]


# --- events -------------------------------------------------------------------------------------


def test_the_message_of_a_recorded_shape_is_read_as_text() -> None:
    body = json.loads(shared_path("contracts/slack/samples/events/MessagePayload.json").read_text())
    assert alerts_from_event(body, received_at=AROUND) == []
    event = {
        **body["event"],
        "type": "message",
        "channel": "C01",
        "ts": TS,
        "text": "Outage: <https://x.example|the page> &amp; more",
    }
    event |= {"blocks": [], "attachments": [], "subtype": None, "thread_ts": None, "metadata": None}
    (alert,) = alerts_from_event({"event": event}, received_at=AROUND)
    assert alert.title == "Outage: the page & more"


def test_blocks_and_fields_are_part_of_the_text() -> None:
    message = {
        "text": "",
        "blocks": [
            {"text": {"text": "High error rate"}, "fields": [{"text": "*service:* `cart`"}]},
            None,
            {"text": "x"},
        ],
        "attachments": [{"fallback": "fallback", "fields": [{"title": "env", "value": "prod"}]}, 3],
    }
    assert plain_text(message) == "env: prod\nfallback\nHigh error rate\n*service:* `cart`"
    alert = alert_from_message({**message, "ts": TS}, "C01")
    assert alert is not None
    assert (alert.service, alert.environment) == ("cart", "prod")


def test_the_challenge_of_a_new_subscription() -> None:
    assert challenge({"type": "url_verification", "challenge": "abc"}) == "abc"
    assert challenge({"type": "event_callback"}) is None
    assert challenge([]) is None
    with pytest.raises(InputError, match="event: expected"):
        alerts_from_event({"type": "url_verification"})
    with pytest.raises(InputError, match=r"event.ts"):
        alerts_from_event({"event": {"type": "message", "channel": "C01", "text": "outage", "ts": "soon"}})
    assert alerts_from_event({"event": {"type": "reaction_added"}}) == []


def test_the_signature_vector() -> None:
    vector = json.loads(shared_path("contracts/slack/signature_vector.json").read_text())
    stamp = next(str(v) for k, v in vector.items() if "timestamp" in k.lower())
    signature = next(str(v) for k, v in vector.items() if str(v).startswith("v0="))
    secret = next(str(v) for k, v in vector.items() if "secret" in k.lower())
    body = next(str(v) for k, v in vector.items() if k == "body").encode()
    headers = {"x-slack-request-timestamp": stamp, "x-slack-signature": signature}
    now = float(stamp)
    assert signatures.slack(headers, body, [SecretStr(secret)], now)
    assert signatures.slack(headers, body, [SecretStr(secret)], now + 299)
    assert not signatures.slack(headers, body, [SecretStr(secret)], now + 301)
    assert not signatures.slack(headers, body + b"x", [SecretStr(secret)], now)
    assert not signatures.slack(headers, body, [SecretStr(" ")], now)
    assert not signatures.slack({**headers, "x-slack-request-timestamp": "9" * 30}, body, [SecretStr(secret)], now)


def test_what_was_said_before_about_the_same_is_found() -> None:
    before = AROUND - timedelta(days=3)
    ts = f"{before.timestamp():.6f}"
    said = [
        {"ts": ts, "text": "payments checkout: pool exhausted again, restarted it", "reply_count": 4},
        {"ts": ts, "text": "lunch at the payments desk"},
        {"ts": ts, "text": "payments pool exhausted", "metadata": {"event_type": "incident_pipeline"}},
        {"ts": None, "text": "payments pool exhausted"},
        None,
    ]
    recorder = slack(said)

    async def run() -> Any:
        one = source(recorder)
        try:
            return await one.search("payments PoolExhausted pool exhausted", AROUND, AROUND - timedelta(days=30))
        finally:
            await one.close()

    (found,) = asyncio.run(run())
    assert (found.at, found.replies) == (before, 4)
    assert "2026-11-20, 4 replies" in found.sentence
