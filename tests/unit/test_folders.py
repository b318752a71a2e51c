"""Incident folders: what is read, what is reported, and that writing and reading agree."""

from __future__ import annotations

import gzip
import json
import math
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incident_pipeline.errors import InputError
from incident_pipeline.evidence.envelopes import answered, gathered
from incident_pipeline.incident_folder.metric_csv import join_labels, read_metrics, split_labels
from incident_pipeline.incident_folder.reading import incident_from, load_folder, write_folder
from incident_pipeline.incident_folder.truth import load_truth
from incident_pipeline.intake.identity import incident_id, service_slug
from incident_pipeline.models import (
    Alert,
    AlertStatus,
    CodeChange,
    Deployment,
    EnvelopeStatus,
    Evidence,
    EvidenceKind,
    FlagChange,
    IncidentStatus,
    LogEntry,
    MetricSeries,
    Service,
    Severity,
    Span,
)
from tests.examples import examples
from tests.shared_data import shared_path

ALERT = {
    "source": "custom",
    "source_id": "a1",
    "dedup_key": "a1",
    "title": "Checkout fails",
    "summary": "5xx above 2%",
    "severity": "P2",
    "status": "triggered",
    "service": "checkout",
    "environment": "production",
    "labels": {"team": "payments"},
    "started_at": "2026-11-23T14:35:00Z",
}
START = datetime(2026, 11, 23, 14, 35, tzinfo=UTC)


def folder(tmp_path: Path, **files: Any) -> Path:
    """A folder with alerts.json and the given files; `logs_jsonl="..."` becomes logs.jsonl."""
    files = {"alerts_json": [ALERT], **files}
    for name, content in files.items():
        stem, _, suffix = name.partition("_")
        path = tmp_path / f"{stem}.{suffix.replace('_', '.')}"
        data = content if isinstance(content, bytes) else None
        if data is None:
            data = (content if isinstance(content, str) else json.dumps(content)).encode()
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return tmp_path


