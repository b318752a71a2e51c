"""A server on loopback that answers with exact bytes, for what no well-behaved server does."""

from __future__ import annotations

import socket
import threading


class Loopback:
    """Listens on free ports; each connection gets the same bytes."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self._sockets: list[socket.socket] = []
        self._stopped = threading.Event()

    def serve(self, answer: bytes, drip: bytes = b"") -> str:
        """Start to answer; with `drip`, those bytes follow slowly for as long as anybody reads."""
        listener = socket.create_server(("127.0.0.1", 0))
        self._sockets.append(listener)
        threading.Thread(target=self._accept, args=(listener, answer, drip), daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    def stop(self) -> None:
        self._stopped.set()
        for listener in self._sockets:
            listener.close()

    def _accept(self, listener: socket.socket, answer: bytes, drip: bytes) -> None:
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
                except OSError:
                    continue
