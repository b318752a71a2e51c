"""Clicks in Slack: what they lead to, and every way in which they are refused."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from starlette.applications import Starlette

from incident_pipeline.console.slack_buttons import PATH, route
from incident_pipeline.console.slack_clicks import Clicks
from incident_pipeline.models import (
    ActionState,
    ActionType,
    AlertStatus,
    IncidentStatus,
    Remediation,
    RemediationAction,
    Risk,
)
from incident_pipeline.remediation.approvals import action_hash, proposed
from tests.unit import scenes
from tests.unit.communication.newsroom import Newsroom

SECRET = "0123456789abcdef-signing"  # noqa: S105 - a test's
PEOPLE = {"people": {"dana": {"slack": "U1"}, "eve": {"slack": "U2"}}, "approvers": ["dana"]}


class Desk(Newsroom):
    """A newsroom whose people click."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        remediation = PEOPLE | settings.pop("remediation", {})
        tokens = settings.pop("tokens", {"slack": SECRET})
        super().__init__(folder, remediation=remediation, receiver={"tokens": tokens}, **settings)
        self.woken = 0
        self.whispers: list[str] = []
        self.diagnosed(plan=Remediation(actions=(the_action(),)))
        self.speak()

    def button(self, name: str) -> dict[str, Any]:
        blocks = (block for block in self.header["blocks"] if block["type"] == "actions")
        return next(one for block in blocks for one in block["elements"] if one["action_id"] == name)

    def payload(self, name: str, user: str = "U1", **value: Any) -> dict[str, Any]:
        """What Slack sends for a click on the button as it is shown now, with changes to its value."""
        button = self.button(name)
        about = json.loads(button["value"]) | value
        return {
            "type": "block_actions",
            "user": {"id": user, "username": "anybody"},
            "team": {"id": "T1"},
            "channel": {"id": "C01"},
            "trigger_id": f"{self.now.timestamp()}.{name}.{user}",
            "actions": [{"action_id": name, "type": "button", "value": json.dumps(about)}],
        }

    def click(self, payload: Any, **how: Any) -> httpx.Response:
        body = how.pop("body", None) or urlencode({"payload": json.dumps(payload)}).encode()
        headers = how.pop("headers", None) or signed(body, str(int(self.now.timestamp()) - how.pop("age", 0)))
        return self.send(how.pop("sent", body), headers)

    def send(self, body: bytes, headers: dict[str, Any], client: str = "203.0.113.9") -> httpx.Response:
        async def whisper(_channel: str, _user: str, text: str) -> None:
            self.whispers.append(text)

        def wake() -> None:
            self.woken += 1

        clicks = Clicks(self.application, wake, whisper, lambda: self.now)
        secret = self.application.scenario.receiver.tokens.get("slack")
        app = Starlette(routes=[route(clicks, secret, lambda: self.now)])

        async def run() -> httpx.Response:
            transport = httpx.ASGITransport(app, client=(client, 50_000))
            async with httpx.AsyncClient(transport=transport, base_url="https://receiver.example") as sender:
                return await sender.post(PATH, content=body, headers=headers)

        return asyncio.run(run())

    @property
    def state(self) -> ActionState:
        return proposed(self.application, self.incident_id, self.now)[0].state


def the_action(**more: Any) -> RemediationAction:
    fields: dict[str, Any] = {
        "action_id": "rollback-1",
        "type": ActionType.ROLLBACK,
        "title": "Rollback to v2.3.4",
        "target": "payments",
        "command": "kubectl rollout undo deployment/payments",
        "risk": Risk.MEDIUM,
    }
    return RemediationAction.model_validate(fields | more)


def clicked(button: dict[str, Any], user: str | None = "U1") -> bytes:
    payload = {"type": "block_actions", "user": {"id": user}, "actions": [button]}
    return urlencode({"payload": json.dumps(payload)}).encode()


