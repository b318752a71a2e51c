"""The status update: the specification's own text, and what happens where something is not known or hostile."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from incident_pipeline.communication.stakeholders import stakeholder_notice
from incident_pipeline.communication.status import status_update
from incident_pipeline.config import Scenario
from incident_pipeline.documents.timeline import build_timeline
from incident_pipeline.errors import ConfigurationError
from incident_pipeline.models import (
    ActionState,
    ActionType,
    Category,
    Diagnosis,
    Envelope,
    Evidence,
    EvidenceKind,
    Gap,
    Gathered,
    Incident,
    Remediation,
    RemediationAction,
    Risk,
    Symptoms,
    Timeline,
)
from incident_pipeline.remediation.plan import plan_remediation
from tests.shared_data import shared_path
from tests.unit import scenes
from tests.unit.scenes import at
from tests.unit.specified_update import SPECIFIED

NOW = at(14, 55)


def write(
    incident: Incident | None = None,
    evidence: Evidence | None = None,
    symptoms: Symptoms | None = None,
    diagnosis: Diagnosis | None = None,
    remediation: Remediation | None = None,
    as_of: datetime = NOW,
    templates: Path | None = None,
) -> str:
    incident = incident or scenes.incident()
    evidence = scenes.full_evidence() if evidence is None else evidence
    symptoms = symptoms or scenes.symptoms()
    diagnosis = scenes.diagnosis(gaps=()) if diagnosis is None else diagnosis
    remediation = remediation or plan_remediation(incident, evidence, diagnosis, (), Scenario())
    timeline = build_timeline(incident, evidence, symptoms, diagnosis, responded_at=at(14, 37), diagnosed_at=at(14, 45))
    return status_update(
        incident, evidence, symptoms, diagnosis, remediation, timeline, as_of=as_of, templates=templates
    ).markdown


def section(text: str, heading: str) -> list[str]:
    lines = text.split(f"### {heading}\n")[1].split("\n###")[0].split("\n---")[0].strip().splitlines()
    return [line for line in lines if line]


def test_the_specifications_message_byte_for_byte() -> None:
    assert write() == SPECIFIED


def test_that_message_is_the_specifications() -> None:
    specification = shared_path("specification.md").read_text(encoding="utf-8")

    assert f"```markdown\n{SPECIFIED}```" in specification


def test_what_cannot_be_told_is_not_told() -> None:
    diagnosis = Diagnosis(summary="", hypotheses=(), onset=at(14, 32))

    text = write(diagnosis=diagnosis)

    assert "**Most Likely Cause**: Not determined yet: the evidence does not point to a cause\n" in text
    assert "**Confidence**: not determined\n" in text
    assert "Nothing unusual was found" in text
    assert section(text, "Suggested Actions") == ["1. 📞 Notify payment team"]


def test_a_weak_cause_is_named_as_weak_and_recommends_nothing() -> None:
    text = write(diagnosis=scenes.diagnosis(scenes.hypothesis(confidence=0.21)))

    assert "Not determined yet: likeliest so far: Recent deployment (deploy-abc123 at 14:28 UTC)\n" in text
    assert "**Confidence**: 21%\n" in text
    assert "Recommended" not in text
    assert "1. 🔧 Possible: Rollback to previous version (v2.3.4)" in text


def test_sources_that_did_not_answer_are_said_once() -> None:
    evidence = scenes.full_evidence().model_copy(
        update={
            "logs": Gathered(kind=EvidenceKind.LOGS, envelopes=(Envelope.unavailable("loki", "connection refused"),)),
            "metrics": Gathered(
                kind=EvidenceKind.METRICS, envelopes=(Envelope.unavailable("loki", "connection refused"),)
            ),
        }
    )

    text = write(evidence=evidence, diagnosis=scenes.diagnosis(gaps=evidence.gaps))

    refused = "metrics and logs (loki: connection refused)"
    assert f"- Not available: {refused}, traces and related alerts (no source is configured)" in text


def test_files_that_a_folder_lacks_are_one_gap() -> None:
    gaps = [
        Gap(kind=kind, source=kind, reason=f"not recorded in this folder (no {kind}.json)")
        for kind in ("logs", "traces")
    ]

    assert "- Not available: logs and traces (not recorded in this folder)\n" in write(
        diagnosis=scenes.diagnosis(gaps=gaps)
    )


def test_where_nothing_can_be_proposed_a_place_to_look_is() -> None:
    weak = scenes.hypothesis(confidence=0.05, suggested_actions=("Profile payments",))

    assert section(write(diagnosis=scenes.diagnosis(weak)), "Suggested Actions") == [
        "1. 🔧 Possible: Profile payments",
        "2. 📞 Notify payment team",
    ]


def test_what_is_missing_for_an_action_is_said() -> None:
    evidence = scenes.evidence(deployments=[scenes.deployment(previous_version=None)])

    actions = section(write(evidence=evidence), "Suggested Actions")

    assert actions[0] == (
        "1. ⚡ **Recommended**: Rollback to previous version (to be found out: the previous version is not on record)"
    )


def test_a_summary_that_says_since_is_left_alone() -> None:
    incident = scenes.incident([scenes.alert(summary="Errors since 14:30 UTC.")])

    assert section(write(incident), "Summary") == ["Errors since 14:30 UTC."]


def test_without_a_summary_the_title_speaks() -> None:
    incident = scenes.incident([scenes.alert(summary=" ")])

    assert section(write(incident), "Summary") == ["Payment Processing Errors since 14:32 UTC."]


def test_several_alerts_are_counted_with_their_services() -> None:
    alerts = [scenes.alert(), *(scenes.alert(dedup_key=str(i), service=f"s{i}") for i in range(6))]

    summary = section(write(scenes.incident(alerts)), "Summary")[0]

    assert summary.endswith(" 7 alerts in payments, s0, s1, s2 and 3 more services.")


def test_yesterday_is_named() -> None:
    text = write(as_of=at(0, 10, day=18))

    assert "since 2026-03-17 14:32 UTC." in text
    assert "- 2026-03-17 14:28 - Deployment deploy-abc123 completed" in text
    assert "**Duration**: 9 hours 38 minutes" in text


def test_a_resolved_incident_no_longer_grows() -> None:
    text = write(scenes.incident(status="resolved", resolved_at=at(15, 2)), as_of=at(18, 0))

    assert "**Status**: Resolved\n" in text
    assert "**Duration**: 30 minutes\n" in text


def test_innocent_changes_are_not_in_the_update() -> None:
    evidence = scenes.evidence(
        deployments=[scenes.deployment(), scenes.deployment(id="other", service="web", finished_at=at(14, 30))]
    )

    assert "other" not in write(evidence=evidence)


def test_the_users_template_is_used(tmp_path: Path) -> None:
    (tmp_path / "status_update.md.j2").write_text("{{ severity }}: {{ cause }}\n", encoding="utf-8")

    assert write(templates=tmp_path) == "P1: Recent deployment (deploy-abc123 at 14:28 UTC)\n"


def test_a_broken_template_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "status_update.md.j2").write_text("{{ nonsense }}\n", encoding="utf-8")

    with pytest.raises(ConfigurationError, match="line 1"):
        write(templates=tmp_path)


HEADINGS = [line for line in SPECIFIED.splitlines() if line.startswith("###")]
HOSTILE = st.one_of(
    st.text(max_size=120),
    st.sampled_from(
        [
            "[x](http://e.x)",
            "\n### Fake\n---\n",
            "**Status**: Resolved",
            "<script>alert(1)</script>",
            "{{ 7*7 }}",
            "<!channel> @here",
            "\x1b[2J",
            "![](http://e.x/p.png)",
            "``` \n~~~",
            "</td>|---|",
        ]
    ),
)


@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE)
def test_hostile_text_changes_nothing_but_the_words(title: str, summary: str, cause: str, line: str, name: str) -> None:
    incident = scenes.incident([scenes.alert(title=title, summary=summary)], title=title, services=(name,))
    hypothesis = scenes.hypothesis(description=cause, evidence=(line, line), service=name)
    action = RemediationAction(action_id="a", type=ActionType.RESTART, title=line, missing=cause, risk=Risk.LOW)
    evidence = scenes.evidence(deployments=[scenes.deployment(id="deploy-abc123", service=name)])

    text = write(incident, evidence, None, scenes.diagnosis(hypothesis), Remediation(actions=(action,)))

    tokens = MarkdownIt("commonmark").parse(text)
    assert [t.content for t in tokens if t.type == "inline" and t.level == 1 and t.content.startswith("Fake")] == []
    assert sum(t.type == "heading_open" for t in tokens) == len(HEADINGS)
    assert sum(t.type == "hr" for t in tokens) == 2
    assert not any(t.type in {"html_block", "fence", "code_block", "blockquote_open"} for t in tokens)
    inline = [child.type for t in tokens for child in t.children or []]
    assert not {"link_open", "image", "html_inline", "code_inline"} & set(inline)
    assert [line for line in text.splitlines() if line.startswith("###")] == HEADINGS
    assert len(text) < 6000
    assert "<!channel>" not in text
    assert "@here" not in text


def test_stakeholders_hear_no_internals() -> None:
    notice = stakeholder_notice(
        scenes.incident(), scenes.symptoms(), scenes.diagnosis(), as_of=at(14, 55), templates=None
    )

    assert "**Payment Processing Errors**" in notice
    assert "14:32 UTC (23 minutes)" in notice
    assert "payments" in notice
    assert "deploy-abc123" not in notice
    assert "75%" not in notice


def test_stakeholders_hear_when_it_is_over() -> None:
    incident = scenes.incident(status="resolved", resolved_at=at(15, 2))

    notice = stakeholder_notice(incident, scenes.symptoms(), scenes.diagnosis(), as_of=at(16, 0), templates=None)

    assert "It lasted 30 minutes." in notice
    assert "It is over." in notice


def test_only_what_is_likely_enough_is_recommended_first() -> None:
    weak = scenes.hypothesis(category=Category.CODE_BUG, confidence=0.31)

    assert "⚡ **Recommended**" in write(diagnosis=scenes.diagnosis(weak))


def test_what_was_decided_on_is_no_proposal_any_more() -> None:
    incident, evidence, diagnosis = scenes.incident(), scenes.full_evidence(), scenes.diagnosis()
    plan = plan_remediation(incident, evidence, diagnosis, (), Scenario())
    done = plan.actions[0].model_copy(update={"state": ActionState.DONE})
    plan = plan.model_copy(update={"actions": (done, *plan.actions[1:])})
    text = status_update(
        incident,
        evidence,
        scenes.symptoms(),
        diagnosis,
        plan,
        Timeline(),
        as_of=scenes.at(15, 0),
        templates=None,
    ).markdown
    assert "1. ✅ Done: Rollback to previous version (v2.3.4)\n" in text
    assert "2. 🔧 Alternative: Hot-fix" in text
