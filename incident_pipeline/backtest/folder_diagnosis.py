"""One incident folder in, its diagnosis out: what `diagnose` and `backtest` do with a folder.

Belongs here: reading, diagnosing and the record that is printed. Does not belong here: scoring against the truth.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from incident_pipeline.config import Scenario
from incident_pipeline.diagnosis.engine import diagnose
from incident_pipeline.incident_folder.reading import Folder, load_folder
from incident_pipeline.models import Diagnosis, Remediation
from incident_pipeline.remediation.plan import plan_remediation


@dataclass(frozen=True)
class DiagnosedFolder:
    """A folder with its diagnosis and how long both took."""

    folder: Folder
    diagnosis: Diagnosis
    remediation: Remediation
    seconds: float


def diagnose_folder(path: Path, settings: Scenario) -> DiagnosedFolder:
    """Read and diagnose one folder; nothing is stored or sent.

    Raises:
        InputError: there is no such folder, or no alert in it can be read.
    """
    began = time.perf_counter()
    folder = load_folder(path)
    diagnosis = diagnose(folder.incident, folder.evidence, settings)
    remediation = plan_remediation(folder.incident, folder.evidence, diagnosis, (), settings)
    return DiagnosedFolder(folder, diagnosis, remediation, time.perf_counter() - began)


def diagnosis_record(diagnosed: DiagnosedFolder) -> dict[str, Any]:
    """The diagnosis in the shape of the interface, ready for JSON."""
    diagnosis = diagnosed.diagnosis
    return {
        "folder": str(diagnosed.folder.path),
        "incident_id": diagnosed.folder.incident.incident_id,
        "seconds": round(diagnosed.seconds, 4),
        "summary": diagnosis.summary,
        "onset": diagnosis.onset.isoformat().replace("+00:00", "Z") if diagnosis.onset else None,
        "hypotheses": [h.model_dump(mode="json") for h in diagnosis.hypotheses],
        "services": [s.model_dump(mode="json") for s in diagnosis.services],
        "first_failing_service": diagnosis.first_failing_service,
        "blast_radius": list(diagnosis.blast_radius),
        "root_cause_change": diagnosis.root_cause_change,
        "root_cause_deployment": diagnosis.root_cause_deployment,
        "remediation": [a.model_dump(mode="json") for a in diagnosed.remediation.actions],
        "gaps": [{"source": g.source, "kind": g.kind, "reason": g.reason} for g in diagnosis.gaps],
        "engine_version": diagnosis.engine_version,
        "notes": list(diagnosed.folder.notes),
    }
