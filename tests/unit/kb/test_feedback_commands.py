"""`confirm` and `kb feedback`, called as a shell does: what is said reaches the next search."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from incident_pipeline.models import Category, KnowledgeBaseEntry
from incident_pipeline.storage.inbox import Inbox
from incident_pipeline.storage.incidents.store import IncidentStore
from kb import Document, IncidentSignature, KnowledgeBase
from tests.unit.cli.runner import call
from tests.unit.intake.builders import NOW, alert

QUESTION = "queue broker lag grows"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    documents = [
        Document("rb/one", "runbook", "Broker lag", "The queue grows. Look at the broker."),
        Document("rb/two", "runbook", "Broker lag of queues", "The queue grows. Look at the broker and its lag."),
    ]
    KnowledgeBase.open(tmp_path / "knowledge_base.duckdb").add(documents)
    return tmp_path


def _first(data: Path) -> str:
    answer = call("--data-dir", str(data), "kb", "search", QUESTION, "--json")
    return str(json.loads(answer.stdout)[0]["id"])


def test_what_was_rejected_moves_down_until_that_is_cleared(data: Path) -> None:
    best = _first(data)
    for verdict, identity in (("--rejected", best), ("--useful", "rb/one" if best == "rb/two" else "rb/two")):
        said = call("--data-dir", str(data), "kb", "feedback", "add", identity, verdict, "--for", QUESTION)
        assert said.exit_code == 0
    assert _first(data) != best
    assert best in call("--data-dir", str(data), "kb", "feedback", "list").stdout
    assert call("--data-dir", str(data), "kb", "feedback", "clear", "--all").exit_code == 0
    assert _first(data) == best
    listed = json.loads(call("--data-dir", str(data), "kb", "feedback", "list", "--all", "--json").stdout)
    assert [entry["verdict"] for entry in listed] == ["rejected", "useful", "cleared", "cleared"]


def test_wrong_usage_is_one_sentence(data: Path) -> None:
    assert "no document" in call("--data-dir", str(data), "kb", "feedback", "add", "x", "--useful", "--for", "y").stderr
    assert "--for" in call("--data-dir", str(data), "kb", "feedback", "add", "rb/one", "--useful").stderr
    assert call("--data-dir", str(data), "kb", "feedback", "clear").exit_code == 1
    assert "no entry 7" in call("--data-dir", str(data), "kb", "feedback", "correct", "7", "--useful").stderr


def test_a_confirmed_cause_takes_the_place_of_the_guess_and_can_be_taken_back(data: Path) -> None:
    inbox = Inbox.open(data / "inbox.sqlite")
    incident = inbox.adopt([alert("errors")], NOW)
    inbox.resolve(incident, "ann", NOW + timedelta(hours=1))
    guess = IncidentSignature(incident, "errors", services=("payments",), category="capacity_problem", cause="a guess")
    entry = KnowledgeBaseEntry(
        document_id=incident, title="errors", text="", category=Category.CAPACITY_PROBLEM, signature=guess.as_json()
    )
    IncidentStore(data / "incidents").write(
        incident, {"knowledge_base_entry": entry}, run_id="r", as_of=NOW, now=NOW, code_versions={}
    )

    def remembered() -> IncidentSignature:
        (found,) = KnowledgeBase.open(data / "knowledge_base.duckdb").signatures
        return found

    said = call("--data-dir", str(data), "confirm", incident, "--cause", "a null check", "--category", "code_bug")
    assert said.exit_code == 0
    assert (remembered().cause, remembered().category, remembered().confirmed) == ("a null check", "code_bug", True)
    (number,) = (entry.entry_id for entry in inbox.ledger())
    assert call("--data-dir", str(data), "kb", "feedback", "clear", str(number)).exit_code == 0
    assert (remembered().cause, remembered().confirmed) == ("a guess", False)