def test_only_alerts_are_required_and_every_other_kind_is_a_gap(tmp_path: Path) -> None:
    loaded = load_folder(folder(tmp_path))
    assert loaded.incident.services == ("checkout",)
    assert loaded.incident.severity is Severity.P2
    assert loaded.incident.started_at == START
    assert {gap.kind for gap in loaded.evidence.gaps} == set(EvidenceKind) - {
        EvidenceKind.RELATED_ALERTS,
        EvidenceKind.ON_CALL,
    }
    assert loaded.evidence.logs.gaps[0].reason == "not recorded in this folder (no logs.jsonl)"
    assert loaded.notes == ()
    assert loaded.as_of == START + timedelta(minutes=1)


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "has no alerts.json"),
        ({"alerts.json": "[]"}, "has no alert in it"),
        ({"alerts.json": "{not json"}, "alerts.json: not JSON"),
        ({"alerts.json": "3"}, "expected a list of objects"),
        ({"alerts.json": '[{"severity": "P1"}]'}, "title: missing"),
        ({"alerts.json": '[{"title": "x", "started_at": "yesterday"}]'}, "started_at: 'yesterday' is not a moment"),
        ({"alerts.json": '[{"title": "x", "started_at": 0, "labels": 3}]'}, "labels: expected an object"),
        ({"alerts.json": "[" * 100_000}, "nested too deeply"),
    ],
)
def test_a_folder_without_a_readable_alert_is_one_sentence(
    tmp_path: Path, files: dict[str, str], sentence: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=re.escape(sentence)) as raised:
        load_folder(tmp_path)
    assert str(tmp_path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_path_that_is_no_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        load_folder(tmp_path / "absent")


def test_missing_is_a_gap_and_no_rows_is_an_answer(tmp_path: Path) -> None:
    loaded = load_folder(
        folder(tmp_path, deployments_json=[], logs_jsonl="", metrics_csv="timestamp,service,metric,value\n")
    )
    assert loaded.evidence.deployments.status is EnvelopeStatus.EMPTY
    assert loaded.evidence.logs.status is EnvelopeStatus.EMPTY
    assert loaded.evidence.metrics.status is EnvelopeStatus.EMPTY
    assert loaded.evidence.code_changes.status is EnvelopeStatus.UNAVAILABLE
    assert loaded.evidence.related_alerts.status is EnvelopeStatus.EMPTY


def test_malformed_lines_are_counted_numbered_and_skipped(tmp_path: Path) -> None:
    good = '{"timestamp": "2026-11-23T14:34:00Z", "service": "checkout", "level": "ERROR", "message": "boom"}'
    lines = "\n".join(
        [good, "not json", "[1]", '{"message": "no time"}', "", good, '{"timestamp": 1e300, "message": 1}']
    )
    loaded = load_folder(folder(tmp_path, logs_jsonl=lines))
    assert [entry.level for entry in loaded.evidence.logs.rows] == ["error", "error"]
    (note,) = loaded.notes
    assert note.startswith("logs.jsonl: 4 malformed lines skipped (line 2: not a JSON object, line 3:")
    assert "line 4: timestamp: missing" in note
    assert "line 7:" in note
    assert loaded.evidence.logs.envelopes[0].notes == (note,)


@pytest.mark.parametrize(
    ("name", "kind", "content"),
    [
        ("logs_jsonl", "logs", "garbage\nmore"),
        ("logs_jsonl_gz", "logs", None),
        ("metrics_csv", "metrics", "a,b,c\n1,2,3\n"),
        ("metrics_csv", "metrics", ""),
        ("metrics_csv", "metrics", "timestamp,service,metric,value\nx,a,b,1\n"),
        ("deployments_json", "deployments", "{"),
        ("deployments_json", "deployments", '"text"'),
        ("changes_json", "code_changes", '[{"message": "no sha"}]'),
        ("services_json", "service_graph", "7"),
        ("flags_json", "flag_changes", "[[]]"),
        ("traces_jsonl", "traces", '{"trace_id": "t"}'),
        ("traces_jsonl", "traces", '{"trace_id": "t", "span_id": "s", "start": 1, "duration_ms": 1e400}'),
    ],
)
def test_a_malformed_file_is_one_gap_that_names_it(tmp_path: Path, name: str, kind: str, content: str | None) -> None:
    path = folder(tmp_path, **({} if content is None else {name: content}))
    if content is None:
        (path / "logs.jsonl.gz").write_bytes(gzip.compress(b'{"timestamp": 1, "message": "m"}\n' * 900)[:40])
    loaded = load_folder(path)
    (gap,) = getattr(loaded.evidence, kind).gaps
    file = name.replace("_", ".")
    assert file in gap.reason
    assert any(file in note for note in loaded.notes)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252"])
def test_files_in_other_encodings_are_read(tmp_path: Path, encoding: str) -> None:
    alert = {**ALERT, "title": "Bezahlung schlägt fehl"}
    line = json.dumps({"timestamp": 1763908500, "message": "größer"}, ensure_ascii=False)
    path = folder(tmp_path, alerts_json=json.dumps([alert], ensure_ascii=False).encode(encoding))
    (path / "logs.jsonl").write_bytes((line + "\n" + line).encode(encoding))
    (path / "metrics.csv").write_bytes("timestamp,service,metric,value\n1,zürich,cpu,2\n".encode(encoding))
    loaded = load_folder(path)
    assert loaded.incident.title == "Bezahlung schlägt fehl"
    assert [entry.message for entry in loaded.evidence.logs.rows] == ["größer"] * 2
    assert loaded.evidence.metrics.rows[0].service == "zürich"


def test_gz_is_read_whatever_the_name_and_surrogates_and_nul_do_no_harm(tmp_path: Path) -> None:
    text = '{"timestamp": 1, "message": "a\\u0000b \\ud800 \\ud83d\\ude00", "attributes": {"k": "\\udfff"}}'
    loaded = load_folder(folder(tmp_path, logs_jsonl=gzip.compress(text.encode())))
    (entry,) = loaded.evidence.logs.rows
    assert entry.message == "ab � 😀"
    assert entry.attributes == {"k": "�"}


def test_flags_in_other_shapes_are_understood(tmp_path: Path) -> None:
    shapes = [
        {"timestamp": "2026-11-23T14:00:00Z", "flag": "a", "service": "checkout", "change": "off->on", "actor": "ops"},
        {"name": "b", "value": True, "previous_value": False, "changed_at": 1763900000},
        {"key": "c", "enabled": False, "percentage": 20},
    ]
    loaded = load_folder(folder(tmp_path, flags_json=shapes))
    a, b, c = loaded.evidence.flag_changes.rows
    assert (a.name, a.previous_value, a.value, a.actor) == ("a", "off", "on", "ops")
    assert a.changed_at == datetime(2026, 11, 23, 14, tzinfo=UTC)
    assert (b.value, b.previous_value) == ("on", "off")
    assert (c.value, c.attributes) == ("off", {"percentage": 20})


def test_flags_as_a_mapping_are_understood(tmp_path: Path) -> None:
    loaded = load_folder(folder(tmp_path, flags_json={"flags": {"a": True, "b": {"value": "v2", "service": "cart"}}}))
    assert [(flag.name, flag.value, flag.service) for flag in loaded.evidence.flag_changes.rows] == [
        ("a", "on", None),
        ("b", "v2", "cart"),
    ]


def test_unknown_fields_are_kept(tmp_path: Path) -> None:
    loaded = load_folder(
        folder(
            tmp_path,
            alerts_json=[{**ALERT, "runbook": "https://runbooks.example/1", "severity": "critical"}],
            changes_json=[{"sha": "abc", "pipeline": 7, "files": [{"filename": "a.py"}], "author": {"name": "dev"}}],
            deployments_json=[{"service": "checkout", "version": "v2", "cluster": "eu"}],
            services_json={"checkout": ["cart"], "cart": {"owner": "shop"}},
            traces_jsonl='{"trace_id":"t","span_id":"s","start":1,"http.status_code":500}',
        )
    )
    assert loaded.alerts[0].labels == {
        "runbook": "https://runbooks.example/1",
        "team": "payments",
        "severity": "critical",
    }
    assert loaded.alerts[0].severity is Severity.P1
    (change,) = loaded.evidence.code_changes.rows
    assert (change.attributes, change.files, change.author) == ({"pipeline": 7}, ("a.py",), "dev")
    (release,) = loaded.evidence.deployments.rows
    assert (release.id, release.attributes) == ("checkout@v2", {"cluster": "eu"})
    assert [(s.name, s.depends_on) for s in loaded.evidence.service_graph.rows] == [
        ("checkout", ("cart",)),
        ("cart", ()),
    ]
    assert loaded.evidence.traces.rows[0].attributes == {"http.status_code": 500}


# --- metrics ------------------------------------------------------------------------------------


def test_long_metrics_with_labels_and_missing_values() -> None:
    text = (
        "timestamp,service,metric,value\n"
        '2026-11-23T14:00:00Z,checkout,"latency_p99{version=v2,pod=a}",1.5\n'
        '2026-11-23T14:01:00Z,checkout,"latency_p99{version=v2,pod=a}",NaN\n'
        "1763906520,,up,\n"
        "1763906400,,up,1\n"
        "bad,,up,1\n"
        "1763906400,,up,word\n"
        "1763906400\n"
    )
    parsed = read_metrics("metrics.csv", text)
    latency, up = parsed.items
    assert (latency.service, latency.name, latency.labels) == ("checkout", "latency_p99", {"version": "v2", "pod": "a"})
    assert latency.values[0] == 1.5
    assert math.isnan(latency.values[1])
    assert up.service is None
    assert up.timestamps == (1763906400.0, 1763906520.0)
    assert math.isnan(up.values[1])
    assert "3 malformed lines skipped" in parsed.notes[0]
    assert "line 6: 'bad' is not a moment" in parsed.notes[0]


@pytest.mark.parametrize("time_column", ["timestamp", "time", "Time", ""])
def test_wide_metrics(time_column: str) -> None:
    text = f"{time_column},front-end|cpu,ts_auth_latency{{q=p90}},carts_error_rate\n1,2,3,4\n2,,NaN,5\n3,1\n"
    parsed = read_metrics("metrics.csv", text, {"ts_auth", "front-end"})
    assert [(s.service, s.name, s.labels) for s in parsed.items] == [
        ("front-end", "cpu", {}),
        ("ts_auth", "latency", {"q": "p90"}),
        ("carts", "error_rate", {}),
    ]
    assert parsed.items[0].timestamps == (1.0, 2.0, 3.0)
    assert parsed.items[2].values[:2] == (4.0, 5.0)
    assert math.isnan(parsed.items[2].values[2])


def test_wide_columns_that_name_no_known_service_are_plain_metrics() -> None:
    parsed = read_metrics("metrics.csv", "time,error_rate,latency_p99\n1,2,3\n", {"checkout"})
    assert [(s.service, s.name) for s in parsed.items] == [(None, "error_rate"), (None, "latency_p99")]


def test_an_index_before_the_times_is_no_series() -> None:
    parsed = read_metrics("metrics.csv", ",timestamp,cart|cpu\n0,1,5\n1,2\n2\n")
    (series,) = parsed.items
    assert (series.service, series.timestamps, series.values[0]) == ("cart", (1.0, 2.0), 5.0)
    assert "line 4: too few columns" in parsed.notes[0]


def test_further_columns_of_long_metrics_are_labels() -> None:
    parsed = read_metrics("m.csv", "Value,Metric,Time,pod,unit\n1,cpu,5,a,percent\n2,cpu,5,b,percent\n")
    assert [(s.labels, s.unit, s.values) for s in parsed.items] == [
        ({"pod": "a"}, "percent", (1.0,)),
        ({"pod": "b"}, "percent", (2.0,)),
    ]


@pytest.mark.parametrize(
    ("text", "name", "labels"),
    [
        ("up", "up", {}),
        ("a{b=c}", "a", {"b": "c"}),
        ('a{b="x,y=}", c = d}', "a", {"b": "x,y=}", "c": "d"}),
        ('a{b=""}', "a", {"b": ""}),
        ("a{}", "a", {}),
        ("a{b", "a{b", {}),
        ("a{,=}", "a{,=}", {}),
    ],
)
def test_labels_in_braces(text: str, name: str, labels: dict[str, str]) -> None:
    assert split_labels(text) == (name, labels)


label_names = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_.]{0,10}", fullmatch=True)
printable = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)


