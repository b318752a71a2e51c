"""The knowledge base over HTTP: a page for people and JSON for programs.

    GET /kb?q=&kind=&since=&limit=              results as a page that needs no script
    GET /kb/document?id=                        one document
    GET /api/kb/search?q=&kind=&since=&limit=   what `kb search --json` prints

Belongs here: HTTP and HTML. Does not belong here: how the knowledge base searches. All text is escaped; the pages allow
neither scripts nor frames nor anything from elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from incident_pipeline.console.feedback_pages import verdict_form
from incident_pipeline.console.html_page import HEADERS, html_page
from incident_pipeline.console.sessions import PATH, Session, Sessions
from incident_pipeline.durations import parse_duration

if TYPE_CHECKING:
    from kb import Document, KnowledgeBase, SearchResult

KINDS = ("runbook", "postmortem", "incident", "note")
LONGEST_QUERY = 2000
MOST_RESULTS = 50
_LOG_IN = f'<p class="kind"><a href="{PATH}">Log in</a> to say what helped.</p>'


class Asked(NamedTuple):
    """What a request asks for."""

    text: str
    kind: str | None
    since: datetime | None
    limit: int


def routes(
    knowledge_base: Callable[[], KnowledgeBase],
    now: Callable[[], datetime] | None = None,
    sessions: Sessions | None = None,
) -> list[Route]:
    """The routes, to be mounted in the receiver's application.

    Args:
        knowledge_base: gives the opened knowledge base.
        now: the clock against which `since` is counted.
        sessions: whoever is logged in may say which results helped.
    """
    clock = now or (lambda: datetime.now(UTC))

    async def api(request: Request) -> Response:
        try:
            asked = read_question(request, clock())
        except ValueError as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        found = await run_in_threadpool(_search, knowledge_base, asked)
        return JSONResponse([result.as_json() for result in found], headers=HEADERS)

    async def page(request: Request) -> Response:
        try:
            asked = read_question(request, clock(), may_be_empty=True)
        except ValueError as error:
            return html_page("Knowledge base", f"<p role=alert>{escape(str(error))}</p>", status=400)
        found = await run_in_threadpool(_search, knowledge_base, asked) if asked.text else None
        session = sessions.of(request) if sessions is not None else None
        hint = _LOG_IN if found and session is None and sessions is not None else ""
        return html_page("Knowledge base", _form(request, asked) + _results(found, asked.text, session) + hint)

    async def document(request: Request) -> Response:
        identity = request.query_params.get("id", "")
        found = await run_in_threadpool(lambda: knowledge_base().get(identity))
        if found is None:
            return html_page("Not found", f"<p>There is no document {escape(identity[:200])}.</p>", status=404)
        return html_page(found.title, _document(found))

    return [
        Route("/kb", page, methods=["GET"]),
        Route("/kb/document", document, methods=["GET"]),
        Route("/api/kb/search", api, methods=["GET"]),
    ]


def read_question(request: Request, now: datetime, *, may_be_empty: bool = False) -> Asked:
    """What the query parameters ask for.

    Raises:
        ValueError: one of them is wrong; the message says which.
    """
    given = request.query_params
    text = given.get("q", "").strip()
    if not text and not may_be_empty:
        raise ValueError("q is missing: what to search for")
    if len(text) > LONGEST_QUERY:
        raise ValueError(f"q has {len(text)} characters, more than {LONGEST_QUERY}")
    kind = given.get("kind") or None
    if kind is not None and kind not in KINDS:
        raise ValueError(f"kind is none of {', '.join(KINDS)}")
    limit = given.get("limit", "5")
    if not limit.isascii() or not limit.isdigit() or not 1 <= int(limit[:6]) <= MOST_RESULTS:
        raise ValueError(f"limit is not a number from 1 to {MOST_RESULTS}")
    return Asked(text, kind, _since(given.get("since", ""), now), int(limit))


def _since(text: str, now: datetime) -> datetime | None:
    if not text:
        return None
    try:
        oldest: datetime = now - parse_duration(text)
    except (ValueError, OverflowError) as error:
        raise ValueError("since is not a duration such as 90d") from error
    return oldest


def _search(knowledge_base: Callable[[], KnowledgeBase], asked: Asked) -> list[SearchResult]:
    return knowledge_base().search(asked.text, kind=asked.kind, limit=asked.limit, since=asked.since)


def _form(request: Request, asked: Asked) -> str:
    kinds = "".join(
        f'<option value="{kind}"{" selected" if kind == asked.kind else ""}>{kind or "everything"}</option>'
        for kind in ("", *KINDS)
    )
    since = escape(request.query_params.get("since", "")[:20])
    return (
        '<form action="/kb" method="get" role="search">'
        f'<input type="search" name="q" aria-label="Search for" value="{escape(asked.text)}" autofocus required>'
        f'<select name="kind" aria-label="Kind">{kinds}</select>'
        f'<input name="since" aria-label="Not older than" placeholder="90d" size="4" value="{since}">'
        "<button>Search</button></form>"
    )


def _results(found: list[SearchResult] | None, asked: str, session: Session | None) -> str:
    if found is None:
        return "<p>Paste an alert, a log line or a question.</p>"
    if not found:
        return "<p>Nothing in the knowledge base fits.</p>"
    return f"<ol>{''.join(_result(result, asked, session) for result in found)}</ol>"


def _result(result: SearchResult, asked: str, session: Session | None) -> str:
    date = f" · {result.date.date().isoformat()}" if result.date else ""
    heading = f"<b>{escape(result.heading)}</b>: " if result.heading else ""
    return (
        f'<li><a href="/kb/document?id={quote(result.id, safe="")}">{escape(result.title)}</a> '
        f'<span class="kind">{result.kind}{date} · {result.probability:.0%} likely</span>'
        f'<div class="why">{escape("; ".join(result.why))}</div><div>{heading}{escape(result.snippet)}</div>'
        f"{verdict_form(session, result.id, question=asked) if session else ''}</li>"
    )


def _document(found: Document) -> str:
    facts = [found.kind, found.date.date().isoformat() if found.date else "", *found.services, found.source]
    return (
        f'<p class="kind">{escape(" · ".join(filter(None, facts)))}</p><pre>{escape(found.text)}</pre>'
        '<p><a href="/kb">Search again</a></p>'
    )
