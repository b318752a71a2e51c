"""The file: what is read of it, what an older version of the program wrote, and damage."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from kb import DamagedIndexError, Document, KnowledgeBase, SearchResult, embedded, store
from kb.contents import Searchable
from tests.unit.kb.test_knowledge_base import DOCUMENTS

QUESTIONS = (
    "pod is crash looping",
    "no space left on the volume",
    "certificate of the load balancer",
    "pool exhausted",
)


def answers(kb: KnowledgeBase) -> list[list[SearchResult]]:
    return [kb.search(question) for question in QUESTIONS]


@pytest.fixture
def kb(tmp_path: Path) -> KnowledgeBase:
    opened = KnowledgeBase.open(tmp_path / "kb.duckdb")
    opened.add(DOCUMENTS)
    return opened


def written_by_version(path: Path, version: int) -> None:
    """Turn a file into what an older version of the program would have written."""
    with duckdb.connect(str(path)) as connection:
        for table in ("vectors", "arrays"):
            connection.execute(f"ALTER TABLE {table} RENAME TO new_{table}")
        vectors = connection.execute("SELECT data FROM new_vectors").fetchall()
        pieces = connection.execute("SELECT name, data FROM new_arrays").fetchall()
        connection.execute("CREATE TABLE vectors (part INTEGER PRIMARY KEY, data BLOB NOT NULL)")
        connection.execute("INSERT INTO vectors VALUES (0, ?)", [b"".join(data for (data,) in vectors)])
        connection.execute("CREATE TABLE arrays (name VARCHAR PRIMARY KEY, data BLOB NOT NULL)")
        for name in {name for name, _ in pieces}:
            whole = b"".join(data for of, data in pieces if of == name)
            connection.execute("INSERT INTO arrays VALUES (?, ?)", [name, whole])
        connection.execute("DROP TABLE new_vectors; DROP TABLE new_arrays")
        connection.execute("UPDATE meta SET value = ? WHERE key = 'schema'", [str(version)])
        if version < 2:
            connection.execute("ALTER TABLE documents DROP COLUMN facts")


@pytest.mark.parametrize("version", [1, 2])
def test_a_file_of_an_older_version_is_read_and_written_anew(kb: KnowledgeBase, version: int) -> None:
    before = answers(kb)
    written_by_version(kb.path, version)
    older = KnowledgeBase.open(kb.path)
    assert answers(older) == before
    assert older.add([DOCUMENTS[0]]).unchanged == 1
    older.add([Document("note/1", "note", "Shift", "The zookeeper quorum was lost.")])
    with duckdb.connect(str(kb.path), read_only=True) as connection:
        assert connection.execute("SELECT value FROM meta WHERE key = 'schema'").fetchall() == [("3",)]
    assert {document.id for document in older.documents} == {*(document.id for document in DOCUMENTS), "note/1"}
    assert [found[0].id for found in answers(older)] == [found[0].id for found in before]


def test_a_file_of_a_newer_version_is_named(kb: KnowledgeBase) -> None:
    with duckdb.connect(str(kb.path)) as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'schema'")
    with pytest.raises(DamagedIndexError, match="newer version, schema 99"):
        KnowledgeBase.open(kb.path)


def test_arrays_longer_than_a_piece_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_PIECE", 7)
    kb = KnowledgeBase.open(tmp_path / "kb.duckdb")
    kb.add(DOCUMENTS)
    whole = KnowledgeBase.open(tmp_path / "whole.duckdb")
    monkeypatch.undo()
    whole.add(DOCUMENTS)
    assert answers(KnowledgeBase.open(kb.path)) == answers(whole)


def test_what_does_not_fit_the_readers_memory_is_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kb = KnowledgeBase.open(tmp_path / "kb.duckdb", model="none")
    kb.add([Document("rb/long", "runbook", "Long", " ".join(f"word{number}" for number in range(50_000)))])
    monkeypatch.setitem(store._READERS, "memory_limit", "300KB")
    with pytest.raises(duckdb.OutOfMemoryException):
        store._with_file(kb.path, store._searchable, store._READERS)
    assert KnowledgeBase.open(kb.path, model="none").search("word4711")[0].id == "rb/long"


def test_a_search_sees_one_version_though_the_file_is_replaced_meanwhile(
    kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = KnowledgeBase.open(kb.path), KnowledgeBase.open(kb.path)
    late = [Document("note/1", "note", "Shift", "The zookeeper quorum was lost.")]
    read_searchable = embedded.read_searchable

    def replaced_first(path: Path) -> Searchable:
        found = read_searchable(path)
        if late:
            writer.add([late.pop()])
        return found

    monkeypatch.setattr(embedded, "read_searchable", replaced_first)
    assert reader.search("zookeeper quorum")[0].id == "note/1"
    assert reader.version == writer.version


@pytest.mark.parametrize("table", ["documents", "chunks", "vectors", "arrays"])
def test_damage_of_any_table_is_found_by_a_check(kb: KnowledgeBase, table: str) -> None:
    kb.check()
    with duckdb.connect(str(kb.path)) as connection:
        connection.execute(f"DROP TABLE {table}")
    opened = KnowledgeBase.open(kb.path)
    with pytest.raises(DamagedIndexError, match=str(kb.path)):
        opened.check()


def test_a_passage_is_shown_though_documents_are_cut_otherwise_today(
    kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kb import search
    from kb.chunking import chunks

    before = kb.search("no space left on the volume")[0]
    monkeypatch.setattr(search, "_cut", lambda text: chunks(text, words=3))
    after = KnowledgeBase.open(kb.path).search("no space left on the volume")[0]
    assert (after.id, after.probability) == (before.id, before.probability)
    assert after.snippet
    assert after.snippet in before.snippet
