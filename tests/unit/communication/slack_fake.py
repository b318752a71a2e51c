"""A Slack workspace in memory: keeps what it is sent, and can fail in every way that matters."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import httpx


class FakeSlack:
    """Answers as Slack does; `messages` is what people see."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.whispers: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.before: Callable[[str, dict[str, Any]], httpx.Response | None] = lambda _method, _body: None
        """Called before a request is carried out; may answer in its place, or raise."""
        self.after: Callable[[str, dict[str, Any]], None] = lambda _method, _body: None
        """Called after it was carried out and before the answer; may raise."""

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self.answer)

    @property
    def headers(self) -> list[dict[str, Any]]:
        return [message for message in self.messages if not message.get("thread_ts")]

    def replies(self, ts: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message.get("thread_ts") == ts]

    def answer(self, request: httpx.Request) -> httpx.Response:
        """What Slack says to a request."""
        method = request.url.path.rpartition("/")[2]
        content = request.content.decode()
        is_json = request.headers.get("content-type", "").startswith("application/json")
        body = json.loads(content) if is_json else {name: values[0] for name, values in parse_qs(content).items()}
        self.calls.append(method)
        answer = self.before(method, body)
        if answer is None:
            result = self._carry_out(method, body)
            self.after(method, body)
            answer = httpx.Response(200, json=result)
        return answer

    def _carry_out(self, method: str, body: dict[str, Any]) -> dict[str, Any]:
        if method == "conversations.list":
            return {"ok": True, "channels": [{"id": "C01", "name": "incidents"}, {"id": "C02", "name": "trial"}]}
        if method == "chat.postMessage":
            message = {**body, "ts": f"17.{len(self.messages):06}"}
            self.messages.append(message)
            return {"ok": True, "channel": body["channel"], "ts": message["ts"]}
        if method == "chat.update":
            for message in self.messages:
                if message["ts"] == body["ts"]:
                    message.update(body)
                    return {"ok": True, "channel": body["channel"], "ts": body["ts"]}
            return {"ok": False, "error": "message_not_found"}
        if method == "chat.postEphemeral":
            self.whispers.append(body)
            return {"ok": True}
        assert method in ("conversations.history", "conversations.replies"), method
        wanted = body.get("ts")
        found = [m for m in self.messages if (m.get("thread_ts") == wanted if wanted else not m.get("thread_ts"))]
        return {"ok": True, "messages": [m for m in found if m["channel"] == body["channel"]]}


@contextmanager
def serving(slack: FakeSlack) -> Iterator[str]:
    """The workspace on a port of loopback, for processes of their own; yields the URL of its interface."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            request = httpx.Request("POST", f"http://slack{self.path}", content=content, headers=dict(self.headers))
            answer = slack.answer(request).content
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/api"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
