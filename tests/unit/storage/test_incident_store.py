"""What one incident's file keeps, shows and refuses."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from incident_pipeline.errors import NotFoundError, StoreError
from incident_pipeline.models import (
    Category,
    Deployment,
    Diagnosis,
    Envelope,
    EnvelopeStatus,
    EvidenceKind,
    Gathered,
    Hypothesis,
    LogEntry,
    MetricSeries,
    StatusUpdate,
    Timeline,
    TimelineEntry,
)
from incident_pipeline.storage.incidents.store import IncidentStore

NOW = datetime(2026, 11, 23, 14, 35, tzinfo=UTC)
ID = "INC-20261123-143500-payments-4f2a"


@pytest.fixture
def store(tmp_path: Path) -> IncidentStore:
    return IncidentStore(tmp_path / "incidents", patience=0.3)


def write(store: IncidentStore, **values: Any) -> dict[str, Any]:
    return store.write(ID, values, run_id="run-1", as_of=NOW, now=NOW, code_versions={"logs": "3"})


def logs(*messages: str, **about: Any) -> Gathered[LogEntry]:
    lines = [LogEntry(timestamp=NOW, service="payments", message=message) for message in messages]
    return Gathered(kind=EvidenceKind.LOGS, envelopes=(Envelope.of("loki", lines, **about),))


SILENT_LOGS: Gathered[LogEntry] = Gathered(
    kind=EvidenceKind.LOGS, envelopes=(Envelope.unavailable("loki", "timed out after 8s"),)
)


def test_a_version_knows_where_it_comes_from(store: IncidentStore) -> None:
    records = store.write(
        ID,
        {
            "logs": logs("a", "b", query="{app='payments'}", seconds=0.4),
            "status_update": StatusUpdate(markdown="#", as_of=NOW),
        },
        run_id="run-7",
        as_of=NOW - timedelta(days=1),
        now=NOW,
        code_versions={"logs": "3"},
        knowledge_base_version="12",
    )
    assert store.materializations(ID, "logs") == [records["logs"]]
    record = records["logs"]
    assert (record.version, record.rows, record.status, record.code_version) == (1, 2, EnvelopeStatus.OK, "3")
    assert (record.run_id, record.as_of, record.knowledge_base_version) == ("run-7", NOW - timedelta(days=1), "12")
    assert record.sources[0]["query"] == "{app='payments'}"
    assert [r.asset for r in store.materializations(ID)] == ["logs", "status_update"]


def test_what_it_took_to_get_it_is_not_content(store: IncidentStore) -> None:
    first = write(store, logs=logs("a", seconds=0.1, query="q1"))["logs"]
    second = write(store, logs=logs("a", seconds=0.9, query="q2"))["logs"]
    assert (second.version, second.data_version) == (2, first.data_version)
    assert store.read(ID, "logs", 2).envelopes[0].query == "q2"
    assert stored_lines(store) == 1


def stored_lines(store: IncidentStore) -> int:
    with duckdb.connect(str(store.directory / f"{ID}.duckdb"), read_only=True) as connection:
        return int(connection.execute("SELECT count(*) FROM logs_versions").fetchall()[0][0])


def test_a_silent_source_never_hides_what_was_known(store: IncidentStore) -> None:
    write(store, logs=logs("a"))
    record = write(store, logs=SILENT_LOGS)["logs"]
    assert record.data_version.startswith("unavailable:")
    assert store.read(ID, "logs") == logs("a")
    assert store.read(ID, "logs", 2) == SILENT_LOGS
    with duckdb.connect(str(store.directory / f"{ID}.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT version, message FROM logs").fetchall() == [(1, "a")]


def test_an_empty_answer_is_an_answer(store: IncidentStore) -> None:
    write(store, logs=logs("a"))
    assert write(store, logs=logs())["logs"].status is EnvelopeStatus.EMPTY
    assert store.read(ID, "logs") == logs()


def test_several_assets_are_read_at_once(store: IncidentStore) -> None:
    timeline = Timeline(entries=(TimelineEntry(at=NOW, kind="alert", text="fired"),))
    write(store, logs=logs("a"), timeline=timeline, change_hypotheses=())
    assert store.read_all(ID) == {"logs": logs("a"), "timeline": timeline, "change_hypotheses": ()}
    assert store.read_all(ID, ["timeline", "symptoms"]) == {"timeline": timeline}


def test_all_of_a_write_or_none_of_it(store: IncidentStore) -> None:
    write(store, logs=logs("a"))
    with pytest.raises(StoreError, match="status_update stores StatusUpdate, not str"):
        write(store, logs=logs("b"), status_update="text")
    assert store.read(ID, "logs") == logs("a")


def test_secrets_are_not_in_the_file(store: IncidentStore) -> None:
    secret = "hunter2xyz"  # noqa: S105 - an example
    entry = LogEntry(
        timestamp=NOW,
        message=f"login with password={secret} by someone@mail.example.org",
        attributes={"api_key": secret, "nested": [{"token": secret}]},
    )
    evidence = Gathered[LogEntry](
        kind=EvidenceKind.LOGS,
        envelopes=(
            Envelope.of("loki", [entry], query=f"{{token='{secret}'}}"),
            Envelope.unavailable("b", f"token={secret}"),
        ),
    )
    series = MetricSeries(name="up", labels={"password": secret}, timestamps=(1.0,), values=(1.0,))
    write(store, logs=evidence, metrics=Gathered(kind=EvidenceKind.METRICS, envelopes=(Envelope.of("p", [series]),)))
    content = (store.directory / f"{ID}.duckdb").read_bytes()
    assert secret.encode() not in content
    assert b"someone@mail" not in content
    assert "[redacted]" in store.read(ID, "logs").rows[0].message


@pytest.mark.parametrize("name", ["../evil", "a/b", "", "a b", "x" * 300, "ünï", "a\n"])
def test_an_incident_cannot_be_a_path(store: IncidentStore, name: str) -> None:
    with pytest.raises(NotFoundError, match="is not the name of an incident"):
        store.read(name, "logs")


def test_what_is_not_there_is_said_in_a_sentence(store: IncidentStore) -> None:
    with pytest.raises(NotFoundError, match="nothing is stored of an incident INC-1"):
        store.read("INC-1", "logs")
    write(store, logs=logs("a"))
    with pytest.raises(NotFoundError, match="has no timeline yet"):
        store.read(ID, "timeline")
    with pytest.raises(NotFoundError, match="has no version 9 of logs; the newest is 1"):
        store.read(ID, "logs", 9)
    with pytest.raises(NotFoundError, match="no asset named 'lgos'; did you mean logs"):
        store.read(ID, "lgos")


def test_incidents_are_listed_and_deleted(store: IncidentStore) -> None:
    assert store.incident_ids() == []
    for name in ("INC-2", "INC-1"):
        store.write(name, {"logs": logs("a")}, run_id="r", as_of=NOW, now=NOW)
    assert store.incident_ids() == ["INC-1", "INC-2"]
    store.delete("INC-1")
    store.delete("INC-1")
    assert (store.exists("INC-1"), store.exists("INC-2")) == (False, True)
    assert sorted(path.name for path in store.directory.iterdir()) == [".locks", "INC-2.duckdb"]


def test_a_shell_that_holds_the_file_gets_a_sentence_not_a_traceback(store: IncidentStore) -> None:
    write(store, logs=logs("a"))
    with (
        duckdb.connect(str(store.directory / f"{ID}.duckdb")),
        pytest.raises(StoreError, match="is open in another program"),
    ):
        store.read(ID, "logs")
    assert store.read(ID, "logs") == logs("a")


def test_a_damaged_file_is_said_to_be_damaged(store: IncidentStore) -> None:
    store.directory.mkdir()
    (store.directory / "INC-1.duckdb").write_bytes(b"not a database" * 2000)
    with pytest.raises(StoreError, match=r"INC-1\.duckdb cannot be opened, it may be damaged"):
        store.read("INC-1", "logs")


def test_many_writers_and_readers_share_one_file(tmp_path: Path) -> None:
    store = IncidentStore(tmp_path)
    write(store, logs=logs("start"))
    failures: list[BaseException] = []

    def work(name: str) -> None:
        try:
            for number in range(4):
                write(store, logs=logs(f"{name}-{number}"))
                store.read(ID, "logs")
        except BaseException as error:  # noqa: BLE001 - reported by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [r.version for r in store.materializations(ID, "logs")] == list(range(1, 14))


def hypothesis(confidence: float, service: str) -> Hypothesis:
    return Hypothesis(
        category=Category.CODE_BUG,
        service=service,
        description="d",
        confidence=confidence,
        approach="change_correlation",
    )


def test_diff_of_rows_names_the_row_and_the_field(store: IncidentStore) -> None:
    def deployed(*found: Deployment) -> Gathered[Deployment]:
        return Gathered(kind=EvidenceKind.DEPLOYMENTS, envelopes=(Envelope.of("argo", found),))

    write(store, deployments=deployed(Deployment(id="d1", status="running"), Deployment(id="d2")))
    write(store, deployments=deployed(Deployment(id="d3"), Deployment(id="d1", status="failed", attributes={"n": 1})))
    diff = store.diff(ID, "deployments", 1, 2)
    assert ([row["id"] for row in diff.added], [row["id"] for row in diff.removed]) == (["d3"], ["d2"])
    assert [(c.row, c.field, c.before, c.after) for c in diff.changed] == [
        ("d1", "status", "running", "failed"),
        ("d1", "attributes.n", None, 1),
    ]
    assert not diff.same


def test_diff_of_a_document_goes_to_the_place_that_changed(store: IncidentStore) -> None:
    write(
        store, diagnosis=Diagnosis(summary="s", hypotheses=(hypothesis(0.4, "payments"), hypothesis(0.1, "checkout")))
    )
    write(store, diagnosis=Diagnosis(summary="s", hypotheses=(hypothesis(0.8, "payments"),)))
    diff = store.diff(ID, "diagnosis", 1, 2)
    assert (diff.added, diff.removed) == ((), ())
    assert ("hypotheses[0].confidence", 0.4, 0.8) in [(c.field, c.before, c.after) for c in diff.changed]
    assert store.diff(ID, "diagnosis", 2, 2).same


def test_diff_shows_that_a_source_fell_silent(store: IncidentStore) -> None:
    write(store, logs=logs("a", "a", "b"))
    write(store, logs=SILENT_LOGS)
    write(store, logs=logs("a"))
    assert ("sources.loki.status", "ok", "unavailable") in [
        (c.field, c.before, c.after) for c in store.diff(ID, "logs", 1, 2).changed
    ]
    assert [row["message"] for row in store.diff(ID, "logs", 1, 3).removed] == ["a", "b"]
