"""Whether an action helped: the series that was named before is read again, and compared with its threshold.

Belongs here: the one question to the source of metrics. Does not belong here: choosing and judging (`series_check.py`),
and whether the action was carried out at all; that is the executor's.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from incident_pipeline.application import Application
from incident_pipeline.models import EvidenceKind
from incident_pipeline.remediation.records import Execution, Verification
from incident_pipeline.remediation.series_check import judge_series


def verify_effect(application: Application, execution: Execution, now: datetime) -> tuple[Verification, str]:
    """Read the series of an execution again and judge it; PENDING where that cannot be told yet and is asked again."""
    from incident_pipeline.evidence.gather import gather_now

    check = execution.action.check
    if check is None:
        return Verification.NONE, "no series was named"
    incident = application.inbox.incident(execution.incident_id)
    narrow = incident.model_copy(update={"services": (check.service,) if check.service else incident.services})
    sources = application.sources()
    found = gather_now([EvidenceKind.METRICS], sources, narrow, application.scenario, now)[EvidenceKind.METRICS]
    if found.rows:
        outcome, text = judge_series(check, found.rows, now)
    else:
        outcome, text = Verification.UNTOLD, "; ".join(gap.reason for gap in found.gaps) or "no series was found"
    done_at = execution.finished_at or now
    deadline = (
        done_at + timedelta(seconds=check.within_seconds) + application.scenario.remediation.execution.keep_asking
    )
    asked = bool(sources.get(EvidenceKind.METRICS))
    return (Verification.PENDING if outcome is Verification.UNTOLD and asked and now < deadline else outcome), text
