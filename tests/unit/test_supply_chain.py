"""What is installed with the application: pinned, and under a licence that a company can live with."""

from __future__ import annotations

import runpy
from typing import Any

import pytest

from tests.unit.cli.runner import ROOT

LICENCES = runpy.run_path(str(ROOT / "release" / "licences.py"))
PINNED = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split())
OF_THE_ENVIRONMENT = {"incident-pipeline", "pip", "setuptools"}
COPYLEFT = ("AGPL", "GPL-2", "GPL-3", "GPLv", "SSPL", "BUSL")


@pytest.fixture(scope="module")
def installed() -> dict[str, Any]:
    found = list(LICENCES["needed"]("incident-pipeline", LICENCES["EXTRAS"]))
    return {LICENCES["canonical"](each.metadata["Name"]): each for each in found}


def test_everything_is_pinned_and_installed_as_pinned(installed: dict[str, Any]) -> None:
    pinned = {LICENCES["canonical"](name): version for name, version in PINNED.items()}
    assert len(installed) > 60
    for name, each in installed.items():
        if name not in OF_THE_ENVIRONMENT:
            assert pinned.get(name) == each.version.partition("+")[0], name


def test_every_licence_is_known_and_none_binds_those_who_use_it(installed: dict[str, Any]) -> None:
    licences = {name: LICENCES["licence"](each) for name, each in installed.items()}
    assert [name for name, said in licences.items() if said == "unknown"] == []
    strict = {name for name, said in licences.items() if any(word in said.replace("LGPL", "") for word in COPYLEFT)}
    assert strict == set()
