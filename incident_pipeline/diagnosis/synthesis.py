"""One diagnosis out of the hypotheses of all approaches, with probabilities.

Belongs here: merging what means the same, ranking, probability, the verdict on changes, the summary.
Does not belong here: making hypotheses.

Each approach gives a hypothesis its own probability. Those that mean the same merge (the weaker adds to the odds of the
stronger); then all share the probability that "unknown" and the gaps leave, and the first is calibrated.
"""

from __future__ import annotations

from collections.abc import Sequence

from incident_pipeline.config import Scenario
from incident_pipeline.diagnosis.calibration import GENERIC, calibrated
from incident_pipeline.diagnosis.cluster_state import with_health
from incident_pipeline.diagnosis.cut_evidence import cut_kinds, lowered, told
from incident_pipeline.diagnosis.sentences import clock
from incident_pipeline.models import (
    Deployment,
    Diagnosis,
    Evidence,
    EvidenceKind,
    Gap,
    Hypothesis,
    Incident,
    RankedService,
    Symptoms,
)

_CONVICTED = 0.5
"""A change is named as the cause from this probability of its own approach on; below it nobody is convicted."""
_ACQUITTED = 0.5
"""An operational cause speaks for "no change" from this probability on."""
_BLAMES_CHANGE = frozenset({"change", "deployment", "flag"})
_NEVER_CERTAIN = 0.02
_MAX = 8


def synthesize(
    incident: Incident,
    evidence: Evidence,
    symptoms: Symptoms,
    hypotheses: Sequence[Hypothesis],
    settings: Scenario,
) -> Diagnosis:
    """The ranked diagnosis; what the hypotheses leave of the probability is "unknown"."""
    allowed = [h for h in hypotheses if h.category in settings.diagnosis.categories]
    merged = merge(allowed)
    gaps = evidence.gaps
    cut = cut_kinds(evidence)
    ranked = share_probability(merged, gaps, cut, symptoms.looked_at.get("measured", 0))[:_MAX]
    ranked = with_health(ranked, evidence, hypotheses, settings.diagnosis.approaches.cluster_state)
    verdict = change_verdict(ranked, merged, evidence)
    services = rank_again(symptoms, ranked)
    return Diagnosis(
        summary=summary(incident, symptoms, ranked, gaps, cut),
        hypotheses=tuple(ranked),
        services=services,
        first_failing_service=services[0].service if services else symptoms.first_failing_service,
        blast_radius=_radius(symptoms, services),
        root_cause_change=verdict,
        root_cause_deployment=deployment_of(ranked, evidence, verdict),
        onset=symptoms.onset,
        gaps=gaps,
    )


def merge(hypotheses: Sequence[Hypothesis]) -> list[Hypothesis]:
    """Hypotheses that mean the same become one.

    They do where they blame the same thing, or the same service where one only says that it fails and the other why.
    """
    ordered = sorted(hypotheses, key=lambda h: (not _says_why(h), -h.confidence, h.approach, h.description, repr(h)))
    kept: list[Hypothesis] = []
    for hypothesis in ordered:
        index = next((i for i, other in enumerate(kept) if _same(other, hypothesis)), None)
        if index is None:
            kept.append(hypothesis)
        else:
            kept[index] = _joined(kept[index], hypothesis)
    return sorted(kept, key=lambda h: (-h.confidence, h.approach, h.description, repr(h)))


_SAYS_WHY = 0.3


def _says_why(hypothesis: Hypothesis) -> bool:
    """Whether a hypothesis names a reason, and believes in it enough to speak for its service."""
    if hypothesis.confidence < _SAYS_WHY:
        return False
    return hypothesis.caused_by.kind in _BLAMES_CHANGE or (
        hypothesis.mechanism is not None and hypothesis.mechanism not in GENERIC
    )


def _same(one: Hypothesis, other: Hypothesis) -> bool:
    """Whether `other`, the less telling of the two, means what `one` means."""
    if one.caused_by.id and (one.caused_by.kind, one.caused_by.id) == (other.caused_by.kind, other.caused_by.id):
        return True
    if one.service is None or one.service != other.service or _says_why(other):
        return False
    if other.caused_by.kind in _BLAMES_CHANGE or (other.mechanism is None and other.caused_by.kind == "incident"):
        return False
    return _says_why(one) or one.caused_by.kind not in _BLAMES_CHANGE


def _joined(strong: Hypothesis, weak: Hypothesis) -> Hypothesis:
    """The stronger of the two with the other's evidence; agreement takes a third of the doubt that it could."""
    top = max(strong.confidence, weak.confidence)
    confidence = top + (1.0 - top) * min(strong.confidence, weak.confidence) * 0.33
    return strong.model_copy(
        update={
            "confidence": round(confidence, 4),
            "evidence": tuple(dict.fromkeys((*strong.evidence, *weak.evidence[:2])))[:10],
            "suggested_actions": tuple(dict.fromkeys((*strong.suggested_actions, *weak.suggested_actions)))[:3],
        }
    )


