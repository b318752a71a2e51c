"""A file of a git repository keeps its identity when it is moved, and its commit is known."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from kb import Document, KnowledgeBase, gone, read_paths

ENVIRONMENT = {
    **{"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_COMMITTER_NAME": "a"},
    **{"GIT_COMMITTER_EMAIL": "a@example.org", "GIT_CONFIG_GLOBAL": "/dev/null"},
}


class Repository:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "-q")

    def git(self, *words: str) -> str:
        command = ["git", "-C", str(self.folder), *words]
        environment = {**os.environ, **ENVIRONMENT}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()

    def commit(self, **files: str) -> str:
        for name, text in files.items():
            path = self.folder / f"{name}.md"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        self.git("add", "-A")
        self.git("commit", "-qm", "change")
        return self.git("rev-parse", "HEAD")

    def documents(self) -> dict[str, Document]:
        return {document.id: document for document in read_paths([self.folder]).documents}


DISK = "# Disk is full\n\nFree some space.\n\nThen look who filled it.\n"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "runbooks")


def test_a_moved_file_keeps_its_identity_and_its_vectors(repository: Repository, tmp_path: Path) -> None:
    first = repository.commit(disk=DISK)
    kb = KnowledgeBase.open(tmp_path / "kb.duckdb", model="none")
    kb.add(repository.documents().values())
    assert repository.documents()["runbooks/disk.md"].commit == first
    repository.git("mv", "disk.md", "full disk.md")
    second = repository.commit(other="# Another\n\nOne.")
    found = repository.documents()
    assert set(found) == {"runbooks/disk.md", "runbooks/other.md"}
    assert found["runbooks/disk.md"].commit == second
    assert found["runbooks/disk.md"].source.endswith("full disk.md")
    added = kb.add(found.values(), remove=gone(kb.documents, [repository.folder]))
    assert (added.new, added.changed, added.removed) == (1, 1, 0)
    stored = kb.get("runbooks/disk.md")
    assert stored is not None
    assert (stored.commit, stored.source) == (second, found["runbooks/disk.md"].source)


def test_a_name_that_is_used_again_is_another_document(repository: Repository) -> None:
    repository.commit(disk=DISK)
    repository.git("mv", "disk.md", "moved.md")
    repository.commit()
    again = repository.commit(disk="# Quite another thing\n\nAbout brokers.")
    found = repository.documents()
    assert found["runbooks/disk.md"].title == "Disk is full"
    assert found[f"runbooks/disk.md@{again[:10]}"].title == "Quite another thing"


def test_what_is_not_committed_is_read_as_a_plain_file(repository: Repository) -> None:
    repository.commit(disk=DISK)
    (repository.folder / "new.md").write_text("# New\n\nNot committed.")
    assert repository.documents()["runbooks/new.md"].commit is None


def test_a_repository_cannot_start_programs(repository: Repository, tmp_path: Path) -> None:
    repository.commit(disk=DISK)
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\n")
    trap.chmod(0o755)
    for key in ("core.fsmonitor", "core.pager", "gpg.program", "diff.external", "core.sshCommand"):
        repository.git("config", key, str(trap))
    repository.git("config", "log.showSignature", "true")
    assert repository.documents()["runbooks/disk.md"].commit
    assert not (tmp_path / "sprung").exists()


def test_an_empty_or_broken_repository_is_a_folder(repository: Repository) -> None:
    (repository.folder / "disk.md").write_text(DISK)
    assert repository.documents()["runbooks/disk.md"].commit is None
    (repository.folder / ".git" / "HEAD").write_text("nonsense")
    assert set(repository.documents()) == {"runbooks/disk.md"}
