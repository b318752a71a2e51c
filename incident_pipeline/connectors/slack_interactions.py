"""What somebody did with a button of ours in Slack.

Belongs here: the payload of `block_actions` (https://docs.slack.dev/reference/interaction-payloads), which comes as the
form field `payload`, by HTTP or over Socket Mode. Does not belong here: whether it is genuine (`signatures.py`), and
what follows from it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from incident_pipeline.connectors.shapes import at, items
from incident_pipeline.errors import InputError
from incident_pipeline.intake.alert_fields import one_line
from incident_pipeline.json_text import loads
from incident_pipeline.models import Model

LONGEST_VALUE = 2_000


class Interaction(Model):
    """One click."""

    button: str
    """approve, reject, acknowledge, resolve, or what was said afterwards: cause, helped, no_help."""
    incident_id: str
    action_id: str | None = None
    """The action, or the runbook."""
    digest: str | None = None
    """What exactly was shown, of an action or of a cause."""
    user_id: str
    user_name: str = ""
    team: str = ""
    channel: str = ""


def read_body(body: bytes) -> Mapping[str, Any]:
    """The payload of a request's body.

    Raises:
        InputError: it is no form with a JSON payload.
    """
    try:
        fields = parse_qs(body.decode(), strict_parsing=True, max_num_fields=10)
        payload = loads(fields["payload"][0].encode())
    except (ValueError, KeyError) as error:
        raise InputError("the body is no form with the field payload") from error
    if not isinstance(payload, Mapping):
        raise InputError("payload: expected a JSON object")
    return payload


def interaction_from(payload: Mapping[str, Any], known: frozenset[str]) -> Interaction | None:
    """The click of a payload; None for what is not about a button of ours, such as a link that was opened.

    Args:
        payload: of `block_actions`.
        known: the names of our buttons.

    Raises:
        InputError: a button of ours with a value that is not.
    """
    if payload.get("type") != "block_actions":
        return None
    clicked = next((one for one in items(payload.get("actions")) if at(one, "action_id") in known), None)
    if clicked is None:
        return None
    user_id = one_line(at(payload, "user", "id"))
    value = at(clicked, "value")
    if user_id is None or not isinstance(value, str) or len(value) > LONGEST_VALUE:
        raise InputError("payload: expected a user and the value of a button")
    try:
        about = loads(value.encode())
    except ValueError as error:
        raise InputError("payload: the value of the button is not ours") from error
    incident_id = one_line(at(about, "incident"))
    if incident_id is None:
        raise InputError("payload: the value of the button names no incident")
    return Interaction(
        button=str(at(clicked, "action_id")),
        incident_id=incident_id,
        action_id=one_line(at(about, "action")),
        digest=one_line(at(about, "digest")),
        user_id=user_id,
        user_name=one_line(at(payload, "user", "username")) or one_line(at(payload, "user", "name")) or "",
        team=one_line(at(payload, "team", "id")) or "",
        channel=one_line(at(payload, "channel", "id")) or "",
    )


def payload_id(payload: Mapping[str, Any]) -> str:
    """As `request_id`, for a payload that came without a body."""
    return request_id(json.dumps(payload, sort_keys=True).encode())


def request_id(body: bytes) -> str:
    """The same for the same click: Slack gives each its own trigger and time, so an equal body is a replay."""
    return hashlib.sha256(body).hexdigest()
