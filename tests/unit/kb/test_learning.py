"""Votes of neighbours, recurrences, and what people said of suggestions."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from kb import IncidentSignature, SearchResult, find_similar, foretold
from kb.learning import Feedback, adjusted, recurring, vote, vote_accuracy

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def _incident(number: int, service: str, category: str | None, cause: str | None, **more: object) -> IncidentSignature:
    started = NOW - timedelta(days=60 - number)
    made = IncidentSignature(
        f"INC-{number}", f"{service} errors", f"{service} fails", (service,), (), (f"{service}Errors",),
        (f"{service} cannot connect to <*>",), category=category, cause=cause, started_at=started,
        ended_at=started + timedelta(hours=1),
    )  # fmt: skip
    return replace(made, **more)  # type: ignore[arg-type]


PAST = [
    *(_incident(n, "payments", "deployment_issue", "release without a null check") for n in range(3)),
    *(_incident(n, "search", "capacity_problem", "index nodes out of heap") for n in range(3, 6)),
]
PRESENT = _incident(70, "payments", None, None, ended_at=None, started_at=NOW)


def test_neighbours_vote() -> None:
    found = vote(find_similar(PRESENT, PAST, NOW), PAST)
    assert found is not None
    assert found.category == "deployment_issue"
    assert found.cause == "release without a null check"
    assert set(found.voters) == {"INC-0", "INC-1", "INC-2"}


def _lived_through(signatures: list[IncidentSignature]) -> list[IncidentSignature]:
    """The signatures as they are remembered one after the other."""
    past: list[IncidentSignature] = []
    for signature in signatures:
        past.append(foretold(signature, past))
    return past


def test_confidence_is_measured_and_falls_where_votes_were_wrong() -> None:
    alternating = [replace(s, category=("code_bug", "capacity_problem")[n % 2]) for n, s in enumerate(PAST)]
    assert vote_accuracy(_lived_through(PAST)) > 0.7
    assert vote_accuracy(_lived_through(alternating)) < 0.5
    assert vote_accuracy([]) == 0.5


def test_a_vote_knows_nothing_of_later_incidents() -> None:
    lived = _lived_through(PAST)
    assert [s.voted for s in lived[:2]] == [None, "deployment_issue"]
    assert foretold(PAST[0], lived).voted is None


def test_a_correction_changes_the_measured_accuracy() -> None:
    lived = _lived_through(PAST)
    corrected = [replace(s, category="code_bug", confirmed=True) if s.incident_id == "INC-2" else s for s in lived]
    assert vote_accuracy(corrected) < vote_accuracy(lived)


def test_a_confirmed_cause_outvotes_a_guess() -> None:
    mixed = [
        _incident(1, "payments", "capacity_problem", "a guess"),
        _incident(2, "payments", "code_bug", "what it was", confirmed=True),
    ]
    found = vote(find_similar(PRESENT, mixed, NOW), mixed)
    assert found is not None
    assert (found.category, found.cause) == ("code_bug", "what it was")


def test_nobody_votes() -> None:
    assert vote([], PAST) is None
    nameless = [replace(s, category=None) for s in PAST]
    assert vote(find_similar(PRESENT, nameless, NOW), nameless) is None


def test_causes_that_came_back() -> None:
    once = _incident(9, "cart", "code_bug", "leak in the client")
    found = recurring([*reversed(PAST), once])
    assert [r.incident_ids for r in found] == [("INC-3", "INC-4", "INC-5"), ("INC-0", "INC-1", "INC-2")]
    assert found[0].services == ("search",)
    assert recurring([once]) == []


def test_what_came_back_lists_what_was_to_be_done() -> None:
    asked_for = [replace(PAST[0], action_items=("Add a null check",)), replace(PAST[1], action_items=("Add a canary",))]
    (found,) = recurring(asked_for)
    assert found.action_items == ("Add a null check", "Add a canary")


def _result(identity: str, probability: float) -> SearchResult:
    return SearchResult(identity, "runbook", identity, 0.0, probability, "", "", "", None, ("shares words",))


def test_feedback_on_a_similar_question_moves_a_result() -> None:
    results = [_result("a", 0.6), _result("b", 0.5)]
    ledger = [Feedback("b", "payments pods crash looping", True), Feedback("a", "payments pods crash looping", False)]
    moved = adjusted(results, "payments pods are crash looping", ledger)
    assert [result.id for result in moved] == ["b", "a"]
    assert "was used in a similar case" in moved[0].why
    assert "was rejected in a similar case" in moved[1].why


def test_feedback_on_another_question_moves_nothing() -> None:
    results = [_result("a", 0.6), _result("b", 0.5)]
    assert adjusted(results, "disk full", [Feedback("b", "payments pods crash looping", True)]) == results


def test_praise_has_a_limit() -> None:
    ledger = [Feedback("b", "disk full", True)] * 100
    assert adjusted([_result("b", 0.1)], "disk full", ledger)[0].probability < 0.5
