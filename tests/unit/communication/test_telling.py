"""Who hears what, once, whatever dies when."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from incident_pipeline.communication.telling import report_failed_run, tell
from incident_pipeline.connectors.slack_messages import alert_from_message
from incident_pipeline.models import ActionCall, ActionType, CausedBy, Remediation, RemediationAction, Risk
from incident_pipeline.remediation.approvals import Choice, decide
from incident_pipeline.remediation.records import Planned, action_hash
from incident_pipeline.storage.inbox.executions import Rehearsal
from tests.unit import scenes
from tests.unit.communication.newsroom import Newsroom


class KilledError(BaseException):
    """The process is gone: nothing catches it."""


def rollback() -> RemediationAction:
    return RemediationAction(
        action_id="rollback-1",
        type=ActionType.ROLLBACK,
        title="Rollback to v2.3.4",
        target="payments",
        command="kubectl rollout undo deployment/payments",
        risk=Risk.MEDIUM,
    )


def test_a_header_that_lives_and_a_reply_with_the_update(tmp_path: Path) -> None:
    room = Newsroom(tmp_path)
    assert room.speak() == 0
    room.diagnosed(text="### Summary\nPayments fail")
    assert room.speak() == 2
    assert "Payment Processing Errors" in room.header["text"]
    assert room.header["channel"] == "C01"
    (update,) = room.replies
    assert update["text"] == "Summary\nPayments fail"
    assert update["blocks"][0]["elements"][0]["elements"][0] == {
        "type": "text",
        "text": "Summary",
        "style": {"bold": True},
    }
    incident = room.inbox.incident(room.incident_id)
    assert (incident.slack_channel, incident.slack_thread_ts) == ("C01", room.header["ts"])
    assert room.speak() == 0


def test_a_run_that_comes_to_the_same_is_no_news(tmp_path: Path) -> None:
    room = Newsroom(tmp_path)
    room.diagnosed()
    room.speak()
    calls = len(room.slack.calls)
    for confidence in (0.75, 0.80, 0.84):
        room.diagnosed(scenes.diagnosis(scenes.hypothesis(confidence=confidence, description="in other words")))
        room.speak()
    assert len(room.replies) == 1
    assert [call for call in room.slack.calls[calls:] if call != "chat.update"] == []


def test_what_matters_is_told_in_the_thread_and_the_header_follows(tmp_path: Path) -> None:
    room = Newsroom(tmp_path)
    room.diagnosed()
    room.speak()
    room.diagnosed(scenes.diagnosis(scenes.hypothesis(confidence=0.85)), text="surer")
    room.speak()
    assert "confidence is now 85%, was 75%" in room.replies[-1]["text"]
    assert "surer" in room.replies[-1]["text"]
    flag = scenes.hypothesis(description="A flag was turned", caused_by=CausedBy(kind="flag", id="new_checkout"))
    room.diagnosed(scenes.diagnosis(flag))
    room.speak()
    assert "likeliest cause is now: A flag was turned" in room.replies[-1]["text"]
    assert "A flag was turned" in room.header["text"]
    room.diagnosed(scenes.diagnosis(flag), Remediation(actions=(rollback(),)), text="not repeated")
    room.speak()
    assert any(block.get("block_id") == "action:rollback-1" for block in room.header["blocks"])
    decide(room.application, room.incident_id, "rollback-1", Choice.APPROVED, by="dana", via="cli", now=room.now)
    room.speak()
    assert room.replies[-1]["text"] == "• Rollback to v2.3.4: approved (dana)"
    assert "Rollback to v2.3.4: approved (dana)" in room.header["text"]
    assert not any(block.get("block_id") == "action:rollback-1" for block in room.header["blocks"])
    room.inbox.acknowledge(room.incident_id, "jo", room.now)
    room.speak()
    assert "Acknowledged by jo" in room.header["text"]
    room.inbox.resolve(room.incident_id, "jo", room.now)
    room.speak()
    assert "status is now resolved, was investigating (jo)" in room.replies[-1]["text"]
    assert "Resolved by jo" in room.header["text"]
    assert len(room.slack.headers) == 1
    # what is left to press are the questions for afterwards
    assert [block["block_id"] for block in room.header["blocks"] if block["type"] == "actions"] == ["asked"]


def test_what_a_dry_run_said_stands_above_the_button(tmp_path: Path) -> None:
    room = Newsroom(tmp_path)
    action = rollback().model_copy(update={"call": ActionCall(executor="kubectl", operation="rollback")})
    room.diagnosed(plan=Remediation(actions=(action,)))
    room.speak()
    calls = len(room.slack.calls)
    said = Rehearsal(Planned(), "deployment.apps/payments <!channel> `rolled back` (server dry run)", True)
    room.inbox.record_rehearsal(room.incident_id, action.action_id, action_hash(action), said, room.now)
    room.speak()
    (shown,) = [text for text in texts_of(room.header["blocks"]) if "server dry run" in text]
    assert "`rolled back`" in shown
    assert [call for call in room.slack.calls[calls:] if call.startswith("chat.")] == ["chat.update"]
    assert len(room.replies) == 1


def texts_of(value: Any) -> list[str]:
    """Every text in blocks, however deep."""
    if isinstance(value, dict):
        return ([value["text"]] if isinstance(value.get("text"), str) else []) + texts_of(list(value.values()))
    return [text for item in value for text in texts_of(item)] if isinstance(value, list) else []


def test_shadow_stores_what_would_be_said_and_says_nothing(tmp_path: Path) -> None:
    room = Newsroom(tmp_path, remediation={"shadow": True})
    room.diagnosed()
    assert room.speak() == 0
    assert room.slack.calls == []
    assert {message.state for message in room.inbox.messages(room.incident_id)} == {"withheld"}
    assert "Payment Processing Errors" in room.inbox.messages()[0].content["text"]


def test_shadow_may_speak_in_a_test_channel(tmp_path: Path) -> None:
    room = Newsroom(tmp_path, remediation={"shadow": True}, communication={"test_channel": "#trial"})
    room.diagnosed()
    room.speak()
    assert {message["channel"] for message in room.slack.messages} == {"C02"}


def test_nobody_to_tell_reads_nothing(tmp_path: Path) -> None:
    room = Newsroom(tmp_path, communication={"slack_channel": None})
    room.diagnosed()
    assert room.speak() == 0
    assert room.inbox.messages() == []


def test_a_post_that_timed_out_after_it_arrived_is_found_again(tmp_path: Path) -> None:
    room = Newsroom(tmp_path)
    lost: list[str] = []

    def lose(method: str, body: dict[str, Any]) -> None:
        if method == "chat.postMessage" and not lost:
            lost.append(body["text"])
            raise httpx.ReadTimeout("lost")

    room.slack.after = lose
    room.diagnosed()
    assert room.speak() == 0
    assert room.speak(5) == 2
    assert len(room.slack.headers) == 1
    assert len(room.replies) == 1
    assert room.slack.calls.count("conversations.history") == 1


def test_a_refusal_for_going_too_fast_waits_as_long_as_slack_says(tmp_path: Path) -> None:
    room = Newsroom(tmp_path)
    room.slack.before = lambda method, _body: (
        httpx.Response(429, headers={"Retry-After": "30"}) if method == "chat.postMessage" else None
    )
    room.diagnosed()
    assert room.speak() == 0
    room.slack.before = lambda _method, _body: None
    assert room.speak(20) == 0
    assert room.speak(20) == 2
    # it was refused, so nobody needs to look whether it arrived
    assert "conversations.history" not in room.slack.calls


def test_blocks_that_slack_refuses_go_as_text(tmp_path: Path) -> None:
    room = Newsroom(tmp_path)
    refused = httpx.Response(200, json={"ok": False, "error": "invalid_blocks"})
    room.slack.before = lambda _method, body: refused if body.get("blocks") else None
    room.diagnosed()
    assert room.speak() == 2
    assert "Payment Processing Errors" in room.header["text"]


def test_a_header_that_somebody_deleted_is_posted_again(tmp_path: Path) -> None:
    room = Newsroom(tmp_path)
    room.diagnosed()
    room.speak()
    room.slack.messages.clear()
    room.inbox.acknowledge(room.incident_id, "jo", room.now)
    room.speak()
    assert "Acknowledged by jo" in room.header["text"]


def test_without_an_invitation_it_says_why_and_tries_again(tmp_path: Path) -> None:
    room = Newsroom(tmp_path)
    refused = httpx.Response(200, json={"ok": False, "error": "not_in_channel"})
    room.slack.before = lambda method, _body: refused if method == "chat.postMessage" else None
    room.diagnosed()
    assert room.speak() == 0
    assert "invite the bot" in (room.inbox.messages()[0].error or "")
    assert [event.kind for event in room.inbox.events(room.incident_id)][-1] == "message_failed"
    room.slack.before = lambda _method, _body: None
    assert room.speak(60) == 0
    assert room.speak(600) == 2


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_process_that_dies_while_it_posts(tmp_path: Path, moment: str) -> None:
    room = Newsroom(tmp_path)

    def die(method: str, _body: dict[str, Any]) -> None:
        if method == "chat.postMessage":
            raise KilledError

    setattr(room.slack, moment, die)
    room.diagnosed()
    with pytest.raises(KilledError):
        room.speak()
    setattr(room.slack, moment, lambda _method, _body: None)
    room.delivery = room.new_delivery()
    assert room.speak() == 0  # its lease still holds
    assert room.speak(90) == 2
    assert len(room.slack.headers) == 1
    assert len(room.replies) == 1


def test_killed_at_random_moments_every_message_is_there_once(tmp_path: Path, rng: random.Random) -> None:
    room = Newsroom(tmp_path)

    def sometimes(_method: str, _body: dict[str, Any]) -> None:
        if rng.random() < 0.3:
            raise rng.choice([KilledError, httpx.ReadTimeout("lost"), httpx.ConnectError("down")])

    room.slack.before = sometimes  # type: ignore[assignment]
    room.slack.after = sometimes
    for step in range(7):
        confidence = 0.5 if step % 2 else 0.8
        room.diagnosed(scenes.diagnosis(scenes.hypothesis(confidence=confidence)), text=f"update {step}")
        try:
            room.speak(rng.choice([1, 5, 100]))
        except KilledError:
            room.delivery = room.new_delivery()
    room.slack.before = lambda _method, _body: None
    room.slack.after = lambda _method, _body: None
    for _ in range(6):
        room.speak(400)
    assert len(room.slack.headers) == 1
    steps = [int(reply["text"].rpartition(" ")[2]) for reply in room.replies]
    assert steps == sorted(set(steps))
    assert steps[-1] == 6
    assert {message.state for message in room.inbox.messages()} == {"sent"}


def test_two_who_speak_at_once_say_it_once(tmp_path: Path) -> None:
    room = Newsroom(tmp_path)
    room.diagnosed()
    other = room.new_delivery()
    tell(room.application, room.now)
    tell(room.application, room.now)
    first = room.inbox.take(room.now, timedelta(seconds=60))
    assert first is not None
    assert other.deliver() == 0  # the reply waits for its header
    assert room.inbox.sent(first, {"channel": "C01", "ts": "1"}, room.now)
    assert not room.inbox.sent(first, {"channel": "C01", "ts": "2"}, room.now)
    assert other.deliver() == 1


def test_the_responder_says_that_it_failed(tmp_path: Path) -> None:
    room = Newsroom(tmp_path)
    report_failed_run(room.application, room.incident_id, "1", "boom <!here>", room.now)
    report_failed_run(room.application, room.incident_id, "2", "boom again", room.now)
    report_failed_run(room.application, "not-an-incident", "1", "x", room.now)
    assert room.speak() == 1
    assert "itself failed" in room.header["text"]
    assert "Attempt 2: boom again" in room.header["text"]


def test_secrets_are_not_stored_and_not_sent(tmp_path: Path) -> None:
    room = Newsroom(tmp_path)
    room.diagnosed(text="password=hunter2-hunter2 of jane@example.com")
    room.speak()
    everything = json.dumps(room.slack.messages) + (tmp_path / "inbox.sqlite").read_bytes().decode("latin-1")
    assert "hunter2" not in everything
    assert "jane@example.com" not in everything


def test_what_is_said_of_an_incident_never_becomes_another_one(tmp_path: Path) -> None:
    room = Newsroom(tmp_path)
    room.diagnosed(text="### Summary\nP1 outage, errors in service: payments")
    room.speak()
    room.inbox.resolve(room.incident_id, "jo", room.now)
    room.speak()
    report_failed_run(room.application, room.incident_id, "1", "P1 outage", room.now)
    room.speak()
    assert len(room.slack.messages) >= 4
    for message in room.slack.messages:
        # as Slack hands it out where metadata was not asked for, and where blocks were not taken
        for left_out in ("metadata", "blocks"):
            seen = {name: value for name, value in message.items() if name != left_out} | {"ts": "1773757000.000100"}
            assert alert_from_message(seen, "C01") is None, message["text"]
    foreign = {"text": room.slack.messages[0]["text"], "ts": "1773757000.000100"}
    assert alert_from_message(foreign, "C01") is not None
