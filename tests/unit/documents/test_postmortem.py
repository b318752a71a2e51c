"""The postmortem says what is stored, and "not measured" of everything else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from incident_pipeline.config import Scenario
from incident_pipeline.documents.postmortem import write_postmortem
from incident_pipeline.documents.runbook_update import propose_runbook_update
from incident_pipeline.documents.timeline import build_timeline
from incident_pipeline.models import (
    ActionState,
    Category,
    CausedBy,
    Diagnosis,
    Evidence,
    Incident,
    MetricSeries,
    Postmortem,
    Remediation,
    Span,
    SuggestedRunbook,
    Symptoms,
)
from incident_pipeline.remediation.plan import plan_remediation
from tests.unit import scenes
from tests.unit.scenes import at

ENDED = scenes.incident(status="resolved", resolved_at=at(15, 2))


def write(
    incident: Incident = ENDED,
    evidence: Evidence | None = None,
    symptoms: Symptoms | None = None,
    diagnosis: Diagnosis | None = None,
    state: ActionState = ActionState.PROPOSED,
    templates: Path | None = None,
) -> Postmortem:
    evidence = scenes.full_evidence() if evidence is None else evidence
    symptoms = symptoms or scenes.symptoms()
    diagnosis = diagnosis or scenes.diagnosis()
    planned = plan_remediation(incident, evidence, diagnosis, (), Scenario())
    actions = tuple(
        action.model_copy(update={"state": state}) if index == 0 else action
        for index, action in enumerate(planned.actions)
    )
    timeline = build_timeline(incident, evidence, symptoms, diagnosis, responded_at=at(14, 37), diagnosed_at=at(14, 45))
    return write_postmortem(
        incident,
        evidence,
        symptoms,
        diagnosis,
        Remediation(actions=actions),
        timeline,
        Scenario(),
        as_of=at(16, 0),
        templates=templates,
    )


def test_every_part_is_there() -> None:
    postmortem = write(state=ActionState.DONE)

    assert postmortem.title == "Postmortem: Payment Processing Errors"
    assert postmortem.date == "2026-03-17"
    assert postmortem.duration_seconds == 30 * 60
    assert postmortem.time_to_detect_seconds == 3 * 60
    assert postmortem.time_to_resolve_seconds == 30 * 60
    assert postmortem.root_cause_category is Category.DEPLOYMENT_ISSUE
    assert postmortem.resolution == "Done: Rollback to previous version (v2.3.4)."
    headings = [line for line in postmortem.markdown.splitlines() if line.startswith("#")]
    assert headings == [
        "# Postmortem: Payment Processing Errors",
        "## Summary",
        "## Impact",
        "## Timeline",
        "## Root Cause",
        "## Resolution",
        "## Lessons Learned",
        "## Action Items",
        "## Appendix",
        "### Key Logs",
        "### Key Metrics",
        "### Links",
    ]
    for text in ("**Date**: 2026-03-17", "**Duration**: 30 minutes", "**Severity**: P1", "- 15:02 - Incident resolved"):
        assert text in postmortem.markdown


def test_what_nothing_measured_reads_not_measured() -> None:
    text = write().markdown

    assert text.count("not measured") == 4
    assert "- Requests failed: not measured" in text


def test_before_the_end_nothing_is_claimed_of_it() -> None:
    postmortem = write(scenes.incident())

    assert postmortem.duration_seconds is None
    assert postmortem.resolution == "Not resolved yet."
    assert "**Duration**: not resolved yet" in postmortem.markdown
    assert "- Time to resolve: not measured" in postmortem.markdown


def test_an_unknown_resolution_is_said_to_be_unknown() -> None:
    assert write().resolution == "Resolved; which action resolved it is not on record."


def test_a_deployment_cause_asks_for_canary_analysis() -> None:
    first, last = write().action_items

    assert (first.type, first.title, first.priority) == ("prevention", "Improve deployment canary analysis", "high")
    assert first.owner is None
    assert (last.type, last.title, last.priority) == ("documentation", "Update runbook for this failure mode", "low")
    assert "owner: to be assigned" in write().markdown


def test_slow_detection_asks_for_thresholds_with_the_measured_time() -> None:
    late = scenes.symptoms(onset=at(14, 27))
    cause = scenes.hypothesis(category=Category.CAPACITY_PROBLEM, caused_by=CausedBy(kind="metric", id="x"))

    detection, documentation = write(symptoms=late, diagnosis=scenes.diagnosis(cause)).action_items

    assert (detection.type, detection.priority) == ("detection", "medium")
    assert detection.description == "Time to detect was 8 minutes; the target is under 5 minutes"
    assert documentation.description == "Add steps for capacity problem"


def test_five_minutes_are_within_the_target() -> None:
    assert [i.type for i in write(symptoms=scenes.symptoms(onset=at(14, 30))).action_items] == [
        "prevention",
        "documentation",
    ]


def test_without_an_onset_the_time_to_detect_is_not_measured() -> None:
    postmortem = write(symptoms=Symptoms(), diagnosis=scenes.diagnosis(onset=None))

    assert postmortem.time_to_detect_seconds is None
    assert "- Time to detect: not measured" in postmortem.markdown
    assert "detection" not in {item.type for item in postmortem.action_items}


def test_without_a_cause_it_says_so() -> None:
    postmortem = write(diagnosis=Diagnosis(summary=""))

    assert "**Cause**: not determined" in postmortem.markdown
    assert "The cause was not determined." in postmortem.summary
    assert postmortem.action_items[-1].title == "Update runbook for this failure mode"


def test_failed_requests_are_counted_where_series_count_them() -> None:
    minutes = tuple(at(14, 0).timestamp() + 60 * i for i in range(62))
    requests = MetricSeries(name="requests_per_second", service="payments", timestamps=minutes, values=(40.0,) * 62)
    ratio = MetricSeries(
        name="error_ratio",
        service="payments",
        timestamps=minutes,
        values=tuple(0.15 if i >= 32 else 0.0 for i in range(62)),
    )

    impact = write(evidence=scenes.evidence(metrics=[requests, ratio])).impact

    # 29 minutes are stored after the onset: 29 * 60 s * 40/s * 0.15 = 10,440
    assert (
        impact.requests_failed == "about 10,000 of payments (requests_per_second times error_ratio, as far as stored)"
    )


def test_a_hole_in_the_series_is_not_filled() -> None:
    times = (at(14, 32).timestamp(), at(14, 33).timestamp(), at(14, 53).timestamp())
    requests = MetricSeries(name="rps", service="payments", timestamps=times, values=(10.0, 10.0, 10.0))
    ratio = MetricSeries(name="error_ratio", service="payments", timestamps=times, values=(1.0, 1.0, 1.0))

    assert str(write(evidence=scenes.evidence(metrics=[requests, ratio])).impact.requests_failed).startswith(
        "about 600 "
    )


def test_traces_count_what_they_saw() -> None:
    spans = [
        Span(trace_id=str(i), span_id="s", start=at(14, 40), status="error" if i < 3 else "ok", service="payments")
        for i in range(20)
    ]

    assert write(evidence=scenes.evidence(traces=spans)).impact.requests_failed == "3 of 20 requests that were traced"


def test_lessons_come_from_the_record() -> None:
    lessons = write(state=ActionState.REJECTED).lessons_learned

    assert "The first alert came 3 minutes after the onset." in lessons
    assert "A failure that started in payments reached checkout." in lessons
    assert "Proposed, and rejected by a person: Rollback to previous version (v2.3.4)." in lessons


def test_links_are_named_and_only_web_addresses_are_links() -> None:
    incident = scenes.incident([scenes.alert(url="https://example.pagerduty.com/incidents/Q1")], resolved_at=at(15, 2))

    postmortem = write(incident)

    assert postmortem.links == ("PagerDuty alert: https://example.pagerduty.com/incidents/Q1",)
    assert "- PagerDuty alert: <https://example.pagerduty.com/incidents/Q1>" in postmortem.markdown
    for url in ("javascript:alert(1)", "http://x/[a](b)", "https://x/>y", "file:///etc/passwd"):
        odd = scenes.incident([scenes.alert(url=url)], resolved_at=at(15, 2))
        assert f"- PagerDuty alert: `{url}`" in write(odd).markdown


def test_the_users_template_is_used(tmp_path: Path) -> None:
    (tmp_path / "postmortem.md.j2").write_text("{{ title }} / {{ impact.sla_breach }}", encoding="utf-8")

    assert write(templates=tmp_path).markdown == "Postmortem: Payment Processing Errors / not measured"


@pytest.mark.parametrize("state", [ActionState.REJECTED, ActionState.FAILED])
def test_the_runbook_leaves_out_what_did_not_help(state: ActionState) -> None:
    planned = plan_remediation(ENDED, scenes.full_evidence(), scenes.diagnosis(), (), Scenario())
    actions = (planned.actions[0].model_copy(update={"state": state}), *planned.actions[1:])

    update = propose_runbook_update(
        ENDED, scenes.symptoms(), scenes.diagnosis(), Remediation(actions=actions), (), as_of=at(16, 0), templates=None
    )

    assert update.runbook_id is None
    assert "Rollback" not in update.markdown
    assert "Hot-fix validation logic" in update.markdown


def test_the_runbook_is_extended_by_what_helped() -> None:
    planned = plan_remediation(ENDED, scenes.full_evidence(), scenes.diagnosis(), (), Scenario())
    actions = (*planned.actions[1:], planned.actions[0].model_copy(update={"state": ActionState.DONE}))
    runbook = SuggestedRunbook(runbook_id="bad-deploy", title="Bad deployment", score=0.9)

    update = propose_runbook_update(
        ENDED,
        scenes.symptoms(),
        scenes.diagnosis(),
        Remediation(actions=actions),
        (runbook,),
        as_of=at(16, 0),
        templates=None,
    )

    assert update.runbook_id == "bad-deploy"
    assert update.title == "Deployment issue in payments"
    assert "Proposed addition to the runbook Bad deployment (bad-deploy)" in update.markdown
    assert (
        "1. Rollback to previous version (v2.3.4)\n   - Command: `kubectl rollout undo deployment/payments`"
        in update.markdown
    )
    assert "- Log line: `POST /v1/charges 500: <*>`" in update.markdown


@given(
    st.text(max_size=60)
    | st.sampled_from(["[x](http://e.x)", "<b onclick=x>", "a\n# Fake", "`a` ``", "-", "---", "{{ 1 }}"])
)
def test_hostile_text_changes_no_document(text: str) -> None:
    pattern = scenes.symptoms().log_patterns[0].model_copy(update={"example": text, "template": text, "service": text})
    anomaly = scenes.symptoms().anomalies[0].model_copy(update={"series": text, "service": text})
    symptoms = scenes.symptoms(log_patterns=(pattern,), anomalies=(anomaly,), blast_radius=("payments", text))
    cause = scenes.hypothesis(description=text, evidence=(text,), service=text, disproved_by=text, mechanism=text)
    incident = scenes.incident([scenes.alert(title=text, summary=text, url=text)], title=text, services=(text,))
    diagnosis = scenes.diagnosis(cause)
    planned = plan_remediation(incident, scenes.full_evidence(), diagnosis, (), Scenario())
    runbook = SuggestedRunbook(runbook_id=text, title=text, score=1.0)

    review = write(incident, symptoms=symptoms, diagnosis=diagnosis).markdown
    update = propose_runbook_update(
        incident, symptoms, diagnosis, planned, (runbook,), as_of=at(16, 0), templates=None
    ).markdown

    for document, headings in ((review, 12), (update, 5)):
        tokens = MarkdownIt("commonmark").parse(document)
        assert sum(token.type == "heading_open" for token in tokens) == headings
        assert not any(token.type in {"html_block", "fence", "code_block", "blockquote_open"} for token in tokens)
        inline = {child.type for token in tokens for child in token.children or []}
        assert not inline & {"link_open", "image", "html_inline"}
