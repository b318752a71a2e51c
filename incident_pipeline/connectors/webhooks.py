"""Who reads the webhooks of which system, and how each proves where it comes from.

Belongs here: names and nothing else, as in `registry.py`; what a payload looks like is its connector's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from importlib import import_module
from typing import Any, Protocol

from pydantic import SecretStr

from incident_pipeline.connectors import signatures
from incident_pipeline.connectors.base import Received
from incident_pipeline.models import Alert


class Reader(Protocol):
    """Reads the alerts of a parsed body; raises InputError, and gives none for what says nothing of an alert."""

    def __call__(self, body: Any, *, received_at: datetime | None = None) -> list[Alert]:
        """The alerts."""
        ...


ChangeReader = Callable[[Any, Mapping[str, Sequence[str]]], Received]
"""Reads what a parsed body brings, with service -> its projects; raises InputError."""

READERS: dict[str, str] = {
    "alertmanager": "alertmanager:alerts_from_webhook",
    "custom": "custom:alerts_from_custom",
    "datadog": "datadog_alerts:alerts_from_webhook",
    "opsgenie": "opsgenie_rows:alerts_from_webhook",
    "pagerduty": "pagerduty_rows:alerts_from_webhook",
    "slack": "slack_messages:alerts_from_event",
}
"""Source -> module and function."""

CHANGES: dict[str, str] = {"github": "github_webhook:received", "gitlab": "gitlab_rows:received"}
"""Sources whose webhooks bring deployments and code changes: evidence, and no alert."""

SIGNED = frozenset({"pagerduty", "slack", "github", "gitlab"})
"""Sources whose requests carry their own proof; all others bring the token in `Authorization`."""


def reader(source: str) -> Reader | None:
    """Who reads the webhooks of a source; None where nobody does."""
    if source not in READERS:
        return None
    module, _, function = READERS[source].partition(":")
    found: Reader = getattr(import_module(f"incident_pipeline.connectors.{module}"), function)
    return found


def change_reader(source: str) -> ChangeReader:
    """Who reads the webhooks of a source of changes, one of `CHANGES`."""
    module, _, function = CHANGES[source].partition(":")
    found: ChangeReader = getattr(import_module(f"incident_pipeline.connectors.{module}"), function)
    return found


def is_genuine(
    source: str, headers: Mapping[str, str], body: bytes, secrets: tuple[SecretStr, ...], now: float
) -> bool | None:
    """Whether a request is signed by its source.

    Args:
        source: as in the address.
        headers: names in lower case.
        body: the bytes as they came.
        secrets: those in use; several while one is replaced. None refuses all.
        now: seconds since 1970.

    Returns:
        None for a source that has no signature: let its token decide.
    """
    if source == "slack":
        return signatures.slack(headers, body, secrets, now)
    checks = {"pagerduty": signatures.pagerduty, "github": signatures.github, "gitlab": signatures.gitlab}
    return checks[source](headers, body, secrets) if source in checks else None
