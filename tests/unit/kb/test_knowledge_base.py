"""Open, add, search, and what another reader or writer sees meanwhile."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kb import DamagedIndexError, Document, IncidentSignature, KnowledgeBase, UnreadableError

NOW = datetime(2026, 11, 23, 14, 35, tzinfo=UTC)
DOCUMENTS = (
    Document("rb/crash", "runbook", "KubePodCrashLooping", "# Pod restarts\n\nRead the last log of the container."),
    Document("rb/disk", "runbook", "NodeFilesystemFull", "# Disk\n\nDelete old images. Volume has no space left."),
    Document("pm/1", "postmortem", "Checkout outage", "A certificate expired on the load balancer.", date=NOW),
    Document("inc/1", "incident", "Payments errors", "Connection pool exhausted.", date=NOW - timedelta(days=200)),
)


@pytest.fixture
def kb(tmp_path: Path) -> KnowledgeBase:
    opened = KnowledgeBase.open(tmp_path / "kb.duckdb")
    opened.add(DOCUMENTS)
    return opened


def test_the_right_document_comes_first(kb: KnowledgeBase) -> None:
    found = kb.search("a pod is crash looping and restarts all the time")
    assert found[0].id == "rb/crash"
    assert found[0].why
    assert 0 <= found[0].probability <= 1
    assert found[0].heading == "Pod restarts"
    assert "last log" in found[0].snippet


def test_filters(kb: KnowledgeBase) -> None:
    text = "checkout payments pod disk certificate connection"
    assert {r.kind for r in kb.search(text, kind="runbook")} == {"runbook"}
    assert "inc/1" not in {r.id for r in kb.search(text, since=NOW - timedelta(days=90))}
    assert "pm/1" not in {r.id for r in kb.search(text, before=NOW)}
    assert len(kb.search(text, limit=1)) == 1
    assert kb.search(text, limit=0) == []


def test_nothing_found_is_an_answer(kb: KnowledgeBase) -> None:
    assert kb.search("zygomorphic quuxification") == []
    assert kb.search("") == []
    assert kb.search("the of and") == []


def test_an_empty_memory_answers(tmp_path: Path) -> None:
    empty = KnowledgeBase.open(tmp_path / "none.duckdb")
    assert empty.search("anything") == []
    assert empty.version == "0"
    assert not (tmp_path / "none.duckdb").exists()


def test_unchanged_documents_change_nothing(kb: KnowledgeBase) -> None:
    version, stamp = kb.version, kb.path.stat().st_mtime_ns
    added = kb.add(DOCUMENTS)
    assert (added.new, added.changed, added.unchanged) == (0, 0, 4)
    assert kb.version == version
    assert kb.path.stat().st_mtime_ns == stamp


def test_a_changed_document_replaces_the_old_one(kb: KnowledgeBase) -> None:
    added = kb.add([Document("rb/disk", "runbook", "NodeFilesystemFull", "Prune the journal.")])
    assert (added.new, added.changed) == (0, 1)
    assert kb.search("prune journal")[0].id == "rb/disk"
    assert kb.search("images volume") == []
    assert len(kb.documents) == 4


def test_a_removed_document_leaves_the_index_and_stays_in_history(kb: KnowledgeBase) -> None:
    assert kb.add(remove=["rb/disk", "unknown"]).removed == 1
    assert kb.get("rb/disk") is None
    assert kb.search("filesystem") == []
    import duckdb

    with duckdb.connect(str(kb.path), read_only=True) as connection:
        assert connection.execute("SELECT id FROM removed").fetchall() == [("rb/disk",)]


def test_another_reader_sees_what_was_added(kb: KnowledgeBase) -> None:
    reader = KnowledgeBase.open(kb.path)
    kb.add([Document("note/1", "note", "Shift notes", "The zookeeper quorum was lost.")])
    assert reader.search("zookeeper quorum")[0].id == "note/1"
    assert reader.version == kb.version


def test_what_was_stored_comes_back(tmp_path: Path) -> None:
    document = Document("a", "note", "T", "x", "src", NOW, ("payments",), "code_bug", ("alert", "P1"), "abc123")
    signature = IncidentSignature("INC-1", "t", services=("payments",), anomalous_series=(("p99", "up"),), ended_at=NOW)
    kb = KnowledgeBase.open(tmp_path / "kb.duckdb")
    kb.add([document], [signature])
    again = KnowledgeBase.open(kb.path)
    assert again.documents == (document,)
    assert again.signatures == (signature,)


def test_secrets_do_not_enter_the_file(tmp_path: Path) -> None:
    kb = KnowledgeBase.open(tmp_path / "kb.duckdb")
    signature = IncidentSignature("INC-1", text="login with password=hunter2x", ended_at=NOW)
    kb.add([Document("a", "note", "mail eve@example.org", "token: abcdef123456")], [signature])
    stored = kb.path.read_bytes()
    assert b"hunter2x" not in stored
    assert b"abcdef123456" not in stored
    assert b"eve@example.org" not in stored


def test_a_damaged_file_is_named(kb: KnowledgeBase) -> None:
    kb.path.write_bytes(b"not a database" * 1000)
    with pytest.raises(DamagedIndexError, match=str(kb.path)):
        KnowledgeBase.open(kb.path)


def test_an_unknown_kind_is_refused(kb: KnowledgeBase) -> None:
    with pytest.raises(UnreadableError, match="recipe"):
        kb.add([Document("x", "recipe", "", "")])


def test_odd_text_is_stored(kb: KnowledgeBase) -> None:
    kb.add([Document("odd", "note", "\ud800 half", "nul \x00 byte and \U0001f525 quorum")])
    assert kb.search("quorum")[0].id == "odd"


def test_importing_it_loads_no_database_and_no_model() -> None:
    heavy = ("duckdb", "pandas", "sentence_transformers", "tokenizers", "torch", "lancedb", "pydantic")
    command = f"import sys; from kb import KnowledgeBase; print([name for name in {heavy} if name in sys.modules])"
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[]"
