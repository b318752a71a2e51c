"""An application that Prometheus scrapes and that Alertmanager may tell of alerts."""

from __future__ import annotations

import json
import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from incident_pipeline.connectors.alertmanager import alerts_from_webhook
from incident_pipeline.models import Alert, AlertStatus

TOKEN = "s3cret-token"  # noqa: S105


class App:
    """An application that Prometheus scrapes and that Alertmanager tells of alerts."""

    def __init__(self) -> None:
        self.error_ratio = 0.0
        self.bodies: queue.Queue[tuple[str | None, dict[str, Any]]] = queue.Queue()
        app = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(f'checkout_error_ratio{{service="checkout",env="prod"}} {app.error_ratio}\n'.encode())

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                app.bodies.put((self.headers["Authorization"], json.loads(body)))
                self._answer(b"")

            def _answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def next_alert(self, status: AlertStatus) -> Alert:
        """The next alert of that status that the webhook brings."""
        while True:
            authorization, body = self.bodies.get(timeout=30)
            assert authorization == f"Bearer {TOKEN}"
            for alert in alerts_from_webhook(body):
                if alert.status is status:
                    return alert
