"""What an HTTP answer says, and what each vendor means by it.

Belongs here: answers as plain values, which failures pass by themselves, and how long a vendor asks to wait.
Does not belong here: the network; see `http.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, NamedTuple

from incident_pipeline.errors import PermanentSourceError, TransientSourceError
from incident_pipeline.json_text import clean, loads
from kb.redaction import PLACEHOLDER, redact

TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
RATE_LIMITED = frozenset({420, 429})
LONGEST_MESSAGE = 200

_NEXT_LINK = re.compile(r'<([^>]*)>[^,]*;\s*rel="?next"?', re.IGNORECASE)


@dataclass(frozen=True)
class Answer:
    """One HTTP answer, read to its end."""

    source: str
    method: str
    url: str
    """Without the query, which can hold secrets."""
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""
    body: bytes = b""

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            PermanentSourceError: it is something else, such as a login page.
        """
        try:
            return loads(self.body)
        except ValueError as error:
            kind = "a web page" if self.body.lstrip()[:1] == b"<" else "something that is not JSON"
            hint = "; is it behind a login?" if kind == "a web page" else ""
            raise PermanentSourceError(f"{self.source} answered {kind} to {self.method} {self.url}{hint}") from error

    def object(self) -> dict[str, Any]:
        """The body as a JSON object.

        Raises:
            PermanentSourceError: it is something else.
        """
        value = self.json()
        if not isinstance(value, dict):
            raise PermanentSourceError(f"{self.source} answered no JSON object to {self.method} {self.url}")
        return value

    def list(self) -> list[Any]:
        """The body as a JSON list.

        Raises:
            PermanentSourceError: it is something else.
        """
        value = self.json()
        if not isinstance(value, list):
            raise PermanentSourceError(f"{self.source} answered no JSON list to {self.method} {self.url}")
        return value

    @property
    def next_link(self) -> str | None:
        """The URL of the next page, of a `Link` header."""
        found = _NEXT_LINK.search(self.headers.get("link", ""))
        return found[1] if found else None


def number(answer: Answer, header: str) -> float | None:
    """A header as a number; None where it is absent or is none."""
    try:
        return float(answer.headers.get(header, ""))
    except ValueError:
        return None


def retry_after(answer: Answer, now: float) -> float | None:
    """Seconds that `Retry-After` asks to wait, in either of its forms."""
    seconds = number(answer, "retry-after")
    if seconds is not None:
        return seconds
    try:
        return parsedate_to_datetime(answer.headers.get("retry-after", "")).timestamp() - now
    except (ValueError, TypeError):
        return None


def usually_transient(answer: Answer) -> bool:
    """Whether the failure passes by itself, by what most vendors mean."""
    return answer.status in TRANSIENT


def usual_message(answer: Answer) -> str:
    """What the body says of the failure, by the names that most vendors use."""
    try:
        body = loads(answer.body)
    except ValueError:
        return ""
    if isinstance(body, str):
        return body
    if not isinstance(body, dict):
        return ""
    for name in ("message", "error", "errors", "error_description", "reason", "title"):
        value = body.get(name)
        if isinstance(value, dict):
            value = value.get("message") or value.get("reason")
        if isinstance(value, list):
            value = "; ".join(str(item.get("message", item) if isinstance(item, dict) else item) for item in value[:3])
        if value:
            return str(value)
    return ""


class Rate(NamedTuple):
    """So many requests in so many seconds, as the vendor documents it."""

    requests: int
    seconds: float

    @property
    def at_once(self) -> int:
        """How many turns a run takes in one go."""
        return max(1, min(self.requests // 10, 10))


@dataclass(frozen=True)
class Dialect:
    """How one vendor words failure."""

    transient: Callable[[Answer], bool] = usually_transient
    wait: Callable[[Answer, float], float | None] = retry_after
    """Seconds that the vendor asks to wait, given the answer and the time of day (seconds since 1970)."""
    message: Callable[[Answer], str] = usual_message
    rate: Rate | None = None
    """How often it may be asked, by all runs together; None: it does not say."""
    token_key: str = "token"  # noqa: S105  # the name of a key, not a token
    """The key of the configuration that holds the credentials, for sentences."""

    def failure(
        self, answer: Answer, now: float, secrets: Iterable[str] = ()
    ) -> TransientSourceError | PermanentSourceError:
        """The error of a failed answer, as one sentence; the vendor's words are in it, the secrets are not."""
        said = clean(self.message(answer))
        for secret in secrets:
            said = said.replace(secret, PLACEHOLDER)
        said = " ".join(redact(said).split())[:LONGEST_MESSAGE]
        what = f"{answer.source} answered {_status(answer.status)} to {answer.method} {answer.url}"
        sentence = what + (f": {said}" if said else "") + _advice(answer, self.token_key)
        if self.transient(answer):
            return RateLimitedError(sentence, wait=self.wait(answer, now))
        return RefusedError(sentence, answer.status)


class RateLimitedError(TransientSourceError):
    """A transient failure whose source may have said how long to wait."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class RefusedError(PermanentSourceError):
    """The source understood and refused, with this HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def _status(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _advice(answer: Answer, token_key: str) -> str:
    key = f"connections.{answer.source}"
    if answer.status == 401:
        return f"; check {key}.{token_key}"
    if answer.status == 403:
        return f"; check what the credentials in {key}.{token_key} may read"
    if answer.status == 404:
        return f"; check {key}.url"
    return ""