@given(name=label_names, labels=st.dictionaries(label_names, printable, max_size=4))
def test_labels_survive_writing_and_reading(name: str, labels: dict[str, str]) -> None:
    assert split_labels(join_labels(name, labels)) == (name, labels)


# --- the whole ----------------------------------------------------------------------------------


def test_the_incident_is_named_by_its_earliest_alert_and_as_bad_as_its_worst() -> None:
    first = Alert.model_validate({**ALERT, "severity": "P3"})
    second = first.model_copy(
        update={
            "severity": Severity.P1,
            "service": "cart",
            "started_at": START + timedelta(minutes=2),
            "dedup_key": "b",
        }
    )
    incident = incident_from([second, first])
    assert incident.incident_id == incident_id(first)
    assert incident.incident_id.startswith("INC-20261123-143500-checkout-")
    assert incident.services == ("checkout", "cart")
    assert incident.severity is Severity.P1
    assert incident.status is IncidentStatus.INVESTIGATING
    ended = START + timedelta(minutes=20)
    resolved = [a.model_copy(update={"status": AlertStatus.RESOLVED, "resolved_at": ended}) for a in (first, second)]
    assert incident_from(resolved).resolved_at == ended
    assert incident_from(resolved).status is IncidentStatus.RESOLVED


@given(service=st.one_of(st.none(), st.text(max_size=80)))
def test_incident_names_are_safe_partition_keys(service: str | None) -> None:
    alert = Alert.model_validate({**ALERT, "service": service})
    name = incident_id(alert)
    assert name == incident_id(alert)
    assert name.isascii()
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-INC")
    assert 0 < len(service_slug(service)) <= 40


