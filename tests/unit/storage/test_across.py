"""SQL over all incidents: what it sees, and what it must not reach."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from incident_pipeline.errors import ConfigurationError, StoreError
from incident_pipeline.models import Deployment, Envelope, EvidenceKind, Gathered, LogEntry
from incident_pipeline.storage.incidents.across import frame, query
from incident_pipeline.storage.incidents.store import IncidentStore

NOW = datetime(2026, 11, 23, 14, 35, tzinfo=UTC)


def logs(*messages: str) -> Gathered[LogEntry]:
    lines = [LogEntry(timestamp=NOW, message=message, attributes={"pod": "a"}) for message in messages]
    return Gathered(kind=EvidenceKind.LOGS, envelopes=(Envelope.of("loki", lines),))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Two incidents; the second one's newest logs have no answer. The folder's name would break careless SQL."""
    folder = tmp_path / "it's data"
    store = IncidentStore(folder)
    deployed = Gathered[Deployment](
        kind=EvidenceKind.DEPLOYMENTS, envelopes=(Envelope.of("argo", [Deployment(id="d1", version="v2")]),)
    )
    silent = Gathered[LogEntry](kind=EvidenceKind.LOGS, envelopes=(Envelope.unavailable("loki", "timed out"),))
    writes = [
        ("INC-1", {"logs": logs("a"), "deployments": deployed}),
        ("INC-1", {"logs": logs("b", "c")}),
        ("INC-2", {"logs": logs("d")}),
        ("INC-2", {"logs": silent}),
    ]
    for number, (incident_id, values) in enumerate(writes):
        store.write(incident_id, values, run_id=f"run-{number}", as_of=NOW, now=NOW + timedelta(minutes=number))
    return folder


def test_every_asset_shows_its_newest_answer_of_every_incident(directory: Path) -> None:
    answer = query(directory, "SELECT incident_id, version, run_id, message FROM logs ORDER BY ALL")
    assert answer.columns == ("incident_id", "version", "run_id", "message")
    assert answer.rows == [("INC-1", 2, "run-1", "b"), ("INC-1", 2, "run-1", "c"), ("INC-2", 1, "run-2", "d")]


def test_every_version_can_be_asked_for(directory: Path) -> None:
    answer = query(
        directory, "SELECT version, count(*) FROM Logs_Versions WHERE incident_id = 'INC-1' GROUP BY 1 ORDER BY 1"
    )
    assert answer.rows == [(1, 1), (2, 2)]


def test_assets_and_records_join(directory: Path) -> None:
    answer = query(
        directory,
        "WITH d AS (SELECT * FROM deployments) SELECT d.deployment_version, m.version, m.as_of, m.status "
        "FROM d JOIN materializations m ON m.incident_id = d.incident_id AND m.asset = 'logs' ORDER BY m.version",
    )
    assert answer.rows == [("v2", 1, NOW, "ok"), ("v2", 2, NOW, "ok")]


def test_cells_are_what_json_has(directory: Path) -> None:
    answer = query(
        directory,
        "SELECT attributes, timestamp, INTERVAL 90 SECONDS, DATE '2026-01-02', 1.5::DECIMAL(4, 2), sum(1)::HUGEINT,"
        " [1, 2], {'a': timestamp}, uuid() IS NULL FROM logs GROUP BY ALL LIMIT 1",
    )
    assert answer.rows[0] == ({"pod": "a"}, NOW, 90.0, "2026-01-02", 1.5, 3, [1, 2], {"a": NOW}, False)


def test_an_asset_that_nobody_stored_is_an_empty_table(directory: Path) -> None:
    assert query(directory, "SELECT * FROM postmortem").rows == []
    assert query(directory / "absent", "SELECT count(*) FROM logs").rows == [(0,)]
    assert ("timeline",) in query(directory, "SHOW TABLES").rows


def test_more_than_the_limit_is_said(directory: Path) -> None:
    answer = query(directory, "SELECT message FROM logs ORDER BY 1", limit=2)
    assert (answer.rows, answer.truncated) == ([("b",), ("c",)], True)
    assert not query(directory, "SELECT message FROM logs", limit=3).truncated


@pytest.mark.parametrize(
    ("sql", "sentence"),
    [
        ("selec 1", "this is not SQL that can be read: Parser Error"),
        ("", "one query at a time, please; this is 0"),
        ("SELECT 1; SELECT 2", "one query at a time, please; this is 2"),
        ("SELECT nope FROM logs", "the query does not work: Binder Error"),
        ("SELECT * FROM nope", "does not exist.*; the tables are raw_alerts, incident"),
        ("SELECT * FROM directory", "does not exist"),
        ("COPY logs TO 'x.csv'", "only queries that read are allowed .*not COPY"),
        ("DROP TABLE logs", "not DROP"),
        ("ATTACH 'x.duckdb'", "not ATTACH"),
        ("INSTALL httpfs", "not LOAD"),
        ("SET enable_external_access = true", "not SET"),
        ("DELETE FROM logs", "not DELETE"),
        ("SELECT * FROM read_csv('/etc/passwd')", "read what is stored of incidents and nothing else"),
        ("SELECT * FROM read_text('/etc/hostname')", "nothing else"),
        ("SELECT * FROM glob('/*')", "nothing else"),
        ("SELECT * FROM '/etc/passwd'", "does not work|nothing else"),
        ("SELECT * FROM read_parquet('https://example.com/x')", "does not work|nothing else"),
    ],
)
def test_a_query_only_reads_what_is_stored(directory: Path, sql: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        query(directory, sql)


def test_an_incident_that_cannot_be_read_is_named_and_the_others_answer(directory: Path) -> None:
    (directory / "INC-3.duckdb").write_bytes(b"damaged" * 5000)
    with duckdb.connect(str(directory / "INC-2.duckdb")):
        answer = query(directory, "SELECT DISTINCT incident_id FROM logs", patience=0.1)
    assert answer.rows == [("INC-1",)]
    assert [sentence.split()[0] for sentence in answer.unreadable] == ["INC-2.duckdb", "INC-3.duckdb"]
    with pytest.raises(StoreError, match=r"INC-3\.duckdb cannot be opened"):
        frame(directory, "SELECT * FROM logs", patience=0.1)


def test_a_file_of_an_older_model_is_asked_as_well(directory: Path) -> None:
    with duckdb.connect(str(directory / "INC-2.duckdb")) as connection:
        connection.execute("DROP VIEW logs")
        connection.execute("ALTER TABLE logs_versions DROP COLUMN level")
    answer = query(directory, "SELECT incident_id, level, message FROM logs ORDER BY message")
    assert answer.rows[-1] == ("INC-2", None, "d")


def test_no_file_stays_open(directory: Path) -> None:
    query(directory, "SELECT * FROM logs")
    with duckdb.connect(str(directory / "INC-1.duckdb")) as connection:
        connection.execute("CREATE TABLE still_writable (x INTEGER)")


def test_analysts_get_a_frame(directory: Path) -> None:
    found = frame(directory, "SELECT incident_id, count(*) AS lines FROM logs GROUP BY 1 ORDER BY 1")
    assert found.to_dict("list") == {"incident_id": ["INC-1", "INC-2"], "lines": [2, 1]}
