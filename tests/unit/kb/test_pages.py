"""The knowledge base over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest
from starlette.applications import Starlette

from incident_pipeline.console.kb_pages import routes
from kb import Document, KnowledgeBase

NOW = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture
def app(tmp_path: Path) -> Starlette:
    kb = KnowledgeBase.open(tmp_path / "kb.duckdb", model="none")
    kb.add(
        [
            Document(
                "rb/pods & co", "runbook", "Pod <b>crash</b> looping", "# Why\n\n<script>alert(1)</script> crash log."
            ),
            Document("pm/old", "postmortem", "Old crash", "It did crash.", date=datetime(2020, 1, 1, tzinfo=UTC)),
        ]
    )
    return Starlette(routes=routes(lambda: kb, now=lambda: NOW))


def _get(app: Starlette, path: str) -> tuple[int, dict[str, str], str]:
    """One request, straight into the application."""
    target, _, query = path.partition("?")
    scope = {
        "type": "http", "method": "GET", "path": target, "raw_path": target.encode(), "query_string": query.encode(),
        "headers": [], "http_version": "1.1", "scheme": "http", "server": ("test", 80), "root_path": "",
    }  # fmt: skip
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]
    start = sent[0]
    headers: Sequence[tuple[bytes, bytes]] = start["headers"]  # type: ignore[assignment]
    body = b"".join(message.get("body", b"") for message in sent[1:])  # type: ignore[misc]
    return int(str(start["status"])), {k.decode(): v.decode() for k, v in headers}, body.decode()


def test_json_is_what_the_command_prints(app: Starlette) -> None:
    import json

    status, _, body = _get(app, "/api/kb/search?q=crash&limit=1&kind=runbook")
    (found,) = json.loads(body)
    assert status == 200
    assert found["id"] == "rb/pods & co"
    assert {"kind", "title", "score", "probability", "snippet", "heading", "source", "date", "why"} <= found.keys()


def test_filters(app: Starlette) -> None:
    assert "pm/old" in _get(app, "/api/kb/search?q=crash")[2]
    assert "pm/old" not in _get(app, "/api/kb/search?q=crash&since=90d")[2]


@pytest.mark.parametrize(
    "query", ["", "q=", "q=x&kind=recipe", "q=x&limit=0", "q=x&limit=many", "q=x&since=soon", "q=" + "x" * 3000]
)
def test_wrong_questions_are_refused_in_one_sentence(app: Starlette, query: str) -> None:
    status, _, body = _get(app, f"/api/kb/search?{query}")
    assert status == 400
    assert "error" in body


def test_the_page_escapes_everything(app: Starlette) -> None:
    status, headers, body = _get(app, f"/kb?q={quote('crash looping <script>alert(2)</script>')}")
    assert status == 200
    assert "<script" not in body
    assert "Pod &lt;b&gt;crash&lt;/b&gt; looping" in body
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "/kb/document?id=rb%2Fpods%20%26%20co" in body
    assert 'name="viewport"' in body


def test_a_document_is_shown_as_text(app: Starlette) -> None:
    status, _, body = _get(app, "/kb/document?id=rb%2Fpods%20%26%20co")
    assert status == 200
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in body
    assert _get(app, "/kb/document?id=nothing")[0] == 404


def test_the_empty_page_and_the_empty_answer(app: Starlette) -> None:
    assert "Paste an alert" in _get(app, "/kb")[2]
    assert "Nothing in the knowledge base fits" in _get(app, "/kb?q=zygomorphic")[2]