def test_the_clock_of_a_folder_ends_with_its_evidence_but_not_hours_later(tmp_path: Path) -> None:
    line = '{{"timestamp": "{}", "message": "m"}}'
    lines = "\n".join(line.format(moment) for moment in ("2026-11-23T14:44:00Z", "2031-01-01T00:00:00Z"))
    assert load_folder(folder(tmp_path, logs_jsonl=lines)).as_of == START + timedelta(minutes=9)


moments = st.integers(1_500_000_000_000_000, 1_900_000_000_000_000).map(
    lambda us: datetime.fromtimestamp(us / 1e6, tz=UTC)
)
names = st.from_regex(r"[a-z][a-z0-9-]{0,15}", fullmatch=True)
maybe_names = st.one_of(st.none(), names)
attributes = st.dictionaries(names, st.one_of(printable, st.integers(-(2**53), 2**53), st.booleans()), max_size=2)
words = printable.map(str.strip).filter(bool).map(lambda text: " ".join(text.split())).filter(bool)
logs = st.builds(
    LogEntry,
    timestamp=moments,
    service=maybe_names,
    level=st.sampled_from([None, "info", "error", "fatal"]),
    message=printable,
    attributes=attributes,
)
deployments = st.builds(
    Deployment,
    id=names,
    service=maybe_names,
    version=maybe_names,
    started_at=st.one_of(st.none(), moments),
    finished_at=st.one_of(st.none(), moments),
    attributes=attributes.map(lambda found: {f"x-{key}": value for key, value in found.items()}),
)
changes = st.builds(
    CodeChange,
    sha=names,
    service=maybe_names,
    author=maybe_names,
    message=words,
    files=st.lists(names, max_size=3).map(tuple),
    diff=st.one_of(st.none(), words),
    additions=st.one_of(st.none(), st.integers(0, 9)),
    committed_at=st.one_of(st.none(), moments),
    focus_areas=st.lists(names, max_size=2).map(tuple),
)
flags = st.builds(
    FlagChange, name=names, service=maybe_names, value=st.sampled_from([None, "on", "off", "v2"]), changed_at=moments
)
spans = st.builds(
    Span, trace_id=names, span_id=names, parent_id=maybe_names, service=maybe_names, name=words, start=moments
)
services = st.builds(Service, name=names, depends_on=st.lists(names, max_size=3, unique=True).map(tuple))
values = st.floats(allow_nan=False)
series = st.builds(
    lambda name, service, labels, points: MetricSeries(
        name=name, service=service, labels=labels, timestamps=tuple(points), values=tuple(points.values())
    ),
    label_names,
    maybe_names,
    st.dictionaries(label_names, printable, max_size=2),
    st.dictionaries(st.integers(0, 2**33).map(float), values, min_size=1, max_size=4).map(
        lambda points: dict(sorted(points.items()))
    ),
)
ROWS = {
    EvidenceKind.LOGS: logs,
    EvidenceKind.DEPLOYMENTS: deployments,
    EvidenceKind.CODE_CHANGES: changes,
    EvidenceKind.FLAG_CHANGES: flags,
    EvidenceKind.TRACES: spans,
    EvidenceKind.SERVICE_GRAPH: services,
}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=examples(20))
@given(data=st.data())
def test_what_is_written_is_what_is_read(tmp_path: Path, data: st.DataObject) -> None:
    rows: dict[EvidenceKind, list[Any]] = {
        kind: data.draw(st.lists(strategy, max_size=3), label=kind) for kind, strategy in ROWS.items()
    }
    rows[EvidenceKind.METRICS] = data.draw(st.lists(series, max_size=3, unique_by=lambda s: (s.service, s.key)))
    recorded = data.draw(st.sets(st.sampled_from(sorted(rows))))
    evidence = Evidence(**{kind: gathered(kind, [answered(kind, "test", rows[kind])]) for kind in recorded})
    incident = incident_from([Alert.model_validate(ALERT)])
    path = tmp_path / "exported"
    write_folder(path, incident, evidence, redacted=False)
    loaded = load_folder(path)
    assert loaded.notes == ()
    assert loaded.incident == incident
    for kind in rows:
        found = getattr(loaded.evidence, kind)
        if kind in recorded:
            assert list(found.rows) == rows[kind]
            assert found.status is (EnvelopeStatus.OK if rows[kind] else EnvelopeStatus.EMPTY)
        else:
            assert found.status is EnvelopeStatus.UNAVAILABLE


