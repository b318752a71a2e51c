"""The commands `kb ...`, called as a shell does."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kb import IncidentSignature, KnowledgeBase
from tests.unit.cli.runner import call

NOW = datetime(2026, 11, 23, 14, 35, tzinfo=UTC)


@pytest.fixture
def data(tmp_path: Path) -> str:
    folder = tmp_path / "runbooks"
    folder.mkdir()
    (folder / "pods.md").write_text("# Pod is crash looping\n\nRead the \x1b[31mlast log\x1b[0m.")
    (folder / "disk.md").write_text("# Disk is full\n\nFree some space.")
    (folder / "broken.md").write_bytes(b"\x00\x01")
    result = call("--data-dir", str(tmp_path / "data"), "kb", "index", str(folder))
    assert result.exit_code == 0
    assert "2 new" in result.stdout
    assert "broken.md: it is binary" in result.stderr
    return str(tmp_path / "data")


def test_search_prints_what_a_person_can_read(data: str) -> None:
    result = call("--data-dir", data, "kb", "search", "pods", "crash", "looping")
    assert result.exit_code == 0
    assert "Pod is crash looping  [runbook]" in result.stdout
    assert "incident-pipeline kb show runbooks/pods.md" in result.stdout
    assert "\x1b" not in result.stdout


def test_without_the_model_words_rank_and_that_is_said(data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "words alone" not in call("--data-dir", data, "kb", "search", "disk full").stderr
    monkeypatch.setattr("kb.embedding.model_folder", lambda: None)
    result = call("--data-dir", data, "kb", "search", "disk full")
    assert "Disk is full" in result.stdout
    assert "ranked by words alone (BM25)" in result.stderr


def test_search_as_json(data: str) -> None:
    result = call("--data-dir", data, "kb", "search", "disk full", "--json", "--kind", "runbook", "--limit", "1")
    (found,) = json.loads(result.stdout)
    assert {"id", "kind", "title", "score", "probability", "snippet", "heading", "source", "date"} <= found.keys()
    assert found["id"] == "runbooks/disk.md"


def test_nothing_fits_is_exit_status_one(data: str) -> None:
    result = call("--data-dir", data, "kb", "search", "zygomorphic", "--kind", "postmortem", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == []
    assert "nothing" in result.stderr


@pytest.mark.parametrize(
    "words", [("search", "x", "--kind", "recipe"), ("search", "x", "--since", "soon"), ("search", "x", "--limit", "0")]
)
def test_wrong_usage_is_exit_status_two(data: str, words: tuple[str, ...]) -> None:
    assert call("--data-dir", data, "kb", *words).exit_code == 2


def test_show_and_stats(data: str) -> None:
    assert "Free some space." in call("--data-dir", data, "kb", "show", "runbooks/disk.md").stdout
    assert call("--data-dir", data, "kb", "show", "nothing").exit_code == 1
    stats = json.loads(call("--data-dir", data, "kb", "stats", "--json").stdout)
    assert stats["documents"] == {"runbook": 2}


def test_evaluate_writes_rankings_in_the_order_of_the_input(data: str, tmp_path: Path) -> None:
    queries, rankings = tmp_path / "queries.jsonl", tmp_path / "rankings.jsonl"
    asked = [
        {"query": "no space left on the disk", "relevant": ["runbooks/disk.md"]},
        {"query": "zygomorphic", "relevant": []},
        {"query": "crash looping", "relevant": ["runbooks/pods.md"]},
    ]
    queries.write_text("\n".join(map(json.dumps, asked)))
    result = call("--data-dir", data, "kb", "evaluate", str(queries), "--json", "--rankings", str(rankings))
    measured = json.loads(result.stdout)
    assert measured["recall@1"] == 1.0
    assert (measured["queries"], measured["scored"]) == (3, 2)
    written = [json.loads(line) for line in rankings.read_text().splitlines()]
    assert [record["query"] for record in written] == [record["query"] for record in asked]
    assert all(len(record["ranking"]) == len(record["probabilities"]) for record in written)


def test_without_a_path_the_starter_corpus_is_indexed(tmp_path: Path) -> None:
    result = call("--data-dir", str(tmp_path), "kb", "index", "--json")
    assert json.loads(result.stdout)["new"] >= 55
    assert json.loads(call("--data-dir", str(tmp_path), "kb", "index", "--json").stdout)["new"] == 0


def test_similar_explains_itself(tmp_path: Path) -> None:
    past = IncidentSignature(
        "INC-OLD",
        "Payment errors",
        "payments answers 500",
        services=("payments",),
        alert_names=("PaymentErrorRate",),
        started_at=NOW - timedelta(days=3),
        ended_at=NOW - timedelta(days=2),
        cause="a release without a null check",
        fixed_by="rollback",
    )
    present = IncidentSignature(
        "INC-NEW", "Payment errors", "payments answers 500", ("payments",), (), ("PaymentErrorRate",), started_at=NOW
    )
    KnowledgeBase.open(tmp_path / "knowledge_base.duckdb").add(signatures=[past, present])
    result = call("--data-dir", str(tmp_path), "kb", "similar", "INC-NEW")
    assert result.exit_code == 0
    assert "INC-OLD" in result.stdout
    assert "same service: payments" in result.stdout
    assert "fixed by: rollback" in result.stdout
    assert call("--data-dir", str(tmp_path), "kb", "similar", "INC-NONE").exit_code == 1


def test_a_cause_that_postmortems_tell_of_twice_is_listed_with_what_is_to_be_done(tmp_path: Path) -> None:
    folder = tmp_path / "postmortems"
    folder.mkdir()
    head = "---\nkind: postmortem\nservices: [payments]\ncategory: code_bug\ndate: {date}\n---\n# {title}\n\n"
    body = "Root cause: a release without a null check\n\n## Action items\n\n- [{mark}] {todo}\n"
    for name, date, mark, todo in (
        ("first", "2026-01-12", " ", "Add a canary for payments"),
        ("second", "2026-03-02", "x", "Write the missing test"),
    ):
        written = head.format(date=date, title=f"Payments {name}") + body.format(mark=mark, todo=todo)
        (folder / f"{name}.md").write_text(written)
    other = head.format(date="2026-02-01", title="Payments disk") + "Root cause: a full disk of the database\n"
    (folder / "third.md").write_text(other)
    assert call("--data-dir", str(tmp_path / "data"), "kb", "index", str(folder)).exit_code == 0
    (found,) = json.loads(call("--data-dir", str(tmp_path / "data"), "kb", "recurring", "--json").stdout)
    assert found["incident_ids"] == ["postmortems/first.md", "postmortems/second.md"]
    printed = call("--data-dir", str(tmp_path / "data"), "kb", "recurring").stdout
    assert "2 times  payments: a release without a null check" in printed
    assert "to do: Add a canary for payments" in printed
    assert "Write the missing test" not in printed


def test_a_damaged_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "knowledge_base.duckdb").write_bytes(b"broken" * 5000)
    result = call("--data-dir", str(tmp_path), "kb", "search", "anything")
    assert result.exit_code == 1
    assert "knowledge_base.duckdb" in result.stderr
    assert "kb index" in result.stderr
    (tmp_path / "note.md").write_text("# A note\n\nabout anything")
    again = call("--data-dir", str(tmp_path), "kb", "index", str(tmp_path / "note.md"))
    assert again.exit_code == 0
    assert "moved to" in again.stderr
    assert call("--data-dir", str(tmp_path), "kb", "search", "anything").exit_code == 0


def test_a_deleted_file_leaves_the_index(data: str, tmp_path: Path) -> None:
    (tmp_path / "runbooks" / "disk.md").unlink()
    result = call("--data-dir", data, "kb", "index", str(tmp_path / "runbooks"), "--json")
    assert json.loads(result.stdout)["removed"] == 1
    assert call("--data-dir", data, "kb", "show", "runbooks/disk.md").exit_code == 1
    assert call("--data-dir", data, "kb", "show", "runbooks/pods.md").exit_code == 0
