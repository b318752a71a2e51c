"""Which change came before the failure, and could it produce it?

Belongs here: the hypotheses that blame a code change, a deployment or a flag, with what convinces.
Does not belong here: the clues themselves (`change_matching`), operational causes (`operational_causes`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from incident_pipeline.config import Scenario
from incident_pipeline.diagnosis.change_matching import SKEW, Suspect, suspect_of
from incident_pipeline.diagnosis.fault_signature import FaultSignature, common_words, fault_signature
from incident_pipeline.diagnosis.flag_correlation import flag_hypotheses, mark_guarded, possible_flags
from incident_pipeline.diagnosis.likelihood import likelihood
from incident_pipeline.diagnosis.reach import deliveries
from incident_pipeline.diagnosis.sentences import clock_on, span, went
from incident_pipeline.diagnosis.series import Quantity, quantity
from incident_pipeline.models import (
    Category,
    CausedBy,
    CodeChange,
    Deployment,
    Evidence,
    Hypothesis,
    Incident,
    Symptoms,
)

APPROACH = "change_correlation"
MAX_CHANGES = 1000
MAX_HYPOTHESES = 6
UNTIED = 0.4
"""A change that only time, place and common words speak against is never likelier than this: it is not convicted."""
JUST_BEFORE = timedelta(minutes=10)
SHOWN = 0.3
"""Released services that together have this share of the symptoms do show something."""
_CONFIG_FILE = re.compile(
    r"\.(ya?ml|json|toml|ini|conf|cfg|env|properties|tf|hcl|tpl)$|(^|/)(config|conf|charts|helm)/", re.I
)


def change_hypotheses(
    incident: Incident, evidence: Evidence, symptoms: Symptoms, settings: Scenario
) -> tuple[Hypothesis, ...]:
    """The changes, deployments and flags that may be to blame, likeliest first."""
    signature = fault_signature(incident, evidence, symptoms)
    suspects = weigh_changes(evidence, symptoms, signature, settings)
    flags = possible_flags(evidence.flag_changes.rows, signature)
    found = [_of_suspect(s, suspects, symptoms, signature) for s in suspects if s.score > 0.0][:MAX_HYPOTHESES]
    judged = {s.delivery.deployment.id for s in suspects if s.delivery.deployment and s.delivery.certain}
    found += _of_deployments(incident, evidence, symptoms, signature, judged)
    found += flag_hypotheses(flags, suspects, symptoms, signature)
    return tuple(sorted(found, key=lambda h: (-h.confidence, h.description, repr(h)))[:MAX_HYPOTHESES])


def weigh_changes(
    evidence: Evidence, symptoms: Symptoms, signature: FaultSignature, settings: Scenario
) -> list[Suspect]:
    """Every delivered change with its clues, the most suspicious first."""
    changes = _newest(evidence.code_changes.rows, signature.first_sign)
    common = common_words(f"{c.message} {' '.join(c.files)} {c.diff or ''}" for c in changes)
    services = {s.service: s.score for s in symptoms.services}
    wanted = {area.lower() for area in settings.context.code.focus_areas}
    suspects = [
        suspect_of(delivery, signature, services, common, len(changes), wanted)
        for delivery in deliveries(changes, evidence.deployments.rows)
    ]
    mark_guarded(suspects, possible_flags(evidence.flag_changes.rows, signature))
    return sorted(suspects, key=lambda s: (-round(s.score, 6), repr(s.delivery)))


def _id(deployment: Deployment | None) -> str:
    return deployment.id if deployment else ""


def _newest(changes: Sequence[CodeChange], moment: datetime) -> list[CodeChange]:
    """The changes that can matter, at most MAX_CHANGES, without those committed after the first sign."""
    possible = [c for c in changes if c.committed_at is None or c.committed_at <= moment + SKEW]
    unique = {c.sha: c for c in sorted(possible, key=repr)}
    ordered = sorted(unique.values(), key=lambda c: (c.committed_at is not None, c.committed_at or moment, c.sha))
    return ordered[-MAX_CHANGES:]


def _of_suspect(
    suspect: Suspect, all_suspects: Sequence[Suspect], symptoms: Symptoms, signature: FaultSignature
) -> Hypothesis:
    change, deployment = suspect.change, suspect.delivery.deployment
    service = (deployment.service if deployment else None) or change.service or symptoms.first_failing_service
    configuration = _is_configuration(suspect)
    return Hypothesis(
        category=Category.CONFIGURATION_ERROR if configuration else Category.DEPLOYMENT_ISSUE,
        service=service,
        description=_description(suspect, signature.first_sign),
        confidence=round(likelihood(suspect.score) if suspect.is_tied else min(likelihood(suspect.score), UNTIED), 4),
        evidence=(*_lead(suspect, symptoms), *_sentences(suspect), *_quiet(symptoms), *_cleared(suspect, all_suspects)),
        suggested_actions=_actions(suspect, service, configuration),
        caused_by=CausedBy(kind="change", id=change.sha),
        mechanism=suspect.mechanism.slug if suspect.mechanism else None,
        approach=APPROACH,
        disproved_by=f"the failure goes on after {change.sha[:8]} is rolled back, or began before it went live",
    )


def _description(suspect: Suspect, moment: datetime) -> str:
    deployment = suspect.delivery.deployment
    if deployment is not None and deployment.at is not None:
        return f"Recent deployment ({deployment.id} at {clock_on(deployment.at, moment)})"
    return f"Code change {_title(suspect.change)}"


def _title(change: CodeChange) -> str:
    first = (change.message.splitlines() or [""])[0]
    return f'{change.sha[:8]} "{first[:80]}"' if first else change.sha[:8]


def _is_configuration(suspect: Suspect) -> bool:
    edit = next((e for e in suspect.edits if e.detail.startswith(("sets ", "takes away"))), None)
    return edit is not None and bool(_CONFIG_FILE.search(edit.path))


def _lead(suspect: Suspect, symptoms: Symptoms) -> list[str]:
    at, onset = suspect.delivery.at, symptoms.onset
    if at is None or onset is None or onset < at:
        return []
    what = _what_began(symptoms)
    return [f"{what} began {span(onset - at)} after deployment ({clock_on(at, onset)} to {clock_on(onset, onset)})"]


def _what_began(symptoms: Symptoms) -> str:
    if any(quantity(a.series) in {Quantity.ERROR, Quantity.SUCCESS} for a in symptoms.anomalies[:10]):
        return "Error spike"
    return "Errors" if any(p.score >= 0.5 for p in symptoms.log_patterns) else "Anomalies"


def _sentences(suspect: Suspect) -> list[str]:
    telling = sorted((c for c in suspect.clues if c.sentence and c.weight > 0), key=lambda c: (-c.weight, c.name))
    skipped = {"dangerous_edit"} if suspect.has("mechanism") else set()
    carried = [f"It carries commit {_title(suspect.change)}"] if suspect.delivery.deployment else []
    return [*carried, *(clue.sentence for clue in telling if clue.name not in skipped)][:6]


def _cleared(suspect: Suspect, all_suspects: Sequence[Suspect]) -> list[str]:
    """One sentence for the deployment that a hurried person would blame instead."""
    released = [s for s in all_suspects if s.delivery.certain and s.delivery.at and s.change.sha != suspect.change.sha]
    later = [s for s in released if suspect.delivery.at and s.delivery.at and s.delivery.at > suspect.delivery.at]
    if not later:
        return []
    latest = max(later, key=lambda s: (s.delivery.at, s.change.sha))
    why = next(
        (c.sentence for c in latest.clues if c.name in {"too_late", "harmless"} and c.sentence),
        "nothing in it fits the failure",
    )
    return [f"The later deployment {_id(latest.delivery.deployment)} is not it: {why[0].lower()}{why[1:]}"]


def _quiet(symptoms: Symptoms) -> list[str]:
    """Said only where series of infrastructure were looked at."""
    if not symptoms.looked_at.get("metrics") or "resource" not in symptoms.looked_at:
        return []
    return [] if symptoms.looked_at.get("resource_moved") else ["No infrastructure anomalies detected"]


def _actions(suspect: Suspect, service: str | None, configuration: bool) -> tuple[str, ...]:
    deployment = suspect.delivery.deployment
    before = deployment.previous_version if deployment else None
    target = service or "the service"
    back = f"Roll back {target} to the previous version" + (f" ({before})" if before else "")
    revert = f"Revert {suspect.change.sha[:8]} in {target}"
    if configuration:
        return (f"Revert the configuration change {suspect.change.sha[:8]} of {target}", back)
    return (back, revert)


def _of_deployments(
    incident: Incident, evidence: Evidence, symptoms: Symptoms, signature: FaultSignature, judged: set[str]
) -> list[Hypothesis]:
    """Deployments whose content is not known: judged by their service and their time alone."""
    del incident
    services = {s.service: s for s in symptoms.services}
    onset = symptoms.onset or signature.first_sign
    possible = []
    for deployment in sorted(evidence.deployments.rows, key=repr):
        began = deployment.started_at or deployment.finished_at
        symptom = services.get(deployment.service or "")
        if deployment.id not in judged and began is not None and symptom is not None and began <= onset + SKEW:
            possible.append((deployment, began, symptom))
    lift = _lift([s.score for d, at, s in possible if onset - at <= JUST_BEFORE and not d.commit_sha])
    found = []
    for deployment, began, symptom in possible:
        age = max((onset - began).total_seconds(), 0.0)
        score = symptom.score * (lift if onset - began <= JUST_BEFORE and not deployment.commit_sha else 1.0)
        confidence = score * 0.9 * math.exp(-age / 14400.0) * _content_factor(evidence, deployment)
        found.append(_of_deployment(deployment, began, onset, confidence, symptom.reasons, symptoms))
    return found


def _lift(scores: Sequence[float]) -> float:
    """How much likelier releases just before the onset are than their services' symptoms alone make them.

    Where the released services show something, half of what speaks for others may be what the release did to them.
    """
    total = math.fsum(scores)
    return 1.0 + 0.5 * (1.0 - total) * min(total / SHOWN, 1.0) / total if 0.0 < total < 1.0 else 1.0


def _content_factor(evidence: Evidence, deployment: Deployment) -> float:
    """A commit that is named but was not fetched halves what time and service alone can say."""
    return 0.5 if deployment.commit_sha and evidence.code_changes.rows else 1.0


_REASONS: Mapping[str, str] = {
    "canary_errors": "The new version fails more often than the old one in the same minutes",
    "canary_latency": "The new version is slower than the old one in the same minutes",
    "version_silent": "The new version reports no requests at all, while others do",
    "edge_in": "Calls to it fail since then, and none that it makes itself",
    "edge_out": "Several of its own calls fail since then",
    "edge_below": "It lies below the calls that fail",
}


def _of_deployment(
    deployment: Deployment,
    began: datetime,
    onset: datetime,
    confidence: float,
    reasons: Sequence[str],
    symptoms: Symptoms,
) -> Hypothesis:
    target = deployment.service or "the service"
    before = f" ({deployment.previous_version})" if deployment.previous_version else ""
    began_text = (
        f"{_what_began(symptoms)} began {span(onset - began)} after deployment"
        if onset >= began
        else "It began at the onset"
    )
    worst = next((a for a in symptoms.anomalies if a.service == deployment.service), None)
    moved = [went(worst)] if worst else []
    return Hypothesis(
        category=Category.DEPLOYMENT_ISSUE,
        service=deployment.service,
        description=f"Recent deployment ({deployment.id} at {clock_on(began, onset)})",
        confidence=round(confidence, 4),
        evidence=(began_text, *(_REASONS[r] for r in reasons if r in _REASONS), *moved, *_quiet(symptoms)),
        suggested_actions=(f"Roll back {target} to the previous version{before}",),
        caused_by=CausedBy(kind="deployment", id=deployment.id),
        approach=APPROACH,
        disproved_by="the failure goes on after it is rolled back, or began before it started",
    )