def test_written_folders_hold_no_secrets_and_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    entry = LogEntry(timestamp=START, message="login with password=hunter2 failed for someone@example.org")
    alert = Alert.model_validate({**ALERT, "raw": {"api_key": "abc123def456"}})
    evidence = Evidence(logs=gathered(EvidenceKind.LOGS, [answered(EvidenceKind.LOGS, "test", [entry])]))
    for name in ("one", "two"):
        write_folder(tmp_path / name, incident_from([alert]), evidence)
    written = b"".join(p.read_bytes() for p in (tmp_path / "one").glob("*.json"))
    written += gzip.decompress((tmp_path / "one" / "logs.jsonl.gz").read_bytes())
    assert b"hunter2" not in written
    assert b"someone@example.org" not in written
    assert b"abc123def456" not in written
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_an_earlier_export_in_the_same_folder_leaves_nothing(tmp_path: Path) -> None:
    folder(
        tmp_path,
        logs_jsonl='{"timestamp": 1, "message": "old"}',
        metrics_csv="time,a|b\n1,2\n",
        truth_json={"category": "x"},
    )
    write_folder(tmp_path, incident_from([Alert.model_validate(ALERT)]), Evidence())
    assert {path.name for path in tmp_path.iterdir()} == {"alerts.json", "truth.json"}
    assert load_folder(tmp_path).evidence.logs.status is EnvelopeStatus.UNAVAILABLE


