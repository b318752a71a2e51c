"""What people say on the pages and in Slack: who is heard, what is kept of it, and what a forged request gets."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from incident_pipeline.application import Application
from incident_pipeline.console import approval_pages, feedback_pages, kb_pages
from incident_pipeline.console.sessions import Sessions
from incident_pipeline.knowledge.sources import hear, ledger_state
from incident_pipeline.models import Category, SuggestedRunbook
from kb import Document
from tests.unit import scenes
from tests.unit.communication.test_clicks import Desk
from tests.unit.remediation.test_approval_pages import DANA, PEOPLE, Browser, found

RUNBOOK = SuggestedRunbook(runbook_id="rb/lag", title="Broker <b>lag</b>", score=0.8, why="shares words")
QUESTION = 'queue "broker" lag'


def diagnosed(desk: Desk) -> Desk:
    """Its newest version has a suggestion, too."""
    values: dict[str, Any] = {"incident": desk.inbox.incident(desk.incident_id), "suggested_runbooks": (RUNBOOK,)}
    desk.application.store.write(desk.incident_id, values, run_id="run", as_of=desk.now, now=desk.now)
    desk.application.knowledge_base.add([Document("rb/lag", "runbook", "Broker lag", "The queue grows. Look at it.")])
    return desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return diagnosed(Desk(tmp_path, remediation={"people": PEOPLE}, knowledge_base={"model": "none"}))


@pytest.fixture
def browser(desk: Desk) -> Browser:
    application: Application = desk.application
    sessions = Sessions(application.scenario.remediation.people)
    made = [
        *kb_pages.routes(lambda: application.knowledge_base, sessions=sessions),
        *approval_pages.routes(application, lambda: desk.now, sessions),
        *feedback_pages.routes(application, sessions, lambda: desk.now),
    ]
    return Browser(Starlette(routes=made))


def test_what_a_search_found_is_judged_where_it_was_found(desk: Desk, browser: Browser) -> None:
    page = "/kb?q=queue+%22broker%22+lag"
    assert "Log in" in browser.get(page).body.decode()
    assert "Not useful" not in browser.get(page).body.decode()
    browser.log_in(DANA)
    assert found(r'name=document value="([^"]+)"', browser.get(page)) == "rb/lag"
    secret, before = browser.secret(page), ledger_state(desk.application)
    for verdict in ("useful", "rejected"):
        form = {"document": "rb/lag", "question": QUESTION, "verdict": verdict, "secret": secret}
        assert browser.post("/kb/feedback", **form).status == 200
    (said,) = desk.inbox.ledger()
    assert (said.verdict, said.who, said.question) == ("rejected", "dana", QUESTION)
    assert ledger_state(desk.application) != before
    hear(desk.application)
    (answer,) = desk.application.knowledge_base.search(QUESTION)
    assert any("rejected" in reason for reason in answer.why)


def test_a_cause_is_confirmed_below_the_incident(desk: Desk, browser: Browser) -> None:
    browser.log_in(DANA)
    page = f"/approvals/{desk.incident_id}"
    body = browser.get(page).body.decode()
    assert "Broker &lt;b&gt;lag&lt;/b&gt;" in body
    assert scenes.diagnosis().primary.description[:20] in body  # type: ignore[union-attr]
    form = {"incident": desk.incident_id, "secret": browser.secret(page)}
    told = browser.post("/kb/confirm", **form, cause="a <i>null</i> check", category="code_bug", fixed_by="rollback")
    assert told.status == 200
    said = desk.inbox.confirmation(desk.incident_id)
    assert said is not None
    assert (said.who, said.cause, said.category) == ("dana", "a <i>null</i> check", Category.CODE_BUG)
    assert "Confirmed by dana: a &lt;i&gt;null&lt;/i&gt; check" in browser.get(page).body.decode()
    assert browser.post("/kb/feedback", **form, document="rb/lag", verdict="useful").status == 200
    assert desk.inbox.ledger()[-1].incident_id == desk.incident_id


ATTACKS: dict[str, tuple[int, dict[str, str], dict[str, str]]] = {
    "no session": (401, {"cookie": ""}, {}),
    "no secret": (403, {}, {"secret": ""}),
    "another site": (403, {"origin": "https://evil.example"}, {}),
    "no verdict": (400, {}, {"verdict": "maybe"}),
    "no such document": (404, {}, {"document": "rb/none"}),
    "no question": (400, {}, {"question": " "}),
    "not suggested": (400, {}, {"incident": "yes", "document": "rb/none"}),
    "no such incident": (404, {}, {"incident": "INC-none"}),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_forged_and_empty_statements_are_not_kept(desk: Desk, browser: Browser, attack: str) -> None:
    status, headers, changes = ATTACKS[attack]
    browser.log_in(DANA)
    secret = browser.secret("/approvals")
    form = {"document": "rb/lag", "question": QUESTION, "verdict": "useful", "secret": secret, **changes}
    if form.get("incident") == "yes":
        form["incident"] = desk.incident_id
    assert browser.post("/kb/feedback", headers, **form).status == status
    assert desk.inbox.ledger() == []


@pytest.mark.parametrize("changes", [{"cause": " "}, {"category": "weather"}, {"incident": "INC-none"}, {"secret": ""}])
def test_a_confirmation_that_is_none_is_not_kept(desk: Desk, browser: Browser, changes: dict[str, str]) -> None:
    browser.log_in(DANA)
    form = {"incident": desk.incident_id, "cause": "a null check", "secret": browser.secret("/approvals"), **changes}
    assert browser.post("/kb/confirm", **form).status in (400, 403, 404)
    assert desk.inbox.ledger() == []


def test_our_own_forms_carry_their_origin(browser: Browser) -> None:
    # under "no-referrer" a browser sends "Origin: null", which is refused
    assert browser.get("/approvals").headers["referrer-policy"] == "same-origin"


def test_in_slack_it_is_asked_for_when_it_is_over(tmp_path: Path) -> None:
    desk = diagnosed(Desk(tmp_path, knowledge_base={"model": "none"}))
    assert '"helped"' not in json.dumps(desk.header["blocks"])
    desk.inbox.resolve(desk.incident_id, "dana", desk.now + timedelta(minutes=5))
    desk.speak(600)
    for name, user in (("cause", "U1"), ("helped", "U1"), ("no_help", "U9")):
        assert desk.click(desk.payload(name, user=user)).status_code == 200
    assert [(e.verdict, e.who, e.document_id) for e in desk.inbox.ledger()] == [
        ("confirmed", "dana", None),
        ("useful", "dana", "rb/lag"),
        ("rejected", "slack:U9", "rb/lag"),
    ]
    assert desk.inbox.confirmation(desk.incident_id).category is not None  # type: ignore[union-attr]
    assert re.match("Noted", desk.whispers[0])
    desk.click(desk.payload("cause", digest="0" * 32))
    desk.click(desk.payload("helped", action="rb/other"))
    assert "says something else by now" in desk.whispers[3]
    assert "is not suggested" in desk.whispers[4]
    assert len(desk.inbox.ledger()) == 3
