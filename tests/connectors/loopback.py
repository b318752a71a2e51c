"""Servers on loopback: one that answers with exact bytes or breaks off, and one with a certificate of its own."""

from __future__ import annotations

import shutil
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

_RESET = struct.pack("ii", 1, 0)
"""To linger for no time: closing is told as a reset."""


class Loopback:
    """Listens on free ports; each connection gets the same bytes."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self._sockets: list[socket.socket] = []
        self._stopped = threading.Event()

    def serve(self, answer: bytes, drip: bytes = b"", *, reset: bool = False) -> str:
        """Start to answer; with `drip`, those bytes follow slowly for as long as anybody reads.

        With `reset` the connection is reset after the answer instead of being closed.
        """
        listener = socket.create_server(("127.0.0.1", 0))
        self._sockets.append(listener)
        threading.Thread(target=self._accept, args=(listener, answer, drip, reset), daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    def stop(self) -> None:
        self._stopped.set()
        for listener in self._sockets:
            listener.close()

    def _accept(self, listener: socket.socket, answer: bytes, drip: bytes, reset: bool) -> None:
        while not self._stopped.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                try:
                    self.requests.append(connection.recv(65536))
                    connection.sendall(answer)
                    while drip and not self._stopped.wait(0.05):
                        connection.sendall(drip)
                    if reset:
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                except OSError:
                    continue


@contextmanager
def https_server(folder: Path, names: str = "DNS:localhost,IP:127.0.0.1") -> Iterator[tuple[str, Path]]:
    """A server whose certificate, for these names, only its own authority knows; its address and that authority."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    options = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    options += ["-addext", f"subjectAltName={names}", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([openssl, "req", *options], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    web = _Secure(("127.0.0.1", 0), _Empty)
    web.context = context
    threading.Thread(target=web.serve_forever, daemon=True).start()
    try:
        yield f"https://127.0.0.1:{web.server_port}", certificate
    finally:
        web.shutdown()
        web.server_close()


class _Secure(ThreadingHTTPServer):
    """Shakes hands in the connection's own thread, so that one that is refused holds up no other."""

    daemon_threads = True
    context: ssl.SSLContext

    def finish_request(self, request: Any, client_address: Any) -> None:
        with self.context.wrap_socket(request, server_side=True) as secure:
            super().finish_request(secure, client_address)

    def handle_error(self, *_: Any) -> None:
        """The refused handshake is what is tested."""


class _Empty(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"[]")

    def log_message(self, *_: Any) -> None:
        """Quiet."""