def test_ten_thousand_log_lines_and_five_hundred_series_load_whole(tmp_path: Path) -> None:
    log = (
        '{{"timestamp":"2026-11-23T14:{:02d}:00Z","service":"s{}","level":"info",'
        '"message":"request {} took 12 ms","attributes":{{"pod":"p"}}}}'
    )
    lines = "\n".join(log.format(i % 35, i % 9, i) for i in range(10_000))
    rows = [f"2026-11-23T14:{minute:02d}:00Z,s{n % 9},m{n},{n}.5" for n in range(500) for minute in range(60)]
    path = folder(tmp_path, logs_jsonl_gz=lines, metrics_csv_gz="timestamp,service,metric,value\n" + "\n".join(rows))
    loaded = load_folder(path)
    assert len(loaded.evidence.logs.rows) == 10_000
    assert len(loaded.evidence.metrics.rows) == 500


def test_every_shared_folder_loads_without_a_note() -> None:
    folders = sorted(path.parent for path in shared_path("data/incidents").glob("*/*/alerts.json"))
    assert len(folders) > 100
    for path in folders[::7]:
        loaded = load_folder(path)
        assert loaded.notes == (), path
        assert loaded.evidence.metrics.status is EnvelopeStatus.OK, path
        assert loaded.as_of >= loaded.incident.started_at
        truth = load_truth(path)
        assert truth is not None
        assert truth.dataset == path.parent.name


