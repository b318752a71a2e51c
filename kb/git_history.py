"""The history of the files below a folder of a git repository: which commit last changed each, and its first name.

Belongs here: what is asked of `git`, and how renames are followed. The repository is as hostile as its files: nothing
of its configuration that could start a program is used, nothing is fetched, and a repository without an answer in time
is read as plain files.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

_SECONDS = 30
_HARMLESS = ("core.fsmonitor=false", "core.hooksPath=/dev/null", "log.showSignature=false", "core.pager=cat")
_ENVIRONMENT = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1", "LC_ALL": "C"}


class Past(NamedTuple):
    """What the history says of one file."""

    first_name: str
    """The path below the folder under which it was first committed; its identity, whatever it is called now."""
    commit: str
    """The commit that last changed it."""


def file_histories(folder: Path) -> Mapping[str, Past]:
    """The past of every committed file below a folder, by its present path; empty where there is no repository."""
    if not any((parent / ".git").exists() for parent in (folder.resolve(), *folder.resolve().parents)):
        return {}
    present = _git(folder, "ls-tree", "-r", "-z", "--name-only", "HEAD", ".")
    log = _git(folder, "log", "-z", "-M", "--format=%H", "--name-status", "--relative", "HEAD", "--", ".")
    if present is None or log is None:
        return {}
    return _follow([name for name in present.split("\0") if name], log)


def _git(folder: Path, *arguments: str) -> str | None:
    options = [part for setting in _HARMLESS for part in ("-c", setting)]
    command = ["git", "-C", str(folder), "--no-pager", *options, *arguments]
    try:
        finished = subprocess.run(  # noqa: S603 - our own words and a folder
            command, capture_output=True, timeout=_SECONDS, check=True, env={**os.environ, **_ENVIRONMENT}
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return finished.stdout.decode("utf-8", "surrogateescape")


def _follow(present: list[str], log: str) -> dict[str, Past]:
    """Walk from the newest commit to the oldest; of each file only its present name is remembered on the way."""
    names = {name: name for name in present}
    last: dict[str, str] = {}
    first: dict[str, str] = {}
    born: dict[str, str] = {}
    for commit, status, old, new in _changes(log):
        file = names.get(new)
        if file is None:
            continue
        last.setdefault(file, commit)
        if status == "R":
            names[old] = names.pop(new)
        elif status in ("A", "C"):
            del names[new]
            first[file], born[file] = new, commit
    return _distinct({file: Past(first.get(file, file), last[file]) for file in last}, born)


def _distinct(pasts: dict[str, Past], born: Mapping[str, str]) -> dict[str, Past]:
    """A name that was used again after a move: the file that moved keeps it, the new one adds its first commit."""
    users: dict[str, list[str]] = {}
    for file, past in pasts.items():
        users.setdefault(past.first_name, []).append(file)
    for name, files in users.items():
        if len(files) > 1 and name in files:
            pasts[name] = pasts[name]._replace(first_name=f"{name}@{born.get(name, pasts[name].commit)[:10]}")
    return pasts


def _changes(log: str) -> Iterator[tuple[str, str, str, str]]:
    """Commit, status, old and new name of each change; `-z` separates everything by NUL."""
    commit = ""
    parts = iter(log.split("\0"))
    for part in parts:
        word = part.lstrip("\n")
        if len(word) >= 40 and all(c in "0123456789abcdef" for c in word.split("\n")[0]):
            commit = word.split("\n")[0]
            word = word.partition("\n")[2].lstrip("\n")
        if not word:
            continue
        status = word[0]
        old = next(parts, "")
        yield commit, status, old, (next(parts, "") if status in "RC" else old)
