"""What end-to-end tests run on: the embedded default, and with `--whole` PostgreSQL and Celery as well."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.e2e.scaled_out import scaled_out
from tests.e2e.stack import Stack, running
from tests.e2e.storm import catalogue
from tests.unit.communication.slack_fake import FakeSlack, serving
from tests.unit.communication.test_clicks import SECRET

SetUp = Callable[[Path, str], AbstractContextManager[Stack]]
"""Starts the responder below a folder, on a configuration."""


CONFIGURATION = """
scenario:
  services_file: services.yaml
  diagnosis: {{updates: [0s]}}
  receiver: {{tokens: {{slack: {secret}}}}}
  connections: {{slack: {{url: "{slack}", token: xoxb-1}}}}
  remediation: {{communication: {{slack_channel: "#incidents"}}}}
"""


@contextmanager
def running_scaled_out(directory: Path, configuration: str) -> Iterator[Stack]:
    """As `running`, on PostgreSQL and Celery."""
    with scaled_out(directory, configuration) as stack:
        stack.start()
        yield stack


SET_UPS: dict[str, SetUp] = {"embedded": running, "scaled out": running_scaled_out}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test that names `set_up` runs on every one of them, or on the default alone."""
    if "set_up" in metafunc.fixturenames:
        names = list(SET_UPS) if metafunc.config.getoption("--whole") else ["embedded"]
        metafunc.parametrize("set_up", [SET_UPS[name] for name in names], ids=names, scope="session")


@pytest.fixture(scope="session")
def slack(set_up: SetUp) -> FakeSlack:
    """The workspace that the shared responder speaks to."""
    return FakeSlack()


@pytest.fixture(scope="session")
def responder(set_up: SetUp, slack: FakeSlack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One responder for all tests that need no other configuration: a start costs more than most of them."""
    folder = tmp_path_factory.mktemp("responder")
    (folder / "services.yaml").write_text(catalogue())
    with serving(slack) as url, set_up(folder, CONFIGURATION.format(secret=SECRET, slack=url)) as started:
        yield started
