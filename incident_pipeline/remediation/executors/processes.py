"""Running a program for an executor: an argument vector, a time limit, captured output, never a shell.

Belongs here: the one place of this package that starts processes. Does not belong here: what is run.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from datetime import timedelta

from incident_pipeline.errors import PermanentSourceError
from incident_pipeline.remediation.executors.base import Outcome
from kb.redaction import redact

OUTPUT_LIMIT = 20_000
ANSWER_LIMIT = 32_000_000
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE", "KUBECONFIG", "HTTPS_PROXY", "NO_PROXY")
"""Variables that a program gets to see; whatever else stands in our environment, such as tokens, it does not."""


def run(
    words: Sequence[str], limit: timedelta, environment: Mapping[str, str] | None = None, *, to_be_read: bool = False
) -> Outcome:
    """Run a program to its end or to its limit; what it leaves behind is ended with it.

    The output is redacted and cut for people, unless it is `to_be_read` by us alone.

    Raises:
        PermanentSourceError: there is no such program.
    """
    given = {name: os.environ[name] for name in _KEPT if name in os.environ} | dict(environment or {})
    try:
        process = subprocess.Popen(  # noqa: S603 - a list of words, which no shell reads
            list(words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=given,
            start_new_session=True,
        )
    except OSError as error:
        raise PermanentSourceError(f"{words[0]} cannot be run: {error.strerror}") from error
    try:
        said, _ = process.communicate(timeout=limit.total_seconds())
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        said, _ = process.communicate()
        text = f"{_text(said)}\nended after {limit.total_seconds():g} s without an answer".strip()
        return Outcome(False, text, None, uncertain=True)
    if to_be_read and process.returncode == 0:
        return Outcome(True, said[:ANSWER_LIMIT].decode("utf-8", "replace"), 0)
    return Outcome(process.returncode == 0, _text(said), process.returncode)


def _text(said: bytes) -> str:
    return redact(said.decode("utf-8", "replace").strip())[:OUTPUT_LIMIT]
