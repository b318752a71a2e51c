"""Who is logged in on the pages, and that a form was sent from a page of ours by the one who is.

Belongs here: tokens, sessions, protection against forged requests. Does not belong here: what is on the pages.

Sessions live in this process alone: after a restart everybody logs in again.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import escape
from urllib.parse import parse_qs, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from incident_pipeline.config import Person
from incident_pipeline.console.admission import Refused

COOKIE = "incident_pipeline_session"
PATH = "/approvals"
LIFE_SECONDS = 8 * 3600.0
MOST_SESSIONS = 1_000
MOST_FAILURES = 10
"""Wrong tokens within a minute, from wherever, before nobody may try for the rest of it."""
LONGEST_FORM = 20_000


@dataclass(frozen=True)
class Session:
    """One person on one browser."""

    who: str
    secret: str
    """What forms of this session carry."""
    until: float


@dataclass
class Sessions:
    """Who is logged in."""

    people: Mapping[str, Person]
    clock: Callable[[], float] = time.monotonic
    _open: dict[str, Session] = field(default_factory=dict)
    _failures: deque[float] = field(default_factory=deque)

    def log_in(self, token: str) -> str:
        """The name of a new session for whoever has this token.

        Raises:
            Refused: nobody has it, or too many wrong ones came.
        """
        now = self.clock()
        while self._failures and self._failures[0] < now - 60:
            self._failures.popleft()
        if len(self._failures) >= MOST_FAILURES:
            raise Refused(429, "too many wrong tokens; wait a minute")
        found = None
        for name, person in self.people.items():
            # every one is compared, so that the time tells nothing
            given, theirs = token.encode(), (person.token.get_secret_value() if person.token else "").encode()
            if hmac.compare_digest(given, theirs) and theirs:
                found = name
        if found is None:
            self._failures.append(now)
            raise Refused(403, "nobody has this token; it stands in remediation.people as a variable")
        self._open = {key: one for key, one in self._open.items() if one.until > now}
        if len(self._open) >= MOST_SESSIONS:
            self._open.pop(next(iter(self._open)))
        key = secrets.token_urlsafe(32)
        self._open[key] = Session(found, secrets.token_urlsafe(32), now + LIFE_SECONDS)
        return key

    def of(self, request: Request) -> Session | None:
        """The session that a request belongs to."""
        session = self._open.get(request.cookies.get(COOKIE, ""))
        return session if session is not None and session.until > self.clock() else None

    def log_out(self, request: Request) -> None:
        """End the session of a request."""
        self._open.pop(request.cookies.get(COOKIE, ""), None)

    def genuine(self, request: Request, form: Mapping[str, str]) -> Session:
        """The session of a form that was sent from one of our pages.

        Raises:
            Refused: not logged in, from another site, or without the session's secret.
        """
        same_site(request)
        session = self.of(request)
        if session is None:
            raise Refused(401, "log in first")
        if not hmac.compare_digest(form.get("secret", "").encode(), session.secret.encode()):
            raise Refused(403, "this form was not sent from a page of this session; load the page again")
        return session


def same_site(request: Request) -> None:
    """Refuse what a page of another site has sent.

    Raises:
        Refused: the browser says that it comes from elsewhere.
    """
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    elsewhere = origin is not None and urlsplit(origin).netloc != request.headers.get("host", "")
    if elsewhere or site not in (None, "same-origin", "none"):
        raise Refused(403, "this was sent from a page of another site")


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form, the first value of each.

    Raises:
        Refused: it is too large, or no form.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise Refused(415, "this is not a form")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_FORM:
            raise Refused(413, "the form is too large")
    fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=20)
    return {name: values[0] for name, values in fields.items()}


def remember(response: Response, key: str, request: Request) -> None:
    """Give the browser its session: no script reads it, no other site sends it."""
    response.set_cookie(
        COOKIE,
        key,
        max_age=int(LIFE_SECONDS),
        path="/",
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https",
    )


def secret_field(session: Session) -> str:
    """The field by which a form is known as one of this session's pages."""
    return f'<input type=hidden name=secret value="{escape(session.secret)}">'
