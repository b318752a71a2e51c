"""The bundled incidents: complete, repeatable, diagnosed right by the general engine, and told as specified."""

from __future__ import annotations

import gzip
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest

from incident_pipeline.communication.status import status_update
from incident_pipeline.config import Scenario
from incident_pipeline.diagnosis.engine import diagnose
from incident_pipeline.diagnosis.symptoms import find_symptoms
from incident_pipeline.documents.timeline import build_timeline
from incident_pipeline.incident_folder.reading import Folder, load_folder
from incident_pipeline.incident_folder.truth import Truth, load_truth
from incident_pipeline.models import ActionType, Diagnosis, EvidenceKind, Remediation, Symptoms
from incident_pipeline.remediation.plan import plan_remediation
from tests.unit.specified_update import SPECIFIED

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/alerts.json"))
SETTINGS = Scenario()


@cache
def seen(name: str) -> tuple[Folder, Symptoms, Diagnosis, Remediation]:
    folder = load_folder(EXAMPLES / name)
    symptoms = find_symptoms(folder.incident, folder.evidence, SETTINGS.context.logs.focus_patterns)
    diagnosis = diagnose(folder.incident, folder.evidence, SETTINGS)
    return folder, symptoms, diagnosis, plan_remediation(folder.incident, folder.evidence, diagnosis, (), SETTINGS)


def truth_of(name: str) -> Truth:
    truth = load_truth(EXAMPLES / name)
    assert truth is not None
    return truth


def test_there_are_three() -> None:
    assert NAMES == ["checkout-no-change", "payments-bad-deploy", "search-flag-turned"]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_missing_or_malformed(name: str) -> None:
    folder = load_folder(EXAMPLES / name)

    assert folder.notes == ()
    assert folder.evidence.gaps == ()
    assert 15 <= len(folder.evidence.metrics.rows) <= 30
    assert 800 <= len(folder.evidence.logs.rows) <= 1500
    for kind in (EvidenceKind.DEPLOYMENTS, EvidenceKind.CODE_CHANGES, EvidenceKind.TRACES, EvidenceKind.SERVICE_GRAPH):
        assert getattr(folder.evidence, kind.value).rows, kind


def test_the_script_writes_what_is_committed(tmp_path: Path) -> None:
    subprocess.run([sys.executable, EXAMPLES / "generate.py", tmp_path], check=True, capture_output=True)

    written = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert written == sorted(p.relative_to(EXAMPLES) for name in NAMES for p in (EXAMPLES / name).iterdir())
    for path in written:
        assert _content(tmp_path / path) == _content(EXAMPLES / path), path


def _content(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data  # compressors differ between versions


@pytest.mark.parametrize("name", NAMES)
def test_the_engine_finds_the_service_and_the_category(name: str) -> None:
    _, _, diagnosis, _ = seen(name)
    truth = truth_of(name)

    assert diagnosis.services[0].service == truth.root_cause_service
    assert diagnosis.primary is not None
    assert diagnosis.primary.category in {truth.category, *truth.category_also}


@pytest.mark.parametrize("name", NAMES)
def test_no_innocent_release_is_blamed(name: str) -> None:
    _, _, diagnosis, remediation = seen(name)
    truth = truth_of(name)

    if truth.root_cause_change is not None:
        assert diagnosis.root_cause_change == truth.root_cause_change
    assert diagnosis.root_cause_deployment == truth.root_cause_deployment
    assert diagnosis.root_cause_change not in truth.decoys
    if truth.root_cause_deployment is None:
        assert ActionType.ROLLBACK not in {action.type for action in remediation.actions}


@pytest.mark.parametrize("name", NAMES)
def test_the_first_action_is_the_right_one(name: str) -> None:
    _, _, _, remediation = seen(name)

    assert remediation.actions[0].type == truth_of(name).remediation


def test_the_flag_is_named() -> None:
    _, _, diagnosis, _ = seen("search-flag-turned")

    assert diagnosis.primary is not None
    assert (diagnosis.primary.caused_by.kind, diagnosis.primary.caused_by.id) == ("flag", "search-semantic-ranking")


def payments_update() -> list[str]:
    folder, symptoms, diagnosis, remediation = seen("payments-bad-deploy")
    incident, evidence = folder.incident, folder.evidence
    timeline = build_timeline(
        incident, evidence, symptoms, diagnosis, responded_at=_at(14, 37), diagnosed_at=_at(14, 45)
    )
    update = status_update(
        incident, evidence, symptoms, diagnosis, remediation, timeline, as_of=_at(14, 55), templates=None
    )
    return update.markdown.split("\n")


def _at(hour: int, minute: int) -> datetime:
    return datetime(2026, 3, 17, hour, minute, tzinfo=UTC)


def test_the_payments_update_is_the_specified_one() -> None:
    """Line for line, but for the confidence and for what the engine adds to the evidence."""
    update, specified = payments_update(), SPECIFIED.split("\n")
    evidence = [line for line in specified if line.startswith("- ") and " - " not in line]

    assert set(evidence) <= set(update)
    assert [_plain(line) for line in update if not _is_evidence(line)] == [
        _plain(line) for line in specified if not _is_evidence(line)
    ]


def _is_evidence(line: str) -> bool:
    return line.startswith("- ") and not line[2:4].isdigit()


def _plain(line: str) -> str:
    return "**Confidence**: N%" if line.startswith("**Confidence**: ") and line.endswith("%") else line
