"""What sources answered, for whoever wants to see it: `doctor` looks at statuses, scopes and clocks.

Belongs here: collecting answers' heads while a block runs. Nothing is kept where nobody observes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from incident_pipeline.connectors.answers import Answer


class Seen(NamedTuple):
    """One answer without its body."""

    source: str
    status: int
    headers: Mapping[str, str]
    at: float
    """Our own clock when it came, in seconds since 1970."""


_SEEN: ContextVar[list[Seen] | None] = ContextVar("seen", default=None)


@contextmanager
def observing() -> Iterator[list[Seen]]:
    """Collect every answer that comes while the block runs, in tasks that it starts as well."""
    seen: list[Seen] = []
    token = _SEEN.set(seen)
    try:
        yield seen
    finally:
        _SEEN.reset(token)


def saw(answer: Answer, now: float) -> None:
    """Tell whoever observes."""
    seen = _SEEN.get()
    if seen is not None:
        seen.append(Seen(answer.source, answer.status, answer.headers, now))
