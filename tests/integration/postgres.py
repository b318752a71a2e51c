"""A real Postgres server of its own for a test; where there is none, the test skips and says so."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def _program(name: str) -> str | None:
    packaged = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(packaged[-1]) if packaged else shutil.which(name)


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """The URL of an empty database, for as long as the block runs."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: the inbox was not tested on Postgres")
    initdb, server = _program("initdb"), _program("pg_ctl")
    if initdb is None or server is None:
        pytest.skip("postgresql is not installed: the inbox was not tested on Postgres")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = folder / "postgres"
    data.mkdir()
    # the server refuses to run as root
    as_user: list[str] = []
    if os.geteuid() == 0:
        if shutil.which("runuser") is None or subprocess.run(["id", "postgres"], capture_output=True).returncode:
            pytest.skip("there is no user to run postgresql as: the inbox was not tested on Postgres")
        for path in (data, *folder.parents[:3], folder):
            path.chmod(0o755)
        shutil.chown(data, "postgres")
        as_user = ["runuser", "-u", "postgres", "--"]
    where = ["-D", str(data)]
    subprocess.run([*as_user, initdb, *where, "-A", "trust", "-U", "test", "-N"], check=True, capture_output=True)
    options = f"-p {port} -h 127.0.0.1 -k '' -c fsync=off"
    start = [*as_user, server, *where, "-l", str(data / "log"), "-o", options, "-w", "start"]
    subprocess.run(start, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"postgresql+psycopg://test@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*as_user, server, *where, "-m", "immediate", "stop"], check=True, capture_output=True)
