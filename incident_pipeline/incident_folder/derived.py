"""What one file of a folder says about another kind of evidence: rollouts, from the replica sets of the cluster.

Belongs here: adding rows that were not recorded as such. Does not belong here: reading files (`reading.py`), what a
rollout is (`evidence/rollouts.py`).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from incident_pipeline.evidence.envelopes import answered, gathered
from incident_pipeline.evidence.rollouts import rollouts
from incident_pipeline.models import Deployment, EnvelopeStatus, EvidenceKind, Gathered, KubernetesObject, Window

_BEFORE = timedelta(days=1)
"""How long before the first alert a rollout may lie."""
_UNTIL = timedelta(minutes=1)
"""A rollout of the alert's own minute is one that may have caused it."""


def with_rollouts(
    recorded: Gathered[Deployment], state: Gathered[KubernetesObject], first_alert: datetime
) -> Gathered[Deployment]:
    """The deployments that were recorded, and the rollouts of services of which none was.

    A first revision is left out: with nothing before it, it tells how old the cluster is rather than what changed.
    """
    known = {row.service for row in recorded.rows}
    window = Window(start=first_alert - _BEFORE, end=first_alert + _UNTIL)
    found = [
        row
        for row in rollouts(state.rows, window, "kubernetes")
        if row.service not in known and row.attributes.get("revision", 0) > 1
    ]
    if not found or any(
        envelope.status is EnvelopeStatus.UNAVAILABLE and envelope.query for envelope in recorded.envelopes
    ):
        return recorded
    kind = EvidenceKind.DEPLOYMENTS
    queries = [envelope.query for envelope in recorded.envelopes if envelope.query]
    notes = [note for envelope in recorded.envelopes for note in envelope.notes]
    are = "is a rollout" if len(found) == 1 else "are rollouts"
    told = f"{len(found)} of them {are} that kubernetes.json shows"
    query = " and ".join([*queries, "kubernetes.json"])
    return gathered(kind, [answered(kind, kind.value, (*recorded.rows, *found), query=query, notes=(*notes, told))])
