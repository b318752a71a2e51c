"""Certificates: a wrong one is refused with a sentence, and one's own authority can be trusted."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from incident_pipeline.config import Connection
from incident_pipeline.connectors.deadline import Deadline
from incident_pipeline.connectors.http import HttpClient
from incident_pipeline.errors import PermanentSourceError


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A server with a certificate that only its own authority knows; its address and that authority."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    options = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command = [openssl, "req", *options, *names, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"[]")

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    web.socket = context.wrap_socket(web.socket, server_side=True)
    web.handle_error = lambda *_: None  # type: ignore[method-assign]  # the refused handshake is what is tested
    Thread(target=web.serve_forever, daemon=True).start()
    yield f"https://127.0.0.1:{web.server_port}", certificate
    web.shutdown()
    web.server_close()


def ask(url: str, connection: Connection) -> Any:
    async def run() -> Any:
        client = HttpClient("shop", url, connection)
        try:
            return (await client.get("/", deadline=Deadline(5))).json()
        finally:
            await client.close()

    return asyncio.run(run())


def test_an_unknown_authority_is_refused_and_ones_own_is_trusted(server: tuple[str, Path]) -> None:
    url, authority = server
    with pytest.raises(PermanentSourceError, match=r"certificate of shop is not trusted .* set connections.shop.ca"):
        ask(url, Connection())
    assert ask(url, Connection(ca=authority)) == []
