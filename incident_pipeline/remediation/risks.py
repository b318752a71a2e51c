"""What makes an action riskier than it looks, from the evidence; pure.

Belongs here: the table of reasons. Does not belong here: what the risk means for who must agree (`policy.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from incident_pipeline.documents.wording import count
from incident_pipeline.models import ActionType, Deployment, Evidence, RemediationAction, Risk

_TAKES_BACK = frozenset({ActionType.ROLLBACK, ActionType.ROLL_FORWARD, ActionType.CONFIG_REVERT})
_MIGRATION = re.compile(
    r"(^|/)(migrations?|migrate|alembic|flyway|liquibase)(/|[._-])|(^|/)schema\.(rb|prisma)$|\.sql$", re.IGNORECASE
)
_ALTERS = re.compile(
    r"^\+.*\b(alter|drop|create|rename)\s+(table|column|index|type|schema)\b", re.IGNORECASE | re.MULTILINE
)
_ROLLBACK = re.compile(r"roll.?back|undo|revert", re.IGNORECASE)
_FAILED = re.compile(r"fail|error|abort|cancel", re.IGNORECASE)
_ORDER = tuple(Risk)

Reason = Callable[[RemediationAction, Deployment | None, Evidence], str | None]


def with_risk(action: RemediationAction, deployment: Deployment | None, evidence: Evidence) -> RemediationAction:
    """The action with its risk raised as far as the reasons that apply ask for, each reason in a sentence.

    Args:
        action: as it was proposed.
        deployment: the one that it takes back, where it takes one back.
        evidence: where the reasons are looked up.
    """
    risk, reasons = action.risk, list(action.risk_reasons)
    for reason, least in _REASONS:
        said = reason(action, deployment, evidence) if action.type in _TAKES_BACK else None
        if said is not None:
            reasons.append(said)
            risk = max(risk, least, key=_ORDER.index)
    return action.model_copy(update={"risk": risk, "risk_reasons": tuple(reasons)})


def _migration(_action: RemediationAction, deployment: Deployment | None, evidence: Evidence) -> str | None:
    """Code can be taken back, what a migration did to the data cannot."""
    released = deployment.commit_sha if deployment else None
    for change in evidence.code_changes.rows:
        same = released is not None and (change.sha.startswith(released) or released.startswith(change.sha))
        ours = same or (deployment is None and change.service in (None, _action.target))
        found = [name for name in change.files if _MIGRATION.search(name)]
        if ours and (found or _ALTERS.search(change.diff or "")):
            where = f" ({found[0]})" if found else ""
            return f"the change has a schema migration in it{where}: the version before may not fit the data"
    return None


def _later_deployments(_action: RemediationAction, deployment: Deployment | None, evidence: Evidence) -> str | None:
    if deployment is None or deployment.at is None:
        return None
    later = [
        other
        for other in evidence.deployments.rows
        if other.at is not None
        and other.at > deployment.at
        and other.id != deployment.id
        and (other.service, other.environment) == (deployment.service, deployment.environment)
        and not _FAILED.search(other.status or "")
    ]
    return f"{count(len(later), 'later deployment')} on top of it would be taken back, too" if later else None


def _failed_rollback(action: RemediationAction, _deployment: Deployment | None, evidence: Evidence) -> str | None:
    for other in evidence.deployments.rows:
        words = f"{other.strategy or ''} {other.status or ''} {other.id}"
        if other.service == action.target and _ROLLBACK.search(words) and _FAILED.search(other.status or ""):
            return f"a rollback of it failed before ({other.id})"
    return None


_REASONS: tuple[tuple[Reason, Risk], ...] = (
    (_migration, Risk.HIGH),
    (_later_deployments, Risk.MEDIUM),
    (_failed_rollback, Risk.HIGH),
)
"""What raises the risk of taking a change back, and to what at least."""
