"""The public status page: what a person has approved, word by word, is published.

Parameters: `key` (ours, by which the page's incident is found again), `name`, `body`, `status`, `impact`, `components`
(JSON: id -> status). At `connections.statuspage`. The first publication of an incident opens it on the page, later ones
add an update; there is no dry run, and nothing takes a text back that people have read: a correction is another update.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

from incident_pipeline.config import Connection
from incident_pipeline.connectors.base import SourceSettings
from incident_pipeline.connectors.statuspage import PageIncident, Statuspage
from incident_pipeline.connectors.statuspage import build as build_page
from incident_pipeline.errors import (
    ConfigurationError,
    InputError,
    PermanentSourceError,
    SourceError,
    TransientSourceError,
)
from incident_pipeline.models import ActionCall
from incident_pipeline.remediation.executors.base import Effect, ExecutorSettings, Outcome, Seen
from incident_pipeline.remediation.records import Planned

OVER = "resolved"
Result = TypeVar("Result")


class StatusPage:
    """The page that is configured."""

    def __init__(self, settings: ExecutorSettings) -> None:
        self._settings = settings

    def plan(self, call: ActionCall) -> Planned:
        """Whether the page shows the incident already."""
        found = self._on_page(lambda page: page.find(call.parameters["key"]))
        given = call.parameters
        step = (
            f"{'update' if found else 'open'} on the status page, {given['status']}: {given['name']}. {given['body']}"
        )
        return Planned(steps=(step,), before=_state(found), wanted={"status": given["status"], "body": given["body"]})

    def dry_run(self, call: ActionCall, planned: Planned) -> Outcome | None:
        """The page has none."""
        return None

    def execute(self, call: ActionCall, planned: Planned, mark: str) -> Outcome:
        """Publish; subscribers are told."""
        given = _given(call)
        components = json.loads(given.get("components", "{}"))

        async def publish(page: Statuspage) -> PageIncident:
            # looked up again: the page may have changed since it was planned
            found = await page.find(given["key"])
            if found is not None:
                return await page.update(
                    found.id, given["body"], status=given["status"], components=components, notify=True
                )
            return await page.create(
                given["key"],
                given["name"],
                given["body"],
                status=given["status"],
                impact=given.get("impact"),
                components=components,
                notify=True,
            )

        try:
            shown = self._on_page(publish)
        except (SourceError, InputError) as error:
            return Outcome(False, str(error), uncertain=isinstance(error, TransientSourceError))
        return Outcome(True, f"the page shows {shown.status}: {shown.name} {shown.url or ''}".strip())

    def verify(self, call: ActionCall, planned: Planned, mark: str, since: datetime) -> Seen:
        """What the page shows; an incident that is over is no longer among those that go on."""
        found = self._on_page(lambda page: page.find(call.parameters["key"]))
        if found is None:
            if planned.wanted["status"] == OVER and "status" in planned.before:
                return Seen(Effect.HAPPENED, "the page no longer shows the incident as going on")
            return Seen(Effect.NOT_HAPPENED, "the page does not show the incident")
        same = found.status == planned.wanted["status"]
        if same and planned.before.get("status") == found.status:
            return Seen(Effect.CANNOT_TELL, f"the page shows {found.status}, as it did before")
        return Seen(Effect.HAPPENED if same else Effect.NOT_HAPPENED, f"the page shows {found.status}")

    def undo(self, call: ActionCall, planned: Planned) -> ActionCall | None:
        """What people have read cannot be taken back."""
        return None

    def _on_page(self, ask: Callable[[Statuspage], Awaitable[Result]]) -> Result:
        scenario = self._settings.scenario
        connection = scenario.connections.get("statuspage", Connection())
        settings = SourceSettings("statuspage", scenario, connection, transport=self._settings.transport)

        async def once() -> Result:
            page = build_page(settings)
            try:
                return await ask(page)
            finally:
                await page.close()

        try:
            return asyncio.run(once())
        except ConfigurationError as error:
            raise PermanentSourceError(str(error)) from error


def build(settings: ExecutorSettings) -> StatusPage:
    """The page of `connections.statuspage`."""
    return StatusPage(settings)


def _given(call: ActionCall) -> dict[str, str]:
    lacking = [name for name in ("key", "name", "body", "status") if not call.parameters.get(name)]
    if lacking:
        raise PermanentSourceError(f"status-page: the parameter {lacking[0]} is missing")
    return call.parameters


def _state(found: PageIncident | None) -> dict[str, str]:
    return {"status": found.status, "id": found.id} if found else {}
