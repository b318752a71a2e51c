"""The real processes tell of an incident in Slack, and a click decides; killed in between, all is said once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.slack import click
from tests.e2e.stack import Stack, alert, kill, wait_for
from tests.unit.communication.slack_fake import FakeSlack


@pytest.mark.timeout(300)
def test_from_an_alert_to_the_end_in_slack(responder: Stack, slack: FakeSlack) -> None:
    assert responder.send(alert(200, "invoices")) == 202

    def headers() -> list[dict[str, Any]]:
        return [header for header in slack.headers if "Errors in invoices" in header["text"]]

    [header] = wait_for("message in Slack", headers, 90)
    wait_for("update in its thread", lambda: slack.replies(header["ts"]), 30)
    for pid in responder.pids("incident_pipeline.console.serve"):
        kill(pid)
    wait_for("receiver", lambda: _accepts(responder, header), 60)
    wait_for("who acknowledged", lambda: "Acknowledged by slack:U1" in header["text"], 30)
    assert click(responder.receiver, header, "resolve") == 200
    wait_for("refusal", lambda: slack.whispers, 30)
    assert "still fires" in slack.whispers[0]["text"]
    ended = {"status": "resolved", "resolved_at": "2026-11-20T15:05:00Z"}
    assert responder.send({**alert(200, "invoices"), **ended}) == 202
    wait_for("end in the header", lambda: "Resolved" in header["text"], 60)
    assert headers() == [header]
    texts = [reply["text"] for reply in slack.replies(header["ts"])]
    assert len(texts) == len(set(texts))
    # nobody has signed this one
    assert responder.send({}, "/slack/interactions") == 401


def _accepts(responder: Stack, header: dict[str, Any]) -> bool:
    try:
        return click(responder.receiver, header, "acknowledge") == 200
    except OSError:
        return False