def share_probability(
    merged: Sequence[Hypothesis], gaps: Sequence[Gap], cut: Sequence[EvidenceKind] = (), series: int = 0
) -> list[Hypothesis]:
    """Probabilities in the same order that add up to less than 1; what is left is "unknown".

    Args:
        merged: hypotheses, the best first.
        gaps: evidence that is missing.
        cut: kinds of evidence that are there only in part.
        series: how many series were measured.
    """
    if not merged:
        return []
    first = lowered(calibrated(merged, gaps, series), merged[0], cut, gaps)
    rest = sum(h.confidence for h in merged[1:])
    scale = min(1.0, (1.0 - _NEVER_CERTAIN - first) / rest) if rest > 0 else 0.0
    shares = [first, *(min(h.confidence * scale, first * 0.95) for h in merged[1:])]
    return [h.model_copy(update={"confidence": round(p, 4)}) for h, p in zip(merged, shares, strict=True)]


def change_verdict(ranked: Sequence[Hypothesis], merged: Sequence[Hypothesis], evidence: Evidence) -> str | None:
    """The sha to blame, "none" with evidence of its own, or None where it cannot be told."""
    if not ranked:
        return None
    first, own = ranked[0], merged[0]
    if first.caused_by.kind == "change":
        return first.caused_by.id if own.confidence >= _CONVICTED else None
    looked = evidence.code_changes.envelopes and evidence.code_changes.status != "unavailable"
    best_change = max((h.confidence for h in merged if h.caused_by.kind == "change"), default=0.0)
    operational = first.caused_by.kind in {"log_pattern", "metric"} and own.confidence >= _ACQUITTED
    if (
        looked
        and operational
        and first.mechanism is not None
        and best_change < _CONVICTED / 2
        and "none explains" in " ".join(first.evidence)
    ):
        return "none"
    return None


def deployment_of(ranked: Sequence[Hypothesis], evidence: Evidence, verdict: str | None) -> str | None:
    """The deployment that carried what the first hypothesis blames."""
    if not ranked:
        return None
    blamed = ranked[0].caused_by
    if blamed.kind == "deployment":
        return blamed.id
    if blamed.kind != "change" or verdict is None:
        return None
    carriers: list[Deployment] = [
        d
        for d in evidence.deployments.rows
        if d.commit_sha and verdict.startswith(d.commit_sha[:12]) and d.service == ranked[0].service
    ]
    return min(carriers, key=lambda d: (d.at is None, d.at or 0, d.id)).id if carriers else None


def rank_again(symptoms: Symptoms, ranked: Sequence[Hypothesis]) -> tuple[RankedService, ...]:
    """The services with what the hypotheses add: half of the score is the symptoms', half the causes'."""
    known = {s.service: s.score for s in symptoms.services}
    blamed = dict.fromkeys(known, 0.0)
    for hypothesis in ranked:
        if hypothesis.service is not None:
            blamed[hypothesis.service] = blamed.get(hypothesis.service, 0.0) + hypothesis.confidence
    total = sum(blamed.values())
    scores = {
        service: round(0.5 * known.get(service, 0.0) + (0.5 * blamed[service] / total if total else 0.0), 5)
        for service in blamed
    }
    return tuple(RankedService(service=s, score=v) for s, v in sorted(scores.items(), key=lambda p: (-p[1], p[0])))


def _radius(symptoms: Symptoms, services: Sequence[RankedService]) -> tuple[str, ...]:
    first = services[0].service if services else None
    others = [s for s in symptoms.blast_radius if s != first]
    old = symptoms.first_failing_service
    if old and old != first and old not in others and any(s.service == old and s.since for s in symptoms.services):
        others.insert(0, old)
    return tuple(others)


def summary(
    incident: Incident,
    symptoms: Symptoms,
    ranked: Sequence[Hypothesis],
    gaps: Sequence[Gap],
    cut: Sequence[EvidenceKind] = (),
) -> str:
    """Two or three sentences for a person who has just been woken."""
    since = symptoms.onset or incident.started_at
    where = f" It shows first in {symptoms.first_failing_service}." if symptoms.first_failing_service else ""
    missing = f" Not available: {', '.join(sorted({gap.kind for gap in gaps}))}." if gaps else ""
    missing += told(cut)
    if not ranked:
        return f"{incident.title}, since {clock(since)}.{where} The evidence does not point to a cause.{missing}"
    best = ranked[0]
    likely = f" Most likely: {best.description} ({best.confidence:.0%})."
    return f"{incident.title}, since {clock(since)}.{where}{likely}{missing}"
