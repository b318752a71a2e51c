"""deploy/proxy in a real nginx on loopback: the UI behind single sign-on, webhooks with their tokens, nothing else."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from incident_pipeline.storage.inbox import Inbox
from tests.receiving import Receiver
from tests.unit.cli.runner import ROOT
from tests.unit.intake.builders import NOW

PROXY = ROOT / "deploy" / "proxy"
SIGNED_IN = "session=good"


class SignOn(BaseHTTPRequestHandler):
    """A stand-in for the sign-on service: whoever has the cookie is Ada."""

    def do_GET(self) -> None:
        known = SIGNED_IN in self.headers.get("Cookie", "")
        self.send_response(200 if not self.path.startswith("/oauth2/auth") else 202 if known else 401)
        if known:
            self.send_header("X-Auth-Request-Email", "ada@example.org")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing."""


class Ui(SignOn):
    """A stand-in for the UI: says what it was asked, and takes web sockets."""

    def do_GET(self) -> None:
        if self.headers.get("Upgrade") == "websocket":
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
            self.end_headers()
            return
        body = json.dumps({"path": self.path, **{k.lower(): v for k, v in self.headers.items()}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    started = Receiver(tmp_path_factory.mktemp("receiver"))
    started.start()
    yield started
    started.kill()


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[int]:
    """The port of an nginx that serves the site as it is, but for its address, its certificate and its upstreams."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/sbin")
    if nginx is None:
        pytest.skip("nginx is not installed: the proxy was not tried")
    folder = tmp_path_factory.mktemp("nginx")
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), handler) for handler in (Ui, SignOn)]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    port = free_port()
    (folder / "upstreams.conf").write_text(
        (PROXY / "upstreams.conf")
        .read_text()
        .replace("127.0.0.1:3001", f"127.0.0.1:{receiver.port}")
        .replace("127.0.0.1:3000", f"127.0.0.1:{servers[0].server_port}")
        .replace("127.0.0.1:4180", f"127.0.0.1:{servers[1].server_port}")
    )
    lines = [line for line in (PROXY / "incident-pipeline.conf").read_text().splitlines() if "ssl_" not in line]
    site = (
        "\n".join(lines).replace("443 ssl", f"127.0.0.1:{port}").replace("/etc/nginx/upstreams", f"{folder}/upstreams")
    )
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"pid {folder}/pid; error_log {folder}/error.log; daemon off;\n"
        f"events {{}}\nhttp {{ access_log off; {temporary}\n{site}\n}}\n"
    )
    started = subprocess.Popen([nginx, "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")])
    try:
        wait_until_it_answers(port, started, folder / "error.log")
        yield port
    finally:
        started.terminate()
        started.wait(10)
        for server in servers:
            server.shutdown()
            server.server_close()


def wait_until_it_answers(port: int, started: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(200):
        assert started.poll() is None, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            threading.Event().wait(0.05)
        else:
            return
    raise AssertionError(log.read_text())


def ask(port: int, path: str, method: str = "GET", body: str = "", **headers: str) -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), "" if answer.status == 101 else answer.read().decode()
    connection.close()
    return found


@pytest.mark.parametrize("path", ["/", "/runs", "/graphql", "/metrics", "/kb?q=x", "/api/kb/search?q=x"])
def test_nobody_sees_the_ui_without_signing_in(port: int, path: str) -> None:
    status, headers, _ = ask(port, path)
    assert status == 302
    assert headers["Location"].partition("?")[0].endswith("/oauth2/start")


def test_whoever_has_signed_in_sees_it_and_cannot_claim_to_be_somebody_else(port: int) -> None:
    status, headers, body = ask(
        port, "/runs/1", Cookie=SIGNED_IN, X_Forwarded_User="root", X_Forwarded_Email="root", Authorization="Basic x"
    )
    seen = json.loads(body)
    assert (status, seen["path"], seen["x-forwarded-user"]) == (200, "/runs/1", "ada@example.org")
    assert not seen.get("authorization")
    assert not seen.get("x-forwarded-email")
    assert headers["X-Frame-Options"] == "DENY"


def test_live_updates_are_a_web_socket(port: int) -> None:
    status, _, _ = ask(port, "/graphql", Cookie=SIGNED_IN, Upgrade="websocket", Connection="Upgrade")
    assert status == 101
    assert ask(port, "/graphql", Upgrade="websocket", Connection="Upgrade")[0] == 302


def test_the_question_to_the_sign_on_service_is_not_open_to_visitors(port: int) -> None:
    assert ask(port, "/oauth2/auth")[0] == 404
    assert ask(port, "/oauth2/start")[0] == 200


def test_webhooks_need_no_person_but_a_token(port: int, receiver: Receiver) -> None:
    alert = json.dumps({"title": "errors", "service": "payments"})
    # the receiver has no tokens: only programs of its own machine may send, and the proxy is none of them
    for host in ("alerts.example.org", "localhost"):
        assert ask(port, "/webhooks/custom", "POST", alert, Host=host)[0] == 403
    inbox = Inbox.open(receiver.data_dir / "inbox.sqlite")
    assert inbox.state(NOW).accepted == 0
    inbox.close()
    assert ask(port, "/health")[0] == 200