def test_the_cluster_goes_with_the_folder_and_moves_its_clock(tmp_path: Path) -> None:
    cluster = {"captured_at": "2026-11-23T14:40:00Z", "items": [{"kind": "Pod", "metadata": {"name": "a"}}]}
    loaded = load_folder(folder(tmp_path, kubernetes_json_gz=cluster))
    assert loaded.kubernetes == cluster
    assert loaded.as_of == START + timedelta(minutes=5)
    write_folder(tmp_path / "out", loaded.incident, loaded.evidence)
    assert load_folder(tmp_path / "out").kubernetes == cluster
    (tmp_path / "out" / "kubernetes.json.gz").write_bytes(gzip.compress(b"[]"))
    assert "kubernetes.json.gz: expected an object with a list of items" in load_folder(tmp_path / "out").notes


@pytest.mark.parametrize(
    ("text", "words"),
    [("[]", "expected one object"), ("{", "not JSON"), ('{"blast_radius": 3}', "blast_radius: ")],
)
def test_a_truth_that_cannot_be_read_is_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "truth.json").write_text(text)
    with pytest.raises(InputError, match=words):
        load_truth(tmp_path)
    assert load_truth(tmp_path / "nowhere") is None


def replica_set(service: str, revision: int, image: str, created: str) -> dict[str, Any]:
    template = {"spec": {"containers": [{"name": "app", "image": image}]}}
    return {
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{service}-{revision}f",
            "namespace": "shop",
            "annotations": {"deployment.kubernetes.io/revision": str(revision)},
            "creationTimestamp": created,
            "ownerReferences": [{"kind": "Deployment", "name": service}],
        },
        "spec": {"replicas": 1, "template": template},
    }


def test_rollouts_that_the_cluster_shows_are_deployments_where_none_were_recorded(tmp_path: Path) -> None:
    items = [
        *(replica_set("cart", n, f"r.example/cart:v{n}", f"2026-11-23T{12 + n}:00:00Z") for n in (1, 2)),
        replica_set("checkout", 4, "r.example/checkout:v4", "2026-11-23T14:20:00Z"),
        replica_set("fresh", 1, "r.example/fresh:v1", "2026-11-23T14:10:00Z"),
        replica_set("old", 9, "r.example/old:v9", "2026-11-01T14:10:00Z"),
        replica_set("odd", 3, "r.example/odd:v3", "yesterday, or so"),
    ]
    state = json.dumps({"items": items})
    alone = load_folder(folder(tmp_path, kubernetes_json=state)).evidence.deployments
    rows = {row.service: (row.previous_version, row.version, row.source) for row in alone.rows}
    assert rows == {"cart": ("v1", "v2", "kubernetes"), "checkout": (None, "v4", "kubernetes")}
    assert alone.envelopes[0].query == "kubernetes.json"

    recorded = [{"id": "d1", "service": "checkout", "version": "v4", "started_at": "2026-11-23T14:21:00Z"}]
    both = load_folder(folder(tmp_path, kubernetes_json=state, deployments_json=json.dumps(recorded)))
    assert {(row.id, row.service) for row in both.evidence.deployments.rows} == {
        ("d1", "checkout"),
        ("shop/cart:2", "cart"),
    }
    assert any("1 of them is a rollout" in note for note in both.notes)

    broken = load_folder(folder(tmp_path, kubernetes_json=state, deployments_json="[{"))
    assert broken.evidence.deployments.status is EnvelopeStatus.UNAVAILABLE, "a file that is broken stays a gap"
