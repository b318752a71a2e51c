"""Evidence that a source gave only in part: what was cut is told, and nothing read is not nothing there."""

from __future__ import annotations

from incident_pipeline.communication.status import _incomplete
from incident_pipeline.config import Scenario
from incident_pipeline.diagnosis.cut_evidence import cut_kinds, lowered
from incident_pipeline.diagnosis.engine import diagnose
from incident_pipeline.incident_folder.reading import incident_from
from incident_pipeline.models import Deployment, Envelope, Evidence, EvidenceKind, Gap, Gathered
from tests.unit import scenes

ROW = Deployment(id="1")


def gathered(**about: bool) -> Gathered[Deployment]:
    rows = (ROW,) if about.pop("rows", True) else ()
    envelope = Envelope[Deployment].of("argocd", rows, **about)
    return Gathered[Deployment](kind=EvidenceKind.DEPLOYMENTS, envelopes=(envelope,))


def test_what_was_cut_is_told() -> None:
    assert gathered().cut == ()
    assert gathered(truncated=True).cut == ("argocd: more than the 1 that were read",)
    evidence = Evidence(deployments=gathered(partial=True))
    said = "Incomplete: deployments (argocd: 1 were read before the deadline or a failure)"
    assert _incomplete(evidence) == said
    assert _incomplete(Evidence()) == ""


def test_a_partial_answer_without_rows_is_a_gap() -> None:
    (gap,) = gathered(rows=False, partial=True).gaps
    assert (gap.source, gap.reason[:16]) == ("argocd", "nothing was read")
    assert gathered(rows=False).gaps == ()
    assert gathered(partial=True).gaps == ()


def test_what_was_cut_takes_a_little_off_the_confidence_and_is_said() -> None:
    whole = scenes.full_evidence()
    rows = whole.deployments.rows
    envelope = Envelope[Deployment].of("argocd", rows, truncated=True)
    part = whole.model_copy(
        update={"deployments": Gathered[Deployment](kind=EvidenceKind.DEPLOYMENTS, envelopes=(envelope,))}
    )
    incident = incident_from([scenes.alert()])
    before, after = diagnose(incident, whole, Scenario()), diagnose(incident, part, Scenario())
    assert before.primary is not None
    assert after.primary is not None
    assert after.primary.description == before.primary.description
    assert before.primary.confidence - 0.03 < after.primary.confidence < before.primary.confidence
    assert "Read only in part: deployments." in after.summary
    assert "Read only in part" not in before.summary


def test_a_kind_that_is_missing_is_not_counted_twice() -> None:
    hypothesis = scenes.diagnosis().hypotheses[0].model_copy(update={"approach": "change_correlation"})
    kinds = (EvidenceKind.METRICS, EvidenceKind.LOGS)
    gaps = (Gap(kind="metrics", source="prometheus", reason="down"), Gap(kind="logs", source="loki", reason="down"))
    assert lowered(0.7, hypothesis, kinds, gaps) == 0.7
    assert lowered(0.7, hypothesis, kinds, gaps[:1]) > lowered(0.7, hypothesis, kinds, ()) > 0.65
    measured = hypothesis.model_copy(update={"approach": "cluster_state"})
    assert lowered(0.7, measured, kinds, ()) == 0.7
    assert lowered(0.7, hypothesis, (), ()) == 0.7
    assert cut_kinds(Evidence()) == ()
