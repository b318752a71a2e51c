"""A server on loopback that answers as Prometheus and Loki do, at once: evidence of a realistic size for benchmarks."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

POINTS = 240


@contextmanager
def evidence_server(lines: int) -> Iterator[str]:
    """Serve a series of 240 points for each query, and log lines up to the limit asked for; yields the URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # head and body in one packet, at once: no wait of 40 ms for an acknowledgement
        wbufsize = -1
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._answer(parse_qs(urlsplit(self.path).query))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            self._answer(parse_qs(body))

        def _answer(self, asked: dict[str, list[str]]) -> None:
            kind, result = _result(urlsplit(self.path).path, asked, lines)
            body = json.dumps({"status": "success", "data": {"resultType": kind, "result": result}}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    class Server(ThreadingHTTPServer):
        # with the usual 5, two dozen connections at once lose some of their first packets, and wait a second for it
        request_queue_size = 128

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _result(path: str, asked: dict[str, list[str]], lines: int) -> tuple[str, list[dict[str, Any]]]:
    """What kind of result a path answers with, and the result."""
    if "/loki/" not in path:
        return "matrix", _matrix(asked)
    if path.endswith("/query_range"):
        return "streams", _streams(asked, lines)
    # the count of complaints
    return "vector", [{"metric": {}, "value": [int(asked["time"][0]) / 1e9, str(lines // 20)]}]


def _matrix(asked: dict[str, list[str]]) -> list[dict[str, Any]]:
    """One noisy series that jumps in its last minutes."""
    start, end, step = (float(asked[name][0]) for name in ("start", "end", "step"))
    noise = random.Random(asked["query"][0])
    count = min(POINTS, int((end - start) / step))
    points = [
        [end - (count - 1 - n) * step, str(round(noise.gauss(1, 0.05) * (6 if n > count - 5 else 1), 4))]
        for n in range(count)
    ]
    return [{"metric": {"__name__": "requests"}, "values": points}]


def _streams(asked: dict[str, list[str]], lines: int) -> list[dict[str, Any]]:
    """Log lines over the window; an error appears in the last tenth."""
    start, end, limit = (int(asked[name][0]) for name in ("start", "end", "limit"))
    lines = min(lines, limit)
    step = (end - start) // lines
    values = [
        [
            str(start + n * step),
            f'level=error msg="connection to db-{n % 7} refused" id={n}'
            if n > lines * 0.9 and n % 2
            else f'level=info msg="handled request {n}" duration={n % 90}ms',
        ]
        for n in range(lines)
    ]
    return [{"stream": {"service_name": "service"}, "values": values}]
