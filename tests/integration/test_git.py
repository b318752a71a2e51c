"""The real git: what is read, and that a hostile repository runs nothing."""

from __future__ import annotations

import asyncio
import os
import subprocess
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from incident_pipeline.connectors import git as connector
from incident_pipeline.connectors.git import Git, Repository, build, web_address
from incident_pipeline.errors import ConfigurationError, PermanentSourceError
from incident_pipeline.models import CodeChange, Envelope, EnvelopeStatus, EvidenceKind
from tests.connectors.questions import AROUND, fetch, question, settings_for
from tests.integration.peers import program


class Clone:
    """A repository that a test fills."""

    def __init__(self, path: Path) -> None:
        program("git")
        self.path = path
        path.mkdir(parents=True)
        self.run("init", "-q", "-b", "main")

    def run(self, *arguments: str, at: datetime = AROUND) -> str:
        moment = at.isoformat()
        identity = {
            f"GIT_{who}_{what}": value
            for who in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", "dev"), ("EMAIL", "dev@example.org"))
        }
        dates = {"GIT_AUTHOR_DATE": "2001-01-01T00:00:00Z", "GIT_COMMITTER_DATE": moment}
        env = {"PATH": os.environ["PATH"], "HOME": str(self.path), **identity, **dates}
        done = subprocess.run(["git", *arguments], cwd=self.path, env=env, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self, message: str, minutes: float, files: dict[str, str | bytes]) -> str:
        for name, content in files.items():
            file = self.path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
        at = AROUND + timedelta(minutes=minutes)
        self.run("add", "-A")
        self.run("commit", "-q", "--allow-empty", "-m", message, at=at)
        return self.run("rev-parse", "HEAD")


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "payments")


def read(*repositories: Repository, **about: Any) -> Envelope[CodeChange]:
    return fetch(Git(repositories), question(EvidenceKind.CODE_CHANGES, **about))


def test_commits_of_the_window_with_files_and_diffs(clone: Clone) -> None:
    clone.commit("old", -600, {"a.py": "1\n"})
    first = clone.commit(
        "Raise the pool size\n\nBecause.", -60, {"config/pool.yaml": "size: 5\n", "ünïcode name.txt": "x\n"}
    )
    second = clone.commit("Bump", -5, {"go.mod": "v2\n", "a.py": "2\n"})
    clone.commit("later", 60, {"b.py": "1\n"})
    clone.run("remote", "add", "origin", "https://user:pass@git.example/shop/payments.git")
    answer = read(Repository(clone.path, "payments"), focus_areas=("config", "dependencies"))
    assert [row.sha for row in answer.rows] == [second, first]
    newest, older = answer.rows
    assert (older.message, older.author, older.service) == ("Raise the pool size\n\nBecause.", "dev", "payments")
    assert older.repository == "payments"
    assert older.files == ("config/pool.yaml", "ünïcode name.txt")
    assert older.committed_at == AROUND - timedelta(minutes=60)
    assert older.focus_areas == ("config",)
    assert (newest.additions, newest.deletions) == (2, 1)
    assert newest.diff is not None
    assert newest.diff.startswith("diff --git a/a.py b/a.py")
    assert "-1\n+2" in newest.diff
    assert newest.url == f"https://git.example/shop/payments/commit/{second}"
    assert answer.notes == ()


def test_merges_are_shown_as_what_they_brought(clone: Clone) -> None:
    clone.commit("base", -300, {"a": "1\n"})
    clone.run("checkout", "-q", "-b", "feature")
    clone.commit("feature work", -100, {"b": "1\n"})
    clone.run("checkout", "-q", "main")
    clone.run("merge", "-q", "--no-ff", "-m", "Merge feature", "feature", at=AROUND - timedelta(minutes=10))
    (merge,) = read(Repository(clone.path, None)).rows
    assert merge.message == "Merge feature"
    assert merge.files == ("b",)
    assert merge.attributes == {"merge": True}


def test_messages_and_names_cannot_forge_commits(clone: Clone) -> None:
    forged = f"{'a' * 40}\x1fmallory\x1f2026-11-23T14:00:00+00:00\n\x1e1\t1\tfake.py\ndiff --git a/x b/x\n-- END"
    clone.commit(forged, -5, {"--output=owned": "x\n", "-n": "y\n"})
    (row,) = read(Repository(clone.path, None)).rows
    assert set(row.files) == {"--output=owned", "-n"}
    assert "mallory" in row.message
    assert row.author == "dev"
    assert not (clone.path / "owned").exists()


def test_nothing_of_a_repository_is_run(clone: Clone, tmp_path: Path) -> None:
    clone.commit("one", -5, {"a.bin": "1\n", ".gitattributes": "*.bin diff=evil\n"})
    touch = f"touch {tmp_path}/owned; cat"
    for key in (
        "core.fsmonitor",
        "core.pager",
        "diff.external",
        "diff.evil.textconv",
        "diff.evil.command",
        "gpg.program",
    ):
        clone.run("config", key, touch)
    clone.run("config", "log.showSignature", "true")
    hook = clone.path / ".git" / "hooks" / "post-index-change"
    hook.write_text(f"#!/bin/sh\n{touch}\n")
    hook.chmod(0o755)
    (row,) = read(Repository(clone.path, None)).rows
    assert row.files == (".gitattributes", "a.bin")
    assert not (tmp_path / "owned").exists()


