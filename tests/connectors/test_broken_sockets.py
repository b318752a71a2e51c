"""What only a real socket shows, for every connector alike: a wrong certificate, and a connection that is reset."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import stamina

from incident_pipeline.config import Connection, Scenario
from incident_pipeline.connectors.registry import build_sources
from incident_pipeline.evidence.gather import gather_now
from incident_pipeline.models import Gathered
from tests.connectors.loopback import Loopback, https_server
from tests.connectors.questions import AROUND, incident
from tests.connectors.test_faults import Case, every_connector, scenario_for, sentence

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""asyncio lets go of a refused connection on the loop's next turn; where it was the last, the collector closes it."""

Address = tuple[str, Path]

HALF = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"data": [{'


@pytest.fixture(autouse=True)
def once() -> Iterator[None]:
    with stamina.set_testing(True, attempts=1):
        yield


@pytest.fixture(scope="module", autouse=True)
def collected() -> Iterator[None]:
    """What is left is collected here, where it is known why, and not in the middle of another test."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def unknown_authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    with https_server(tmp_path_factory.mktemp("unknown")) as found:
        yield found


@pytest.fixture(scope="module")
def of_another_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    with https_server(tmp_path_factory.mktemp("other"), "DNS:other.example") as found:
        yield found


def ask(case: Case, url: str, **connection: Any) -> Gathered[Any]:
    scenario = at(scenario_for(case), case.name, url, **connection)
    return gather_now([case.kind], build_sources(scenario), incident(), scenario, AROUND)[case.kind]


def at(scenario: Scenario, name: str, url: str, **more: Any) -> Scenario:
    given: Connection = scenario.connections[name].model_copy(update={"url": url, **more})
    return scenario.model_copy(update={"connections": {name: given}})


@every_connector
def test_a_certificate_of_an_unknown_authority_is_refused(case: Case, unknown_authority: Address) -> None:
    url, _ = unknown_authority
    assert "is not trusted" in sentence(ask(case, url))


@every_connector
def test_a_certificate_of_another_host_is_refused(case: Case, of_another_host: Address) -> None:
    url, authority = of_another_host
    assert "is not trusted" in sentence(ask(case, url, ca=authority))


@every_connector
@pytest.mark.parametrize("sent", [b"", HALF], ids=["before the answer", "within the answer"])
def test_a_connection_that_is_reset_is_told(case: Case, sent: bytes, loopback: Loopback) -> None:
    reason = sentence(ask(case, loopback.serve(sent, reset=True)))
    assert "broke off" in reason
    assert loopback.requests
