"""Certificates: a wrong one is refused with a sentence, and one's own authority can be trusted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from incident_pipeline.config import Connection
from incident_pipeline.connectors.deadline import Deadline
from incident_pipeline.connectors.http import HttpClient
from incident_pipeline.errors import PermanentSourceError
from tests.connectors.loopback import https_server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    with https_server(tmp_path) as found:
        yield found


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
