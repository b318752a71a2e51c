"""The whole diagnosis on small evidence."""

from __future__ import annotations

from incident_pipeline.config import Approaches, DiagnosisSettings, Scenario
from incident_pipeline.diagnosis.engine import ENGINE_VERSION, diagnose
from incident_pipeline.models import Service
from tests.unit.diagnosis.builders import deployment, evidence, incident, log, series

QUIET = [0.01, 0.012, 0.009, 0.011, 0.01] * 5 + [0.01, 0.011]


def spiking() -> object:
    return evidence(
        deployments=[deployment("deploy-abc123", -7, previous_version="v2.3.4")],
        metrics=[series("payments", "error_rate", [*QUIET, 0.4, 0.5, 0.45, 0.5])],
        logs=[log(-3, "validation failed for card 42"), log(-2, "validation failed for card 43")],
        services=[Service(name="payments")],
    )


def test_a_recent_deployment_is_named_with_its_time() -> None:
    diagnosis = diagnose(incident(), spiking(), Scenario())
    blamed = [h for h in diagnosis.hypotheses if h.caused_by.kind == "deployment"]
    assert blamed[0].description == "Recent deployment (deploy-abc123 at 14:28 UTC)"
    assert diagnosis.engine_version == ENGINE_VERSION


def test_no_evidence_is_an_answer_with_gaps_and_no_confident_cause() -> None:
    diagnosis = diagnose(incident(), evidence(), Scenario())
    assert all(h.confidence < 0.3 for h in diagnosis.hypotheses)
    assert {gap.kind for gap in diagnosis.gaps} >= {"logs", "metrics", "deployments"}
    assert diagnosis.root_cause_change is None


def test_an_approach_that_is_switched_off_says_nothing() -> None:
    off = Approaches(
        log_pattern_analysis=False, metric_correlation=False, change_correlation=False, similar_incident_match=False
    )
    diagnosis = diagnose(incident(), spiking(), Scenario(diagnosis=DiagnosisSettings(approaches=off)))
    assert diagnosis.hypotheses == ()
