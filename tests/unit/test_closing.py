"""What is written when it is over: the record as a timeline, lessons, people's edits, the runbook's diff, issues."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from incident_pipeline.close_out.chronicle import done_and_said, with_record
from incident_pipeline.close_out.closing import item_done, open_items, take_edits, those_before, with_edits
from incident_pipeline.config import Scenario
from incident_pipeline.documents.edits import keep_edits
from incident_pipeline.documents.html import html, page
from incident_pipeline.documents.issues import issue_drafts
from incident_pipeline.documents.lessons import Before, lessons_learned
from incident_pipeline.documents.postmortem import write_postmortem
from incident_pipeline.documents.runbook_update import propose_runbook_update
from incident_pipeline.documents.timeline import build_timeline
from incident_pipeline.errors import InputError, NotFoundError
from incident_pipeline.models import (
    ActionState,
    Incident,
    Postmortem,
    Remediation,
    SimilarIncident,
    SuggestedRunbook,
    Timeline,
)
from incident_pipeline.remediation.approvals import Choice, decide
from tests.unit import scenes
from tests.unit.communication.newsroom import Newsroom
from tests.unit.communication.test_clicks import the_action

OVER = scenes.incident(
    status="resolved",
    acknowledged_at=scenes.at(14, 40),
    diagnosed_at=scenes.at(14, 36),
    mitigated_at=scenes.at(14, 52),
    resolved_at=scenes.at(15, 2),
)


def timeline(room: Newsroom, incident: Incident) -> Timeline:
    return build_timeline(
        incident,
        scenes.full_evidence(),
        scenes.symptoms(),
        scenes.diagnosis(),
        responded_at=scenes.at(14, 36),
        diagnosed_at=scenes.at(14, 36),
        done=done_and_said(room.application, incident),
    )


def written(title: str = "Payments") -> Postmortem:
    return write_postmortem(
        OVER,
        scenes.full_evidence(),
        scenes.symptoms(),
        scenes.diagnosis(summary=title),
        Remediation(),
        Timeline(),
        Scenario(),
        as_of=scenes.at(15, 2),
        templates=None,
    )


def test_the_timeline_has_what_was_done_and_said_each_with_its_source(tmp_path: Path) -> None:
    room = Newsroom(tmp_path)
    room.diagnosed(plan=Remediation(actions=(the_action(),)))
    room.speak()
    room.inbox.acknowledge(room.incident_id, "jo", room.now)
    room.now += timedelta(minutes=2)
    said: Any = {"by": "dana", "via": "cli", "now": room.now, "comment": "go"}
    decide(room.application, room.incident_id, "rollback-1", Choice.APPROVED, **said)
    room.now += timedelta(minutes=2)
    room.inbox.settle_execution(room.incident_id, "rollback-1", True, "dana", room.now, "by hand")
    room.inbox.resolve(room.incident_id, "jo", room.now + timedelta(minutes=5), "errors are gone")
    entries = timeline(room, room.inbox.incident(room.incident_id)).entries
    assert all(entry.source for entry in entries)
    kinds = ("acknowledged", "action", "resolved", "told")
    done = [(entry.text, entry.source) for entry in entries if entry.kind in kinds]
    assert done == [
        ("Incident acknowledged by jo", "jo"),
        ("Told #incidents: first message", "slack"),
        ("Told #incidents: status update", "slack"),
        ("Rollback to v2.3.4: approved by dana (go)", "dana"),
        ("Rollback to v2.3.4: done by dana (by hand)", "dana"),
        ("Incident resolved by jo (errors are gone)", "jo"),
    ]
    plan = with_record(room.application, room.incident_id, Remediation(actions=(the_action(),)))
    assert plan.actions[0].state is ActionState.DONE


def test_times_are_counted_from_where_they_begin() -> None:
    found = written()
    minutes = [
        found.time_to_detect_seconds,
        found.time_to_acknowledge_seconds,
        found.time_to_diagnose_seconds,
        found.time_to_mitigate_seconds,
        found.time_to_resolve_seconds,
    ]
    # onset 14:32, first alert 14:35, update 14:36, acknowledged 14:40, mitigated 14:52, resolved 15:02
    assert [None if m is None else m / 60 for m in minutes] == [3, 5, 1, 20, 30]
    assert "- Time to acknowledge: 5 minutes\n" in found.markdown


def test_a_replayed_incident_was_detected_when_it_happened() -> None:
    replayed = OVER.model_copy(update={"replayed_from": "/x", "detected_at": scenes.at(12, 0, day=30)})
    found = write_postmortem(
        replayed,
        scenes.full_evidence(),
        scenes.symptoms(),
        scenes.diagnosis(),
        Remediation(),
        Timeline(),
        Scenario(),
        as_of=scenes.at(15, 2),
        templates=None,
    )
    assert (found.time_to_detect_seconds, found.time_to_diagnose_seconds) == (180, None)


def test_history_is_a_lesson_with_what_was_left_open() -> None:
    before = [Before("INC-1", "Payments fail", "Rolled back", ("Add a canary",)), Before("INC-2", "Payments slow")]
    lessons = lessons_learned(OVER, scenes.diagnosis(), Remediation(), None, before)
    assert lessons[:3] == (
        "It has happened before: INC-1 (Payments fail) and INC-2 (Payments slow).",
        "Still open since INC-1: Add a canary.",
        "What ended INC-1: Rolled back.",
    )


def test_an_action_item_stays_open_until_somebody_says_it_is_done(tmp_path: Path) -> None:
    room = Newsroom(tmp_path)
    room.diagnosed()
    room.application.store.write(room.incident_id, {"postmortem": written()}, run_id="r", as_of=room.now, now=room.now)
    titles = [item.title for item in open_items(room.application, room.incident_id)]
    assert len(titles) == 2
    with pytest.raises(InputError, match="begin with 'nothing'"):
        item_done(room.application, room.incident_id, "nothing", "jo", room.now)
    item_done(room.application, room.incident_id, titles[0][:8].lower(), "jo", room.now)
    past = SimilarIncident(incident_id=room.incident_id, title="Payments", similarity=0.9)
    gone = SimilarIncident(incident_id="INC-gone", title="Gone", similarity=0.8, fixed_by="x")
    assert those_before(room.application, [past, gone]) == [
        Before(room.incident_id, "Payments", None, (titles[1],)),
        Before("INC-gone", "Gone", "x", ()),
    ]


def test_what_people_wrote_survives_and_wins(tmp_path: Path) -> None:
    room = Newsroom(tmp_path)
    with pytest.raises(NotFoundError, match="no postmortem yet"):
        take_edits(room.application, room.incident_id, "x", "jo", room.now)
    room.diagnosed()
    first = written()
    room.application.store.write(room.incident_id, {"postmortem": first}, run_id="r", as_of=room.now, now=room.now)
    assert with_edits(room.application, room.incident_id, first) == first
    edited = first.markdown.replace("**Confidence**: 75%", "**Confidence**: certain, we saw it").replace(
        "## Lessons Learned\n", "## Lessons Learned\n- Ours: look at the canary\n"
    )
    take_edits(room.application, room.incident_id, edited, "jo", room.now)
    later = first.model_copy(
        update={
            "markdown": first.markdown.replace("**Confidence**: 75%", "**Confidence**: 90%").replace(
                "- Requests failed: not measured", "- Requests failed: about 8,400"
            )
        }
    )
    merged = with_edits(room.application, room.incident_id, later)
    assert "certain, we saw it" in merged.markdown
    assert "Ours: look at the canary" in merged.markdown
    assert "about 8,400" in merged.markdown
    assert "-**Confidence**: 90%" in merged.overruled
    assert "+**Confidence**: certain, we saw it" in merged.overruled
    assert (merged.edited_by, merged.generated) == ("jo", later.markdown)
    room.application.store.write(room.incident_id, {"postmortem": merged}, run_id="r", as_of=room.now, now=room.now)
    again = with_edits(room.application, room.incident_id, later)
    assert again.markdown == merged.markdown
    with pytest.raises(InputError, match="is empty"):
        take_edits(room.application, room.incident_id, " \n", "jo", room.now)


LINES = st.lists(st.sampled_from(["a", "b", "c", "", "- x", "## h"]), max_size=8).map("\n".join)


@given(before=LINES, edited=LINES, now=LINES)
def test_edits_are_never_lost(before: str, edited: str, now: str) -> None:
    assert keep_edits(before, edited, before).text == edited
    assert keep_edits(before, before, now).text == now
    merged = keep_edits(before, edited, now)
    added = [line for line in edited.splitlines() if line not in before.splitlines()]
    assert all(line in merged.text.splitlines() for line in added)


def test_a_runbook_that_exists_gets_a_diff() -> None:
    runbook = SuggestedRunbook(runbook_id="bad-deployment", title="Bad deployment", score=0.9)
    current = "# Bad deployment\n\n1. Look at the release.\n"
    done = Remediation(
        actions=(
            the_action(state=ActionState.DONE),
            the_action(action_id="r2", title="Restart", state=ActionState.FAILED),
        )
    )
    found = propose_runbook_update(
        OVER,
        scenes.symptoms(),
        scenes.diagnosis(),
        done,
        [runbook],
        as_of=scenes.at(16, 0),
        templates=None,
        current=current,
    )
    added = [line[1:] for line in found.diff.splitlines() if line.startswith("+") and not line.startswith("+++")]
    assert not [line for line in found.diff.splitlines()[2:] if line.startswith("-")]
    assert "## Deployment issue in payments" in added
    assert "### What to do (as it was done)" in added
    assert "1. Rollback to v2.3.4" in added
    assert "Restart" not in found.diff
    assert "```diff\n" in found.markdown
    new = propose_runbook_update(
        OVER, scenes.symptoms(), scenes.diagnosis(), Remediation(), [], as_of=scenes.at(16, 0), templates=None
    )
    assert (new.diff, new.runbook_id) == ("", None)


def test_action_items_become_drafts() -> None:
    (first, *_) = issue_drafts("INC-1", written(), "github")
    assert set(first) == {"title", "body", "labels"}
    assert first["labels"] == ["postmortem", "prevention", "priority: high"]
    assert "INC-1" in first["body"]
    (first, *_) = issue_drafts("INC-1", written(), "gitlab")
    assert first["labels"] == "postmortem,prevention,priority: high"
    assert set(first) == {"title", "description", "labels"}


def test_the_page_prints_and_shows_nothing_that_acts() -> None:
    hostile = "<script>alert(1)</script> [x](javascript:alert(1)) ![i](http://e.x/i.png) <http://ok.example/>"
    shown = page("<b>T</b>", f"# T\n\n{hostile}\n\n- a\n", None, "<i>note</i>")
    assert "<script>" not in shown
    assert "<b>T" not in shown
    assert "<img" not in shown
    assert 'href="javascript' not in shown
    assert '<a href="http://ok.example/" class="address">' in shown
    assert "@media print" in shown
    assert "default-src 'none'" in shown


@given(st.text(max_size=80))
def test_no_text_becomes_a_tag(text: str) -> None:
    opened = {token.tag for token in MarkdownIt().parse(text)} | {"a", "code", "em", "strong", "s", "br", "hr", "p"}
    tags = {part.split(">")[0].split()[0].strip("/") for part in html(text).split("<")[1:] if part[:1].isalpha()}
    assert tags <= opened | {"pre", "table", "thead", "tbody", "tr", "th", "td"}


def test_on_paper_an_address_stands_beside_a_link_that_does_not_show_it() -> None:
    assert html("<https://status.example/1>") == (
        '<p><a href="https://status.example/1" class="address">https://status.example/1</a></p>\n'
    )
    assert "class" not in html("[the page](https://status.example/1)")
    assert 'a[href^="http"]:not(.address)::after' in page("Postmortem", "", None)
