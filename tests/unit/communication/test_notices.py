"""Who outside the team hears what: by severity, service and hour; by mail, webhook and Slack."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import Message
from email.policy import default
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiosmtpd.controller import Controller

from incident_pipeline.communication.delivery import Delivery
from incident_pipeline.communication.media import build_medium
from incident_pipeline.config import Connection, QuietHours, RemediationSettings
from incident_pipeline.connectors.smtp import build
from incident_pipeline.errors import ConfigurationError, PermanentSourceError, TransientSourceError
from incident_pipeline.hours import end_of_span
from incident_pipeline.models import IncidentStatus, Severity
from tests.connectors.questions import Recorder, settings_for
from tests.integration.peers import free_port
from tests.unit import scenes
from tests.unit.communication.newsroom import Newsroom

SENDER = {"options": {"from": "Incidents <incidents@example.com>"}}


class Mailbox:
    """Keeps what a mail server is given; refuses with a code where one is set."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], Message]] = []
        self.answer = "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - the library's name
        if self.answer.startswith("250"):
            self.mails.append((envelope.rcpt_tos, message_from_bytes(envelope.content, policy=default)))
        return self.answer


@contextmanager
def mail_server() -> Iterator[tuple[str, Mailbox]]:
    mailbox, port = Mailbox(), free_port()
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield f"smtp://127.0.0.1:{port}", mailbox
    finally:
        controller.stop()


def settings(**who: Any) -> dict[str, Any]:
    return {"stakeholder_notify": True, "stakeholders": [{"name": "support", **who}]}


def test_a_mail_in_text_and_html_once_for_what_concerns_them(tmp_path: Path) -> None:
    with mail_server() as (url, mailbox):
        room = Newsroom(
            tmp_path,
            communication={"slack_channel": None, **settings(emails=["a@example.com", "b@example.com"])},
            connections={"smtp": {"url": url, **SENDER}},
        )
        room.diagnosed()
        assert room.speak() == 1
        room.diagnosed(scenes.diagnosis(scenes.hypothesis(confidence=0.2)))
        assert room.speak() == 0  # of causes and confidence they hear nothing
        room.inbox.resolve(room.incident_id, "jo", room.now)
        assert room.speak() == 1
    (to, first), (_, second) = mailbox.mails
    assert to == ["a@example.com", "b@example.com"]
    assert first["Subject"] == "[P1] Payment Processing Errors: investigating"
    assert second["Subject"].endswith(": resolved")
    assert first["References"] == second["References"]
    assert first["Message-ID"] != second["Message-ID"]
    text, html = first.get_payload()
    assert "Some requests are failing or slow." in text.get_content()
    assert "<strong>Since</strong>" in html.get_content()
    stored = (tmp_path / "inbox.sqlite").read_bytes() + (tmp_path / "inbox.sqlite-wal").read_bytes()
    assert b"a@example.com" not in stored


def test_a_title_that_would_be_a_header_or_a_tag_is_text(tmp_path: Path) -> None:
    with mail_server() as (url, mailbox):
        room = Newsroom(
            tmp_path,
            communication={"slack_channel": None, **settings(emails=["a@example.com"], severities=["P2"])},
            connections={"smtp": {"url": url, **SENDER}},
        )
        hostile = scenes.alert(
            source_id="Q2",
            dedup_key="other",
            service="search",
            severity=Severity.P2,
            title="x\r\nBcc: c@example.org <img src=x onerror=alert(1)> [a](javascript:b)",
        )
        room.inbox.accept([hostile], room.now)
        room.inbox.group(room.now, room.scenario.alerts, ())
        room.incident_id = next(r.incident_id for r in room.inbox.incidents() if r.severity is Severity.P2)
        room.diagnosed()
        assert room.speak() == 1
    ((to, mail),) = mailbox.mails
    assert to == ["a@example.com"]
    assert mail["Bcc"] is None
    html = mail.get_payload()[1].get_content()
    assert "<img" not in html
    assert 'javascript:b"' not in html


def test_a_server_that_takes_it_later_gets_it_later(tmp_path: Path) -> None:
    with mail_server() as (url, mailbox):
        room = Newsroom(
            tmp_path,
            communication={"slack_channel": None, **settings(emails=["a@example.com"])},
            connections={"smtp": {"url": url, **SENDER}},
        )
        room.diagnosed()
        mailbox.answer = "451 later"
        assert room.speak() == 0
        mailbox.answer = "250 OK"
        assert room.speak(5) == 1
        mailbox.answer = "550 no"
        room.inbox.resolve(room.incident_id, "jo", room.now)
        assert room.speak() == 0
        assert "refused it (code 550)" in (room.inbox.messages()[-1].error or "")


def test_a_password_is_not_sent_in_the_clear() -> None:
    connection = Connection(username="u", password="p", **SENDER)  # noqa: S106
    with mail_server() as (url, _):
        server = build(settings_for("smtp", connection=connection.model_copy(update={"url": url})))
        with pytest.raises(PermanentSourceError, match="offers no STARTTLS"):
            asyncio.run(server.send(_mail()))
    server = build(
        settings_for("smtp", connection=connection.model_copy(update={"url": f"smtp://127.0.0.1:{free_port()}"}))
    )
    with pytest.raises(TransientSourceError):
        asyncio.run(server.send(_mail()))


