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
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from incident_pipeline.durations import parse_duration

if TYPE_CHECKING:
    from kb import Document, KnowledgeBase, SearchResult

KINDS = ("runbook", "postmortem", "incident", "note")
LONGEST_QUERY = 2000
MOST_RESULTS = 50
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_STYLE = """
body{font:1rem/1.5 system-ui,sans-serif;max-width:46rem;margin:0 auto;padding:1rem;color:#1b1b1b;background:#fff}
form{display:flex;flex-wrap:wrap;gap:.5rem}
input,select,button{font:inherit;padding:.5rem}input[type=search]{flex:1 1 16rem}
li{margin:1.2rem 0}ol{padding-left:1.2rem}.why{color:#444}.kind{color:#555;font-size:.9rem}
pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#f4f4f4;padding:1rem}
a:focus,input:focus,select:focus,button:focus{outline:3px solid #0b57d0}
@media(prefers-color-scheme:dark){body{background:#111;color:#eee}.why,.kind{color:#bbb}pre{background:#222}a{color:#8ab4f8}}
"""


class Asked(NamedTuple):
    """What a request asks for."""

    text: str
    kind: str | None
    since: datetime | None
    limit: int


def routes(knowledge_base: Callable[[], KnowledgeBase], now: Callable[[], datetime] | None = None) -> list[Route]:
    """The routes, to be mounted in the receiver's application.

    Args:
        knowledge_base: gives the opened knowledge base.
        now: the clock against which `since` is counted.
    """
    clock = now or (lambda: datetime.now(UTC))

    async def api(request: Request) -> Response:
        try:
            asked = read_question(request, clock())
        except ValueError as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        found = await run_in_threadpool(_search, knowledge_base, asked)
        return JSONResponse([result.as_json() for result in found], headers=_HEADERS)

    async def page(request: Request) -> Response:
        try:
            asked = read_question(request, clock(), may_be_empty=True)
        except ValueError as error:
            return _html("Knowledge base", f"<p role=alert>{escape(str(error))}</p>", status=400)
        found = await run_in_threadpool(_search, knowledge_base, asked) if asked.text else None
        return _html("Knowledge base", _form(request, asked) + _results(found))

    async def document(request: Request) -> Response:
        identity = request.query_params.get("id", "")
        found = await run_in_threadpool(lambda: knowledge_base().get(identity))
        if found is None:
            return _html("Not found", f"<p>There is no document {escape(identity[:200])}.</p>", status=404)
        return _html(found.title, _document(found))

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


def _html(title: str, body: str, status: int = 200) -> HTMLResponse:
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
    )
    shown = f"{head}<body><main><h1>{escape(title)}</h1>{body}</main></body></html>"
    return HTMLResponse(shown, status_code=status, headers=_HEADERS)


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


def _results(found: list[SearchResult] | None) -> str:
    if found is None:
        return "<p>Paste an alert, a log line or a question.</p>"
    if not found:
        return "<p>Nothing in the knowledge base fits.</p>"
    return f"<ol>{''.join(map(_result, found))}</ol>"


def _result(result: SearchResult) -> str:
    date = f" · {result.date.date().isoformat()}" if result.date else ""
    heading = f"<b>{escape(result.heading)}</b>: " if result.heading else ""
    return (
        f'<li><a href="/kb/document?id={quote(result.id, safe="")}">{escape(result.title)}</a> '
        f'<span class="kind">{result.kind}{date} · {result.probability:.0%} likely</span>'
        f'<div class="why">{escape("; ".join(result.why))}</div><div>{heading}{escape(result.snippet)}</div></li>'
    )


def _document(found: Document) -> str:
    facts = [found.kind, found.date.date().isoformat() if found.date else "", *found.services, found.source]
    return (
        f'<p class="kind">{escape(" · ".join(filter(None, facts)))}</p><pre>{escape(found.text)}</pre>'
        '<p><a href="/kb">Search again</a></p>'
    )
