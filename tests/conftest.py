"""What all tests share: the seed of samples, the switch to the whole, and the last lines that say what was skipped."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings

from tests.examples import SAMPLE, WHOLE

Item = TypeVar("Item")
SEED_VARIABLE = "TEST_SEED"

settings.register_profile("sample", max_examples=SAMPLE, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("whole", max_examples=WHOLE, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--whole", action="store_true", help="run everything that otherwise runs as a sample")


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("whole" if config.getoption("--whole") else "sample")
    os.environ.setdefault(SEED_VARIABLE, str(random.SystemRandom().randrange(10**6)))
    # runs of a developer's own instance must never be touched by a test
    for name in ("DAGSTER_HOME", "INCIDENT_PIPELINE_CONFIG", "INCIDENT_PIPELINE_DATA_DIR"):
        os.environ.pop(name, None)


def pytest_report_header(config: pytest.Config) -> str:
    extent = "whole" if config.getoption("--whole") else "sample"
    return (
        f"samples: {extent}, seed {os.environ[SEED_VARIABLE]} (repeat with {SEED_VARIABLE}={os.environ[SEED_VARIABLE]})"
    )


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[reason.removeprefix("Skipped: ")] += 1
    terminalreporter.write_line(f"seed of the samples: {os.environ[SEED_VARIABLE]}")
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"skipped {count}: {reason}")


@pytest.fixture(scope="session")
def whole(pytestconfig: pytest.Config) -> bool:
    """Whether to run everything instead of a sample."""
    return bool(pytestconfig.getoption("--whole"))


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Randomness of one test, repeatable by the printed seed."""
    return random.Random(f"{os.environ[SEED_VARIABLE]} {request.node.nodeid}")


def sample(items: Sequence[Item], count: int, rng: random.Random, whole: bool) -> list[Item]:
    """All items, or a sample of them."""
    return list(items) if whole or len(items) <= count else rng.sample(list(items), count)