@pytest.mark.parametrize(
    ("connection", "said"),
    [
        (Connection(), "url is not set"),
        (Connection(url="http://x", **SENDER), "smtp://HOST:587"),
        (Connection(url="smtp://x"), "options.from"),
    ],
)
def test_what_the_mail_server_lacks_is_said(connection: Connection, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        build(settings_for("smtp", connection=connection))


def test_a_webhook_is_posted_with_a_key(tmp_path: Path) -> None:
    recorder = Recorder(lambda _request: {})
    room = Newsroom(
        tmp_path,
        communication={"slack_channel": None, **settings(webhook="board", services=["Payments"])},
        connections={"board": {"url": "https://board.example/hook", "token": "t0ken-t0ken"}},
    )
    room.delivery = Delivery(
        room.inbox, room.scenario, lambda: room.now, lambda m: build_medium(m, room.scenario, recorder.transport)
    )
    room.diagnosed()
    assert room.speak() == 1
    (request,) = recorder.requests
    assert str(request.url) == "https://board.example/hook"
    assert request.headers["authorization"] == "Bearer t0ken-t0ken"
    assert request.headers["idempotency-key"] == recorder.bodies[0]["key"]
    assert recorder.bodies[0]["status"] == "investigating"


def test_a_webhook_that_is_down_is_tried_again(tmp_path: Path) -> None:
    answers = iter([httpx.Response(503), httpx.Response(200)])
    recorder = Recorder(lambda _request: next(answers))
    room = Newsroom(
        tmp_path,
        communication={"slack_channel": None, **settings(webhook="board")},
        connections={"board": {"url": "https://board.example/hook"}},
    )
    room.delivery = Delivery(
        room.inbox, room.scenario, lambda: room.now, lambda m: build_medium(m, room.scenario, recorder.transport)
    )
    room.diagnosed()
    assert room.speak() == 0
    assert room.speak(10) == 1
    assert len({body["key"] for body in recorder.bodies}) == 1


@pytest.mark.parametrize(
    ("who", "heard"),
    [
        ({"slack_channel": "#support"}, True),
        ({"slack_channel": "#support", "severities": ["P3"]}, False),
        ({"slack_channel": "#support", "services": ["search"]}, False),
    ],
)
def test_who_is_told_depends_on_severity_and_service(tmp_path: Path, who: dict[str, Any], heard: bool) -> None:
    room = Newsroom(tmp_path, communication={"slack_channel": None, **settings(**who)})
    room.diagnosed()
    room.speak()
    assert bool(room.inbox.messages()) is heard


def test_quiet_hours_wait_for_their_end_unless_it_is_severe(tmp_path: Path) -> None:
    quiet = {"start": "14:00", "end": "18:30", "timezone": "UTC", "unless": []}
    room = Newsroom(
        tmp_path, communication={"slack_channel": None, **settings(slack_channel="#trial", quiet_hours=quiet)}
    )
    room.diagnosed()
    assert room.speak() == 0
    (message,) = room.inbox.messages()
    assert message.due_at == scenes.at(18, 30)
    assert room.speak((scenes.at(18, 31) - room.now).total_seconds()) == 1
    quick = Newsroom(
        tmp_path / "quick",
        communication={
            "slack_channel": None,
            **settings(slack_channel="#trial", quiet_hours=quiet | {"unless": ["P1"]}),
        },
    )
    quick.diagnosed()
    assert quick.speak() == 1


def test_shadow_tells_no_stakeholder(tmp_path: Path) -> None:
    room = Newsroom(
        tmp_path,
        communication={"slack_channel": None, **settings(slack_channel="#trial")},
        remediation={"shadow": True},
    )
    room.diagnosed()
    assert room.speak() == 0
    assert room.inbox.messages()[0].state == "withheld"


def test_spans_of_the_day_end_when_they_say() -> None:
    night = ("22:00", "07:00", "Europe/Berlin")
    assert end_of_span(*night, datetime(2026, 3, 17, 22, 30, tzinfo=UTC)) == datetime(2026, 3, 18, 6, tzinfo=UTC)
    assert end_of_span(*night, datetime(2026, 3, 18, 3, 0, tzinfo=UTC)) == datetime(2026, 3, 18, 6, tzinfo=UTC)
    assert end_of_span(*night, datetime(2026, 3, 18, 6, 0, tzinfo=UTC)) is None
    # clocks go forward in this night
    assert end_of_span(*night, datetime(2026, 3, 28, 23, 0, tzinfo=UTC)) == datetime(2026, 3, 29, 5, tzinfo=UTC)


@pytest.mark.parametrize("quiet", [{"start": "25:00", "end": "7:00"}, {"start": "1", "end": "7:00"}])
def test_a_time_of_day_that_is_none_is_said(quiet: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is not a time of day"):
        QuietHours.model_validate(quiet)
    with pytest.raises(ValueError, match="no time zone"):
        QuietHours.model_validate({"start": 1320, "end": "7:00", "timezone": "Mars/Olympus"})


def test_statuses_have_words() -> None:
    assert RemediationSettings().communication.updates.P1.total_seconds() == 1800
    assert {status.value for status in IncidentStatus} >= {"resolved"}


def _mail() -> Any:
    from email.message import EmailMessage

    mail = EmailMessage()
    mail["From"], mail["To"] = "a@example.com", "b@example.com"
    mail.set_content("x")
    return mail
