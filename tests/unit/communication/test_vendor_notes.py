"""The status update as a note on the vendor's own incident or alert: once, off unless named, held back in shadow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from incident_pipeline.communication.delivery import Delivery
from incident_pipeline.communication.media import build_medium
from incident_pipeline.communication.vendor_notes import LONGEST, MOST_ALERTS, mark_of, vendor_notes
from incident_pipeline.config import RemediationSettings
from incident_pipeline.incident_folder.reading import incident_from
from tests.unit import scenes
from tests.unit.communication.newsroom import Newsroom


class Vendor:
    """PagerDuty and Opsgenie in memory: keep the notes that they are sent, and can lose an answer."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, str]] = []
        self.lost = 0

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if request.method == "GET":
            kept = [text for where, text in self.notes if where == path]
            return httpx.Response(200, json={"notes": [{"content": text} for text in kept], "data": _notes(kept)})
        body = json.loads(request.content)["note"]
        self.notes.append((path, body["content"] if isinstance(body, dict) else body))
        if self.lost:
            self.lost -= 1
            raise httpx.ReadTimeout("nobody knows")
        return httpx.Response(202, json={})


def _notes(texts: list[str]) -> list[dict[str, str]]:
    return [{"note": text} for text in texts]


def newsroom(folder: Path, vendor: Vendor, notes: tuple[str, ...], **settings: Any) -> Newsroom:
    room = Newsroom(
        folder,
        communication={"slack_channel": None, "notes": notes},
        connections={"pagerduty": {"token": "pd-key-0123"}, "opsgenie": {"token": "og-key-0123"}},
        **settings,
    )
    transport = httpx.MockTransport(vendor.answer)
    build = lambda medium: build_medium(medium, room.scenario, transport)  # noqa: E731
    room.delivery = Delivery(room.inbox, room.scenario, lambda: room.now, build=build)
    return room


def test_the_update_is_written_on_the_incident_that_paged(tmp_path: Path) -> None:
    vendor = Vendor()
    room = newsroom(tmp_path, vendor, ("pagerduty", "opsgenie"))
    room.diagnosed(text="### Summary\n**Payments** fail <now>")
    assert room.speak() == 1
    ((path, text),) = vendor.notes
    assert path == "/incidents/Q1/notes"
    assert text.splitlines()[:2] == ["Summary", "Payments fail <now>"]
    assert text.splitlines()[-1].startswith("[incident-pipeline ")
    assert room.speak() == 0
    assert len(vendor.notes) == 1


def test_a_note_that_may_have_arrived_is_looked_for_first(tmp_path: Path) -> None:
    vendor = Vendor()
    vendor.lost = 1
    room = newsroom(tmp_path, vendor, ("pagerduty",))
    room.diagnosed()
    assert room.speak() == 0
    assert room.speak(10) == 1
    assert len(vendor.notes) == 1


def test_nobody_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    vendor = Vendor()
    room = newsroom(tmp_path, vendor, ())
    room.diagnosed()
    assert room.speak() == 0
    assert vendor.notes == []


def test_shadow_holds_notes_back(tmp_path: Path) -> None:
    vendor = Vendor()
    room = newsroom(tmp_path, vendor, ("pagerduty",), remediation={"shadow": True})
    room.diagnosed()
    assert room.speak() == 0
    assert vendor.notes == []
    (kept,) = room.inbox.messages(room.incident_id)
    assert (kept.medium, kept.target, kept.state) == ("pagerduty", "Q1", "withheld")


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusal_is_told_and_leaves_the_rest_alone(tmp_path: Path, status: int) -> None:
    room = newsroom(tmp_path, Vendor(), ("pagerduty",))
    refuses = httpx.MockTransport(lambda _: httpx.Response(status, json={"error": {"message": "no"}}))
    build = lambda medium: build_medium(medium, room.scenario, refuses)  # noqa: E731
    room.delivery = Delivery(room.inbox, room.scenario, lambda: room.now, build=build)
    room.diagnosed()
    assert room.speak() == 0
    (message,) = room.inbox.messages(room.incident_id)
    assert str(status) in (message.error or "")


def test_a_storm_of_alerts_is_not_answered_by_a_storm_of_notes() -> None:
    alerts = [scenes.alert(source="opsgenie", source_id=f"a-{n}", dedup_key=f"a-{n}") for n in range(30)]
    settings = RemediationSettings.model_validate({"communication": {"notes": ["opsgenie"]}})
    drafts = vendor_notes(settings, incident_from(alerts), "x" * 100_000, 1)
    assert [(draft.medium, draft.target) for draft in drafts] == [("opsgenie", f"a-{n}") for n in range(MOST_ALERTS)]
    assert all(LONGEST < len(draft.content["text"]) < LONGEST + 10 for draft in drafts)
    assert len({mark_of(draft.key) for draft in drafts}) == MOST_ALERTS


def test_opsgenie_takes_and_shows_notes(tmp_path: Path) -> None:
    vendor = Vendor()
    vendor.lost = 1
    room = newsroom(tmp_path, vendor, ("opsgenie",))
    alerts = [scenes.alert(source="opsgenie", source_id="a-1", dedup_key="a-1")]
    room.inbox.queue(vendor_notes(room.scenario.remediation, incident_from(alerts), "Payments fail", 1), room.now)
    assert room.delivery.deliver() == 0
    assert room.speak(10) == 1
    ((path, text),) = vendor.notes
    assert path == "/v2/alerts/a-1/notes"
    assert text.startswith("Payments fail\n[incident-pipeline ")
