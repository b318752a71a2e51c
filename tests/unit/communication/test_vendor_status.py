"""What a person does here, the vendor's own incident follows: forward only, and never what it said itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from incident_pipeline.communication.delivery import Delivery
from incident_pipeline.communication.media import build_medium
from incident_pipeline.models import AlertStatus
from tests.unit.communication.newsroom import Newsroom


class PagerDutyInMemory:
    """One incident with a status; keeps what was set, and can lose an answer."""

    def __init__(self, status: str = "triggered") -> None:
        self.status, self.set, self.lost = status, list[str](), 0

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            self.status = json.loads(request.content)["incident"]["status"]
            self.set.append(self.status)
            if self.lost:
                self.lost -= 1
                raise httpx.ReadTimeout("nobody knows")
        return httpx.Response(200, json={"incident": {"status": self.status}})


def newsroom(
    folder: Path, vendor: PagerDutyInMemory, follow: tuple[str, ...] = ("pagerduty",), **more: Any
) -> Newsroom:
    room = Newsroom(
        folder,
        communication={"slack_channel": None, "follow": follow},
        connections={"pagerduty": {"token": "pd-key-0123"}},
        **more,
    )
    transport = httpx.MockTransport(vendor.answer)
    build = lambda medium: build_medium(medium, room.scenario, transport)  # noqa: E731
    room.delivery = Delivery(room.inbox, room.scenario, lambda: room.now, build=build)
    room.diagnosed()
    return room


def test_what_a_person_does_here_is_done_there(tmp_path: Path) -> None:
    vendor = PagerDutyInMemory()
    room = newsroom(tmp_path, vendor)
    room.speak()
    assert vendor.set == []
    room.inbox.acknowledge(room.incident_id, "jo", room.now)
    room.speak()
    room.speak()
    assert vendor.set == ["acknowledged"]
    room.inbox.resolve(room.incident_id, "jo", room.now)
    room.speak()
    room.speak()
    assert vendor.set == ["acknowledged", "resolved"]
    said = [event.details for event in room.inbox.events(room.incident_id) if event.kind == "told"]
    assert [one["about"] for one in said] == ["acknowledged by jo", "resolved by jo"]


def test_a_vendor_that_is_further_is_left_alone(tmp_path: Path) -> None:
    vendor = PagerDutyInMemory("resolved")
    room = newsroom(tmp_path, vendor)
    room.inbox.acknowledge(room.incident_id, "jo", room.now)
    assert room.speak() == 1
    assert vendor.set == []


def test_what_may_have_arrived_is_looked_for(tmp_path: Path) -> None:
    vendor = PagerDutyInMemory()
    vendor.lost = 1
    room = newsroom(tmp_path, vendor)
    room.inbox.acknowledge(room.incident_id, "jo", room.now)
    assert room.speak() == 0
    assert room.speak(10) == 1
    assert vendor.set == ["acknowledged"]


def test_what_the_vendor_said_itself_is_not_told_back(tmp_path: Path) -> None:
    vendor = PagerDutyInMemory()
    room = newsroom(tmp_path, vendor)
    (alert,) = room.inbox.incident(room.incident_id).alerts
    for status in (AlertStatus.ACKNOWLEDGED, AlertStatus.RESOLVED):
        over = {"resolved_at": room.now} if status is AlertStatus.RESOLVED else {}
        room.inbox.accept([alert.model_copy(update={"status": status, **over})], room.now)
        room.inbox.group(room.now, room.scenario.alerts, ())
        room.speak()
    assert room.inbox.incident(room.incident_id).resolved_at is not None
    assert vendor.set == []


@pytest.mark.parametrize("more", [{"follow": ()}, {"remediation": {"shadow": True}}])
def test_it_is_off_unless_named_and_in_shadow(tmp_path: Path, more: dict[str, Any]) -> None:
    vendor = PagerDutyInMemory()
    room = newsroom(tmp_path, vendor, **more)
    room.inbox.acknowledge(room.incident_id, "jo", room.now)
    room.speak()
    assert vendor.set == []
