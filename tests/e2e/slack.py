"""Pressing buttons of a message, as Slack reports it to the receiver."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlencode

from tests.unit.communication.test_clicks import signed


def click(receiver: str, message: dict[str, Any], name: str, action_id: str | None = None, user: str = "U1") -> int:
    """Press a button, of one action where the message offers several; returns the receiver's status."""
    elements = [one for block in message["blocks"] for one in block.get("elements", ())]
    values = [one["value"] for one in elements if one.get("action_id") == name]
    value = next(one for one in values if action_id is None or json.loads(one).get("action") == action_id)
    payload = {
        "type": "block_actions",
        "user": {"id": user},
        "channel": {"id": "C01"},
        "trigger_id": f"{time.time()}",
        "actions": [{"action_id": name, "value": value}],
    }
    body = urlencode({"payload": json.dumps(payload)}).encode()
    headers = signed(body, str(int(time.time())))
    request = urllib.request.Request(f"{receiver}/slack/interactions", body, headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return int(error.code)
