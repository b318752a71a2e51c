"""Two writers and many readers at once, and a writer that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from kb import Document, KnowledgeBase

ROOT = Path(__file__).resolve().parents[3]
WRITER = """
import sys
from kb import Document, KnowledgeBase
kb = KnowledgeBase.open(sys.argv[1], model="none")
for number in range(int(sys.argv[3])):
    kb.add([Document(f"{sys.argv[2]}/{number}", "note", f"Note {number}", f"quorum of {sys.argv[2]} number{number}")])
    print(number, flush=True)
"""


def _writer(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(path), name, str(count)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_two_writers_and_ten_readers(tmp_path: Path) -> None:
    path = tmp_path / "kb.duckdb"
    KnowledgeBase.open(path, model="none").add([Document("first", "note", "First", "quorum is here from the start")])
    writers = [_writer(path, name, 5) for name in ("one", "two")]
    problems: list[str] = []
    finished = threading.Event()

    def read() -> None:
        reader = KnowledgeBase.open(path, model="none")
        seen = 0
        while not finished.is_set():
            if not any(result.id == "first" for result in reader.search("quorum start", limit=20)):
                problems.append("the first document was not found")
            now = len(reader.documents)
            if now < seen:
                problems.append(f"{seen} documents, then {now}")
            seen = now

    readers = [threading.Thread(target=read) for _ in range(10)]
    for reader in readers:
        reader.start()
    for writer in writers:
        assert writer.wait(timeout=60) == 0
        assert writer.stdout is not None
        writer.stdout.close()
    finished.set()
    for reader in readers:
        reader.join()
    assert problems == []
    assert len(KnowledgeBase.open(path, model="none").documents) == 11


def test_a_killed_writer_leaves_the_last_version(tmp_path: Path) -> None:
    path = tmp_path / "kb.duckdb"
    writer = _writer(path, "killed", 10_000)
    assert writer.stdout is not None
    said = [writer.stdout.readline() for _ in range(3)]
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    reopened = KnowledgeBase.open(path, model="none")
    assert len(reopened.documents) >= len(said)
    assert reopened.search("quorum")
    reopened.add([Document("after", "note", "After", "the writer has gone")])
    assert reopened.search("writer gone")[0].id == "after"
    assert [found for found in tmp_path.iterdir() if found.name.endswith(".new")] == []
