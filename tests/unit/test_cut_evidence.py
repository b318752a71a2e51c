"""Evidence that a source gave only in part: what was cut is told, and nothing read is not nothing there."""

from __future__ import annotations

from incident_pipeline.communication.status import _incomplete
from incident_pipeline.models import Deployment, Envelope, Evidence, EvidenceKind, Gathered

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