def test_large_and_binary_changes_are_cut(clone: Clone) -> None:
    big = "".join(f"line {n}\n" for n in range(20_000))
    clone.commit("big", -5, {"big.txt": big, "image.png": bytes(range(256)), "latin.txt": "grün\n".encode("latin-1")})
    (row,) = read(Repository(clone.path, None)).rows
    assert row.additions == 20_001
    assert len(row.diff) == connector.MAX_DIFF
    assert row.attributes == {"diff_cut": True}


def test_only_the_repositories_of_the_incidents_services_are_read(tmp_path: Path) -> None:
    clones = {name: Clone(tmp_path / name) for name in ("payments", "cart", "shared")}
    for name, clone in clones.items():
        clone.commit(name, -5, {"a": "1\n"})
    repositories = [Repository(c.path, None if name == "shared" else name) for name, c in clones.items()]
    assert {row.message for row in read(*repositories, services=("Payments",)).rows} == {"payments", "shared"}
    assert {row.message for row in read(*repositories, services=("unheard-of",)).rows} == {"payments", "cart", "shared"}
    assert {row.message for row in read(*repositories, services=()).rows} == {"payments", "cart", "shared"}


def test_a_repository_that_cannot_be_read_costs_itself_alone(clone: Clone, tmp_path: Path) -> None:
    clone.commit("one", -5, {"a": "1\n"})
    empty = Clone(tmp_path / "empty")
    answer = read(Repository(clone.path, None), Repository(tmp_path / "absent", None), Repository(empty.path, None))
    assert len(answer.rows) == 1
    assert answer.partial
    assert any("absent is not a folder" in note for note in answer.notes)
    assert any(f"git cannot read {empty.path}" in note for note in answer.notes)
    (tmp_path / "plain").mkdir()
    with pytest.raises(PermanentSourceError, match="not a git repository"):
        read(Repository(tmp_path / "plain", None))


def test_no_commits_in_the_window_is_an_answer(clone: Clone) -> None:
    clone.commit("old", -60_000, {"a": "1\n"})
    assert read(Repository(clone.path, None)).status is EnvelopeStatus.EMPTY


def test_git_that_hangs_is_stopped_at_the_deadline(clone: Clone, tmp_path: Path) -> None:
    slow = tmp_path / "slow-git"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    with pytest.raises(PermanentSourceError, match="did not answer in time"):
        fetch(Git([Repository(clone.path, None)], program=str(slow)), question(EvidenceKind.CODE_CHANGES, seconds=0.2))


def test_more_commits_than_the_cap_are_told(clone: Clone) -> None:
    for n in range(3):
        clone.commit(str(n), -n, {"a": f"{n}\n"})
    answer = read(Repository(clone.path, None), limit=2)
    assert len(answer.rows) == 2


def test_built_from_the_configuration(clone: Clone) -> None:
    from incident_pipeline.config import Scenario

    clone.commit("one", -5, {"a": "1\n"})
    repositories = {
        "payments": [str(clone.path)],
        "*": ["https://git.example/shop/all.git", "git@git.example:shop/x.git"],
    }
    scenario = Scenario.model_validate({"context": {"code": {"repositories": repositories}}})
    answer = fetch(build(settings_for("git", scenario=scenario)), question(EvidenceKind.CODE_CHANGES))
    assert [row.service for row in answer.rows] == ["payments"]
    assert len(answer.notes) == 2
    assert "https://git.example/shop/all.git is not on this machine" in answer.notes[0]
    with pytest.raises(ConfigurationError, match="names no repository"):
        build(settings_for("git"))


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("git@git.example:shop/cart.git", "https://git.example/shop/cart"),
        ("ssh://git@git.example:2222/shop/cart.git", "https://git.example/shop/cart"),
        ("https://token:x@git.example:8443/shop/cart", "https://git.example:8443/shop/cart"),
        ("/srv/git/cart.git", None),
        ("file:///srv/git/cart.git", None),
        ("", None),
    ],
)
def test_where_people_look_at_it(remote: str, address: str | None) -> None:
    assert web_address(remote) == address


def test_the_line_of_a_stack_frame_is_blamed(clone: Clone) -> None:
    first = clone.commit("one", -60, {"src/pool.py": "a\nb\n", "src/x/util.py": "1\n", "src/y/util.py": "1\n"})
    second = clone.commit("two", -5, {"src/pool.py": "a\nc\n"})
    source = Git([Repository(clone.path, "payments")])

    def blame(file: str, line: int, service: str | None = "payments") -> str | None:
        return asyncio.run(source.blame(service, file, line))

    assert blame("/app/src/pool.py", 1) == first
    assert blame("C:\\app\\src\\pool.py", 2, None) == second
    assert blame("/app/x/util.py", 1) == first
    assert blame("/app/util.py", 1) is None
    assert blame("/app/src/pool.py", 99) is None
    assert blame("--output=owned", 1) is None
    assert blame("/app/src/pool.py", 1, "cart") is None
