"""Git repositories on this machine, through the git program.

Command: `git log` (https://git-scm.com/docs/git-log). Committers' times count, for authors' times lie; merges are
shown as what they brought to the main line. A repository is data: nothing in it is run (hooks, file monitors, external
diffs and text conversions are off), nothing asks for a password, no name can be read as an option.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from incident_pipeline.connectors.base import Question, SourceSettings
from incident_pipeline.connectors.deadline import Deadline
from incident_pipeline.errors import ConfigurationError, PermanentSourceError, SourceError, TransientSourceError
from incident_pipeline.evidence.envelopes import answered
from incident_pipeline.evidence.focus_areas import with_focus_areas
from incident_pipeline.incident_folder.files import decode
from incident_pipeline.json_text import clean
from incident_pipeline.models import CodeChange, Envelope, EvidenceKind

MAX_COMMITS = 200
"""Commits of one repository, newest first."""
MAX_DIFF = 20_000
"""Characters of one commit's diff."""
MAX_OUTPUT = 32 * 1024 * 1024
MAX_FILES = 300
EVERY_SERVICE = "*"

_FORMAT = "%H%x00%an%x00%cI%x00%P%x00%B%x00"
_HEADER = re.compile(r"^([0-9a-f]{40,64})" + r"\x00([^\x00]*)" * 4 + r"\x00", re.MULTILINE)
"""A commit's fields. No message can hold a NUL, and no line of a diff begins with a digit: it cannot be forged."""
_SAFE = (
    *("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "log.showSignature=false"),
    *("-c", "protocol.allow=never", "-c", "core.quotePath=false"),
)
_LOG = (
    *("log", "--first-parent", "-m", "--numstat", "--patch", "--no-renames", "--no-ext-diff", "--no-textconv"),
    *("--submodule=short", "--no-color", "--unified=3", f"--format={_FORMAT}"),
)
_NUMSTAT = re.compile(r"^(\d+|-)\t(\d+|-)\t(.+)$")
_REMOTE = re.compile(r"^(?:[\w.-]+@)?([\w.-]+):(?!//)(.+?)(?:\.git)?/?$")


@dataclass(frozen=True)
class Repository:
    """One repository and whose code is in it."""

    path: Path
    service: str | None
    """None: of every service."""


class Git:
    """The configured repositories."""

    def __init__(self, repositories: Iterable[Repository], elsewhere: Iterable[str] = (), program: str = "git") -> None:
        """Prepare.

        Args:
            repositories: on this machine.
            elsewhere: addresses of repositories that are not, for which git is not asked.
            program: the git binary.
        """
        self.name = "git"
        self.kinds = frozenset({EvidenceKind.CODE_CHANGES})
        self._repositories = tuple(repositories)
        self._elsewhere = tuple(elsewhere)
        self._program = program

    async def fetch(self, question: Question) -> Envelope[Any]:
        """The commits of the window in the repositories of the incident's services, newest first.

        Raises:
            SourceError: no repository could be read.
        """
        asked = self._asked(question)
        deadline = Deadline(question.seconds)
        answers = await asyncio.gather(
            *(self._commits(one, question, deadline) for one in asked), return_exceptions=True
        )
        failed = [answer for answer in answers if isinstance(answer, BaseException)]
        for error in failed:
            if not isinstance(error, SourceError):
                raise error
        notes = [f"{url} is not on this machine; give the path of a clone" for url in self._elsewhere]
        notes += [str(error) for error in failed]
        if len(failed) == len(asked):
            raise PermanentSourceError("; ".join(notes) or "context.code.repositories names no repository")
        found = [answer for answer in answers if not isinstance(answer, BaseException)]
        rows = [change for changes in found for change in changes if _within(change, question)]
        truncated = any(len(changes) >= MAX_COMMITS for changes in found)
        rows.sort(key=lambda change: change.committed_at or question.window.start, reverse=True)
        return answered(
            question.kind,
            self.name,
            with_focus_areas(rows[: question.limit], question.focus_areas),
            window=question.window,
            query="git log " + ", ".join(one.path.name for one in asked),
            truncated=truncated or len(rows) > question.limit,
            partial=bool(notes),
            notes=tuple(notes),
        )

    async def blame(self, service: str | None, file: str, line: int, seconds: float = 4.0) -> str | None:
        """The commit that last changed a line of a stack frame, by the longest path that a repository knows.

        Args:
            service: whose code it is; None: anybody's.
            file: as the stack trace names it, such as `/app/src/pool.py`.
            line: from 1.
            seconds: how long it may take.

        Returns:
            None where no repository has the file, or more than one file ends so.
        """
        deadline = Deadline(seconds)
        tail = file.replace("\\", "/").strip("/")
        for repository in self._repositories:
            if service is not None and repository.service not in (None, service):
                continue
            try:
                path = await self._path(repository.path, tail, deadline)
                if path is None:
                    continue
                wanted = ("blame", "--porcelain", "-L", f"{line},{line}", "HEAD", "--", path)
                return (await self._run(repository.path, wanted, deadline)).partition(" ")[0].lstrip("^") or None
            except SourceError:
                continue
        return None

    async def close(self) -> None:
        """There is nothing to let go of."""

    async def _path(self, root: Path, tail: str, deadline: Deadline) -> str | None:
        """The one file that the end of a stack frame's path means."""
        files = (await self._run(root, ("ls-tree", "-r", "-z", "--name-only", "HEAD"), deadline)).split("\0")
        steps = tail.split("/")
        for start in range(len(steps)):
            end = "/".join(steps[start:])
            found = [file for file in files if file == end or file.endswith("/" + end)]
            if found:
                return found[0] if len(found) == 1 else None
        return None

    def _asked(self, question: Question) -> list[Repository]:
        """The repositories of the incident's services; all where none of them has one."""
        wanted = {service.casefold() for service in question.services}
        own = [one for one in self._repositories if one.service is not None and one.service.casefold() in wanted]
        shared = [one for one in self._repositories if one.service is None]
        return [*own, *shared] if own else list(self._repositories)

    async def _commits(self, repository: Repository, question: Question, deadline: Deadline) -> list[CodeChange]:
        window = (f"--since={_stamp(question.window.start)}", f"--until={_stamp(question.window.end)}")
        wanted = (*_LOG, f"--max-count={min(MAX_COMMITS, question.limit)}", *window, "--end-of-options", "HEAD", "--")
        output = await self._run(repository.path, wanted, deadline)
        remote = await self._remote(repository.path, deadline)
        return commits_from(output, repository, remote)

    async def _remote(self, path: Path, deadline: Deadline) -> str | None:
        try:
            return web_address(await self._run(path, ("config", "--get", "remote.origin.url"), deadline))
        except SourceError:
            return None

    async def _run(self, path: Path, arguments: Iterable[str], deadline: Deadline) -> str:
        if not path.is_dir():
            raise PermanentSourceError(f"{path} is not a folder; check context.code.repositories")
        process = await asyncio.create_subprocess_exec(
            *(self._program, *_SAFE, "-c", f"safe.directory={path.absolute()}", "-C", str(path.absolute()), *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=_environment(os.environ),
        )
        try:
            async with asyncio.timeout(deadline.left()):
                output, problem = await _read(process)
        except TimeoutError:
            raise TransientSourceError(f"git did not answer in time for {path}") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            raise PermanentSourceError(f"git cannot read {path}: {_first_line(problem)}")
        return output.decode("utf-8", "replace")


def build(settings: SourceSettings) -> Git:
    """The repositories of `context.code.repositories`.

    Raises:
        ConfigurationError: none is configured.
    """
    configured = settings.scenario.context.code.repositories
    if not configured:
        raise ConfigurationError("context.code.repositories names no repository; write service: [path]")
    repositories, elsewhere = [], []
    for service, places in configured.items():
        for place in places:
            if urlsplit(place).scheme in ("http", "https", "ssh", "git") or _REMOTE.match(place):
                elsewhere.append(place)
            else:
                owner = None if service == EVERY_SERVICE else service
                repositories.append(Repository(Path(place).expanduser(), owner))
    return Git(repositories, elsewhere)


def commits_from(output: str, repository: Repository, remote: str | None = None) -> list[CodeChange]:
    """The commits of `git log` in our format."""
    headers = list(_HEADER.finditer(output))
    ends = [*(header.start() for header in headers[1:]), len(output)][: len(headers)]
    return [
        _commit(header, output[header.end() : end], repository, remote)
        for header, end in zip(headers, ends, strict=True)
    ]


def _commit(header: re.Match[str], rest: str, repository: Repository, remote: str | None) -> CodeChange:
    sha, author, committed_at, parents, message = header.groups()
    numbers, _, diff = rest.partition("\ndiff --git ")
    files, added, deleted = [], 0, 0
    for line in numbers.splitlines():
        match = _NUMSTAT.match(line)
        if match:
            files.append(match[3])
            added += int(match[1]) if match[1] != "-" else 0
            deleted += int(match[2]) if match[2] != "-" else 0
    diff = f"diff --git {diff.strip()}" if diff else ""
    cut = len(diff) > MAX_DIFF
    return CodeChange(
        sha=sha,
        repository=repository.path.absolute().name,
        service=repository.service,
        author=clean(author),
        message=clean(message).strip(),
        files=tuple(files[:MAX_FILES]),
        diff=clean(diff[:MAX_DIFF]) or None,
        additions=added,
        deletions=deleted,
        committed_at=committed_at,
        url=f"{remote}/commit/{sha}" if remote else None,
        attributes={
            **({"merge": True} if len(parents.split()) > 1 else {}),
            **({"diff_cut": True} if cut else {}),
            **({"more_files": len(files) - MAX_FILES} if len(files) > MAX_FILES else {}),
        },
    )


def web_address(remote: str) -> str | None:
    """Where people look at the repository of a remote, without any credentials in it; None for local remotes."""
    remote = remote.strip()
    scp = _REMOTE.match(remote)
    if scp and "://" not in remote:
        return f"https://{scp[1]}/{scp[2].lstrip('/')}"
    parts = urlsplit(remote)
    if parts.scheme not in ("http", "https", "ssh", "git") or not parts.hostname:
        return None
    scheme = "http" if parts.scheme == "http" else "https"
    port = f":{parts.port}" if parts.port and parts.scheme in ("http", "https") else ""
    return f"{scheme}://{parts.hostname}{port}{parts.path.removesuffix('/').removesuffix('.git')}"


async def _read(process: asyncio.subprocess.Process) -> tuple[bytes, bytes]:
    """The process's output, up to a cap, and what it complained of."""
    assert process.stdout is not None  # noqa: S101  # both are pipes
    assert process.stderr is not None  # noqa: S101
    complaints = asyncio.ensure_future(process.stderr.read())
    chunks, size = [], 0
    while chunk := await process.stdout.read(1 << 20):
        size += len(chunk)
        if size > MAX_OUTPUT:
            process.kill()
            break
        chunks.append(chunk)
    problem = await complaints
    await process.wait()
    if size > MAX_OUTPUT:
        raise PermanentSourceError(f"git answered more than {MAX_OUTPUT // 1024**2} MiB; shorten context.code.lookback")
    return b"".join(chunks), problem


def _within(change: CodeChange, question: Question) -> bool:
    at = change.committed_at
    return at is not None and question.window.start <= at < question.window.end


def _environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Without whatever would point git elsewhere, and without a person to ask."""
    kept = {name: value for name, value in environment.items() if not name.startswith("GIT_")}
    return {**kept, "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_PAGER": "cat", "LC_ALL": "C.UTF-8"}


def _stamp(moment: datetime) -> str:
    return f"@{int(moment.timestamp())}"


def _first_line(problem: bytes) -> str:
    lines = decode(problem).strip().splitlines()
    return lines[0].removeprefix("fatal: ")[:200] if lines else "no reason given"
