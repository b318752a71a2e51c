"""What is stored, as scripts and people get to see it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from incident_pipeline.incident_folder.reading import load_folder
from incident_pipeline.models import (
    ActionType,
    Alert,
    Category,
    CausedBy,
    Deployment,
    Diagnosis,
    Envelope,
    EvidenceKind,
    Gap,
    Gathered,
    Hypothesis,
    Incident,
    LogEntry,
    MetricSeries,
    Postmortem,
    Remediation,
    RemediationAction,
    Severity,
    StatusUpdate,
    Timeline,
    TimelineEntry,
)
from incident_pipeline.storage.incidents.store import IncidentStore
from tests.unit.cli.runner import call

NOW = datetime(2026, 11, 23, 14, 35, tzinfo=UTC)
ID = "INC-20261123-143500-payments-4f2a"
CAUSE = Hypothesis(
    category=Category.DEPLOYMENT_ISSUE,
    service="payments",
    description="Recent deployment (d1 at 14:28 UTC)",
    confidence=0.75,
    evidence=("Errors began 4 minutes after it",),
    caused_by=CausedBy(kind="deployment", id="d1"),
    approach="change_correlation",
    disproved_by="the failure goes on after a rollback",
)
ROLLBACK = RemediationAction(
    action_id="a1",
    type=ActionType.ROLLBACK,
    title="Rollback to v2.3.4",
    target="payments",
    command="kubectl rollout undo x",
)


def evidence(kind: EvidenceKind, *rows: Any) -> Gathered[Any]:
    return Gathered(kind=kind, envelopes=(Envelope.of("folder", rows),))


def diagnosis(confidence: float) -> Diagnosis:
    gap = Gap(kind="traces", source="tempo", reason="timed out", could_have_told="where errors start")
    return Diagnosis(
        summary="Payments fail.", hypotheses=(CAUSE.model_copy(update={"confidence": confidence}),), gaps=(gap,)
    )


@pytest.fixture
def data(tmp_path: Path) -> str:
    """A data directory with one incident, diagnosed twice."""
    alert = Alert(
        source="pagerduty", source_id="1", dedup_key="1", title="Payment errors", service="payments", started_at=NOW
    )
    incident = Incident(
        incident_id=ID,
        title="Payment \x1b[31merrors",
        severity=Severity.P1,
        services=("payments",),
        alerts=(alert,),
        started_at=NOW,
    )
    store = IncidentStore(tmp_path / "incidents")

    def write(run_id: str, **values: Any) -> None:
        store.write(ID, values, run_id=run_id, as_of=NOW, now=NOW + timedelta(minutes=int(run_id[-1])))

    write(
        "run-1",
        incident=incident,
        logs=evidence(EvidenceKind.LOGS, LogEntry(timestamp=NOW, service="payments", level="error", message="boom")),
        metrics=evidence(EvidenceKind.METRICS, MetricSeries(name="errors", timestamps=(1.0, 2.0), values=(1.0, 2.0))),
        deployments=evidence(EvidenceKind.DEPLOYMENTS, Deployment(id="d1", service="payments", finished_at=NOW)),
        traces=Gathered(kind=EvidenceKind.TRACES, envelopes=(Envelope.unavailable("tempo", "timed out"),)),
        diagnosis=diagnosis(0.5),
        change_hypotheses=(CAUSE,),
        remediation=Remediation(actions=(ROLLBACK,)),
        timeline=Timeline(entries=(TimelineEntry(at=NOW, kind="alert", text="Alert triggered", source="pagerduty"),)),
        status_update=StatusUpdate(markdown="# Update", as_of=NOW),
    )
    write("run-2", diagnosis=diagnosis(0.75))
    return str(tmp_path)


def printed(data: str, *words: str) -> str:
    result = call(*words, "--data-dir", data)
    assert result.exit_code == 0, result.output
    return result.stdout


def as_json(data: str, *words: str) -> Any:
    return json.loads(printed(data, *words, "--json"))


def test_show_says_what_where_why_and_what_to_do(data: str) -> None:
    text = printed(data, "show", ID)
    for words in (
        "P1 investigating: Payment",
        "payments, 1 alert",
        "Most likely: Recent deployment (d1 at 14:28 UTC) (75%)",
        "  - Errors began 4 minutes after it",
        "Wrong if: the failure goes on after a rollback",
        "Not known: traces from tempo: timed out; it could have told where errors start",
        "1. Rollback to v2.3.4 (proposed, risk low, waits for approval)",
        "id: a1",
        "diagnosis v2",
        "traces v1 unavailable",
    ):
        assert words in text
    assert "\x1b[31m" not in text


def test_show_as_json_has_the_diagnosis_in_its_shape(data: str) -> None:
    shown = as_json(data, "show", ID)
    assert shown["incident"]["incident_id"] == shown["incident_id"] == ID
    assert shown["status_message"] == "# Update"
    found = shown["diagnosis"]
    assert found["hypotheses"][0]["confidence"] == 0.75
    assert found["hypotheses"][0]["caused_by"] == {"kind": "deployment", "id": "d1"}
    assert found["remediation"][0]["action_id"] == "a1"
    assert found["gaps"][0]["source"] == "tempo"
    assert {"root_cause_change", "root_cause_deployment", "services", "blast_radius", "first_failing_service"} <= set(
        found
    )
    assert {"name": "logs", "version": 1, "rows": 1, "status": "ok", "run_id": "run-1"}.items() <= next(
        asset for asset in shown["assets"] if asset["name"] == "logs"
    ).items()


@pytest.mark.parametrize(
    ("asset", "words"),
    [
        ("logs", "boom"),
        ("metrics", "errors"),
        ("traces", "tempo: unavailable, timed out"),
        ("deployments", "d1"),
        ("change_hypotheses", "1: Recent deployment"),
        ("timeline", "2026-11-23 14:35:00Z  Alert triggered (pagerduty)"),
        ("status_update", "# Update"),
        ("incident", f"incident_id: {ID}"),
        ("remediation", "Rollback"),
    ],
)
def test_every_shape_of_asset_can_be_looked_at(data: str, asset: str, words: str) -> None:
    assert words in printed(data, "show", ID, asset)
    assert as_json(data, "show", ID, asset)


def test_show_at_a_version(data: str) -> None:
    assert as_json(data, "show", ID, "diagnosis", "--version", "1")["hypotheses"][0]["confidence"] == 0.5
    assert "(50%)" in printed(data, "show", ID, "diagnosis", "--version", "1")
    assert call("show", ID, "--version", "1", "--data-dir", data).exit_code == 2


def test_versions_and_their_difference(data: str) -> None:
    assert [record["version"] for record in as_json(data, "versions", ID, "diagnosis")] == [1, 2]
    assert len(printed(data, "versions", ID).splitlines()) == 12
    assert printed(data, "diff", ID, "diagnosis", "1", "2") == "~ hypotheses[0].confidence: 0.5 -> 0.75\n"
    assert as_json(data, "diff", ID, "diagnosis", "1", "2")["changed"] == [
        {"row": "", "field": "hypotheses[0].confidence", "before": 0.5, "after": 0.75}
    ]
    assert "has the same content" in printed(data, "diff", ID, "logs", "1", "1")


def test_sql_prints_rows(data: str) -> None:
    query = "SELECT incident_id, version, run_id, message, attributes, timestamp FROM logs"
    row = {"incident_id": ID, "version": 1, "run_id": "run-1", "message": "boom", "attributes": {}}
    assert as_json(data, "sql", query) == [row | {"timestamp": "2026-11-23T14:35:00Z"}]
    assert "boom" in printed(data, "sql", query)


def test_documents_and_actions(data: str) -> None:
    assert as_json(data, "actions", ID)[0]["requires_approval"] is True
    assert as_json(data, "timeline", ID)[0]["text"] == "Alert triggered"
    missing = call("postmortem", ID, "--data-dir", data)
    assert (missing.exit_code, "written when the incident is resolved" in missing.stderr) == (1, True)
    written = Postmortem(title="T", date="2026-11-23", severity=Severity.P1, summary="s", markdown="# Postmortem")
    IncidentStore(Path(data) / "incidents").write(ID, {"postmortem": written}, run_id="run-3", as_of=NOW, now=NOW)
    assert printed(data, "postmortem", ID) == "# Postmortem\n"


def test_an_exported_folder_holds_the_stored_evidence(data: str, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    assert "alerts.json" in as_json(data, "export", ID, str(folder))["files"]
    loaded = load_folder(folder)
    assert [entry.message for entry in loaded.evidence.logs.rows] == ["boom"]
    assert loaded.evidence.metrics.rows[0].values == (1.0, 2.0)
    assert loaded.incident.alerts[0].title == "Payment errors"
    assert not (folder / "traces.jsonl.gz").exists()


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (["show", "INC-0"], 1, "nothing is stored of an incident INC-0"),
        (["show", "../x"], 1, "is not the name of an incident"),
        (["show", ID, "lgos"], 1, "there is no asset named 'lgos'; did you mean logs?"),
        (["show", ID, "logs", "--version", "7"], 1, "has no version 7 of logs; the newest is 1"),
        (["versions", ID, "symptoms"], 1, "has no symptoms yet"),
        (["diff", ID, "logs", "1", "9"], 1, "has no version 9"),
        (["sql", "DROP TABLE logs"], 2, "only queries that read are allowed"),
        (["sql", "SELECT nope FROM logs"], 2, "the query does not work"),
        (["export", "INC-0", "x"], 1, "nothing is stored"),
    ],
)
def test_mistakes_get_one_sentence(data: str, words: list[str], status: int, sentence: str) -> None:
    result = call(*words, "--data-dir", data)
    assert (result.exit_code, result.stdout) == (status, "")
    assert sentence in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_an_unreadable_incident_is_said_and_counts_as_a_problem(data: str) -> None:
    (Path(data) / "incidents" / "INC-9.duckdb").write_bytes(b"damaged" * 5000)
    result = call("sql", "SELECT count(*) AS n FROM logs", "--json", "--data-dir", data)
    assert (result.exit_code, json.loads(result.stdout)) == (1, [{"n": 1}])
    assert "Left out: INC-9.duckdb cannot be opened" in result.stderr
