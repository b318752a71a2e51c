"""Whom to ask, in one line."""

from __future__ import annotations

from incident_pipeline.communication.on_call import on_call_text
from incident_pipeline.models import OnCall


def test_the_first_level_of_the_incidents_own_services() -> None:
    rows = [
        OnCall(name="Ana", level=1, service="payments", policy="Payments primary"),
        OnCall(name="Bo", level=2, service="payments"),
        OnCall(name="Cy", level=1, service="cart"),
        OnCall(name="Di", level=1),
    ]
    assert on_call_text(rows, ["payments"]) == "Ana (payments, Payments primary)"
    assert on_call_text(rows, ["search"]) == "Ana (payments, Payments primary), Cy (cart), Di"


def test_too_many_people_are_nobody() -> None:
    rows = [OnCall(name=str(n), policy=f"schedule {n}") for n in range(9)]
    assert on_call_text(rows, ["payments"]) == ""
    assert on_call_text([], ["payments"]) == ""
