"""Where a message to the team goes under one configuration.

Belongs here: the channel, and what `remediation.shadow` makes of it. Does not belong here: stakeholders (`notices.py`).
"""

from __future__ import annotations

from typing import Any

from incident_pipeline.config import RemediationSettings
from incident_pipeline.storage.inbox.outbox import Draft


def team_channel(settings: RemediationSettings) -> str | None:
    """Where the team's messages go: the channel, or with `shadow` the test channel; None where nobody is named."""
    named = settings.communication
    return (named.test_channel or named.slack_channel) if settings.shadow else named.slack_channel


def anybody_told(settings: RemediationSettings) -> bool:
    """Whether anybody is to be told of anything; else nothing needs to be read."""
    named = settings.communication
    at_vendors = bool(named.notes or named.follow)
    return team_channel(settings) is not None or named.stakeholder_notify or named.status_page or at_vendors


def is_withheld(settings: RemediationSettings) -> bool:
    """Whether messages to the team are only stored: in shadow without a test channel."""
    return settings.shadow and settings.communication.test_channel is None


def to_team(settings: RemediationSettings, key: str, content: dict[str, Any], **about: Any) -> list[Draft]:
    """A message to the team's channel; none where no channel is named."""
    channel = team_channel(settings)
    if channel is None:
        return []
    withheld = is_withheld(settings)
    return [Draft(key=key, medium="slack", target=channel, content=content, withheld=withheld, **about)]