def signed(body: bytes, stamp: str, secret: str = SECRET) -> dict[str, str]:
    digest = hmac.new(secret.encode(), b"v0:" + stamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    return {
        "X-Slack-Request-Timestamp": stamp,
        "X-Slack-Signature": f"v0={digest}",
        "Content-Type": "application/x-www-form-urlencoded",
    }


def test_a_click_approves_and_the_message_says_who(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    assert desk.button("approve")["confirm"]["text"]["text"] == "Rollback to v2.3.4. Risk: medium."
    assert desk.click(desk.payload("approve")).status_code == 200
    assert (desk.state, desk.woken) == (ActionState.APPROVED, 1)
    (decision,) = desk.inbox.action_decisions(desk.incident_id)
    assert (decision.who, decision.via, decision.origin) == ("dana", "slack", "workspace T1, user U1")
    assert decision.action_hash == action_hash(the_action())
    desk.speak()
    assert "Rollback to v2.3.4: approved (dana)" in desk.header["text"]
    assert [b["action_id"] for block in desk.header["blocks"] for b in block.get("elements", ()) if "value" in b] == [
        "acknowledge",
        "resolve",
    ]


def test_a_click_rejects_and_acknowledges(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    assert desk.click(desk.payload("reject")).status_code == 200
    assert desk.state is ActionState.REJECTED
    assert desk.click(desk.payload("acknowledge", user="U9")).status_code == 200
    desk.speak()
    assert "Acknowledged by slack:U9" in desk.header["text"]


def test_it_is_not_over_while_an_alert_fires(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    assert desk.click(desk.payload("resolve")).status_code == 200
    assert desk.inbox.incident(desk.incident_id).status is IncidentStatus.INVESTIGATING
    assert "1 alert still fires (Payment Processing Errors)" in desk.whispers[0]
    # two alerts: one is resolved while the other one still fires, then both, and somebody opens it again
    other = scenes.alert(source_id="Q2", dedup_key="latency", title="Payments are slow")
    desk.inbox.accept([other, over(scenes.alert())], desk.now)
    desk.inbox.group(desk.now, desk.scenario.alerts, ())
    assert desk.inbox.firing(desk.incident_id) == ["Payments are slow"]
    desk.inbox.accept([over(other)], desk.now)
    desk.inbox.group(desk.now, desk.scenario.alerts, ())
    desk.inbox.reopen(desk.incident_id, "dana", desk.now)
    assert desk.click(desk.payload("resolve", user="U2")).status_code == 200
    assert desk.inbox.incident(desk.incident_id).status is IncidentStatus.RESOLVED


def over(alert: Any) -> Any:
    return alert.model_copy(update={"status": AlertStatus.RESOLVED, "resolved_at": scenes.at(14, 36)})


@pytest.mark.parametrize(
    ("user", "said"),
    [("U2", "eve may not decide"), ("U9", "belongs to nobody in remediation.people")],
)
def test_who_may_not_decide_is_told_so_alone(tmp_path: Path, user: str, said: str) -> None:
    desk = Desk(tmp_path)
    assert desk.click(desk.payload("approve", user=user)).status_code == 200
    assert desk.state is ActionState.PROPOSED
    assert said in desk.whispers[0]


def test_a_name_that_anybody_can_choose_is_not_believed(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    payload = desk.payload("approve", user="U2")
    payload["user"] |= {"username": "dana", "name": "dana"}
    desk.click(payload)
    assert desk.state is ActionState.PROPOSED


def test_what_changed_since_it_was_shown_is_not_approved(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    seen = desk.payload("approve")
    changed = the_action(command="kubectl delete namespace payments")
    desk.diagnosed(plan=Remediation(actions=(changed,)))
    assert desk.click(seen).status_code == 200
    assert desk.state is ActionState.PROPOSED
    assert "has changed since you saw it" in desk.whispers[0]


@pytest.mark.parametrize("value", [{"digest": None}, {"digest": "0" * 64}, {"action": None}, {"action": "other"}])
def test_a_button_with_another_value_decides_nothing(tmp_path: Path, value: dict[str, Any]) -> None:
    desk = Desk(tmp_path)
    assert desk.click(desk.payload("approve", **value)).status_code == 200
    assert desk.state is ActionState.PROPOSED
    assert desk.whispers[0].startswith("Not done: ")


def test_a_replay_is_refused_for_ever(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    payload = desk.payload("acknowledge")
    body = urlencode({"payload": json.dumps(payload)}).encode()
    headers = signed(body, str(int(desk.now.timestamp())))
    assert desk.send(body, headers).status_code == 200
    assert desk.send(body, headers).status_code == 409
    # a forwarder that could sign again with another time does not get further either
    assert desk.send(body, signed(body, str(int(desk.now.timestamp()) + 100))).status_code == 409
    kinds = [event.kind for event in desk.inbox.events(desk.incident_id)]
    assert kinds.count("incident_acknowledged") == 1


@pytest.mark.parametrize("age", [301, -301, 10**6])
def test_what_is_too_old_or_from_the_future_is_refused(tmp_path: Path, age: int) -> None:
    desk = Desk(tmp_path)
    assert desk.click(desk.payload("approve"), age=age).status_code == 401
    assert desk.state is ActionState.PROPOSED


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"X-Slack-Signature": "v0=", "X-Slack-Request-Timestamp": "1773757000"},
        {"X-Slack-Signature": "v0=é", "X-Slack-Request-Timestamp": "no number"},
        {"Authorization": f"Bearer {SECRET}"},
    ],
)
def test_unsigned_requests_are_refused(tmp_path: Path, headers: dict[str, str]) -> None:
    desk = Desk(tmp_path)
    raw = {name: value.encode("latin-1") for name, value in headers.items()}
    answer = desk.click(desk.payload("approve"), headers=raw)
    assert answer.status_code == 401
    assert desk.state is ActionState.PROPOSED


def test_altered_and_foreign_signatures_are_refused(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    body = urlencode({"payload": json.dumps(desk.payload("approve"))}).encode()
    stamp = str(int(desk.now.timestamp()))
    assert desk.send(body + b"&x=1", signed(body, stamp)).status_code == 401
    assert desk.send(body, signed(body, stamp, "another secret")).status_code == 401
    later = signed(body, stamp) | {"X-Slack-Request-Timestamp": str(int(stamp) + 1)}
    assert desk.send(body, later).status_code == 401
    assert desk.state is ActionState.PROPOSED


@pytest.mark.parametrize("client", ["127.0.0.1", "203.0.113.9"])
def test_without_a_secret_nobody_is_believed_not_even_this_machine(tmp_path: Path, client: str) -> None:
    desk = Desk(tmp_path, tokens={})
    body = urlencode({"payload": json.dumps(desk.payload("approve"))}).encode()
    answer = desk.send(body, signed(body, str(int(desk.now.timestamp())), ""), client)
    assert answer.status_code == 403
    assert desk.state is ActionState.PROPOSED


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"payload",
        b"payload=%7B",
        b"payload=[]",
        b"payload=" + b"x" * 250_000,
        b"\xff\xfe",
        clicked({"action_id": "approve", "value": "{}"}, user=None),
        clicked({"action_id": "approve", "value": "x"}),
        clicked({"action_id": "approve", "value": "[]"}),
        clicked({"action_id": "approve"}),
    ],
)
def test_bodies_that_are_nothing_are_said_to_be(tmp_path: Path, body: bytes) -> None:
    desk = Desk(tmp_path)
    answer = desk.send(body, signed(body, str(int(desk.now.timestamp()))))
    assert answer.status_code in (400, 413)
    assert answer.json()["error"]


def test_what_is_not_about_our_buttons_is_taken_and_ignored(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    for number, payload in enumerate(
        ({"type": "view_submission"}, {"type": "block_actions", "actions": [{"action_id": "other"}]})
    ):
        assert desk.click({**payload, "trigger_id": number}).status_code == 200
    assert desk.woken == 0
