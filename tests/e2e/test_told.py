"""The real processes tell of an incident in Slack, and a click decides; killed in between, all is said once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.slack import click
from tests.e2e.stack import kill, running, wait_for
from tests.e2e.test_up import alert
from tests.unit.communication.slack_fake import FakeSlack, serving
from tests.unit.communication.test_clicks import SECRET

CONFIGURATION = """
scenario:
  diagnosis: {{updates: [0s]}}
  receiver: {{tokens: {{slack: {secret}}}}}
  connections: {{slack: {{url: "{url}", token: xoxb-1}}}}
  remediation: {{communication: {{slack_channel: "#incidents"}}}}
"""


@pytest.mark.timeout(300)
def test_from_an_alert_to_the_end_in_slack(tmp_path: Path) -> None:
    slack = FakeSlack()
    with serving(slack) as url, running(tmp_path, CONFIGURATION.format(secret=SECRET, url=url)) as stack:
        assert stack.send(alert(1, "payments")) == 202
        stack.wait_diagnosed(1, seconds=90)
        header = wait_for("message in Slack", lambda: slack.headers and slack.headers[0], 30)
        assert "Errors in payments" in header["text"]
        wait_for("update in its thread", lambda: slack.replies(header["ts"]), 30)
        for pid in stack.pids("incident_pipeline.console.serve"):
            kill(pid)
        wait_for("receiver", lambda: _accepts(stack, header), 60)
        wait_for("who acknowledged", lambda: "Acknowledged by slack:U1" in header["text"], 30)
        assert click(stack.receiver, header, "resolve") == 200
        wait_for("refusal", lambda: slack.whispers, 30)
        assert "still fires" in slack.whispers[0]["text"]
        assert stack.send({**alert(1, "payments"), "status": "resolved", "resolved_at": "2026-11-20T15:05:00Z"}) == 202
        wait_for("end in the header", lambda: "Resolved" in header["text"], 60)
        assert len(slack.headers) == 1
        texts = [reply["text"] for reply in slack.replies(header["ts"])]
        assert len(texts) == len(set(texts))
        # nobody has signed this one
        assert stack.send({}, "/slack/interactions") == 401


def _accepts(stack: Any, header: dict[str, Any]) -> bool:
    try:
        return click(stack.receiver, header, "acknowledge") == 200
    except OSError:
        return False
