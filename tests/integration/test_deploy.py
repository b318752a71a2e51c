"""What lies in deploy/: as far as it can be checked without a container engine or a running systemd."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.cli.runner import ROOT

DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("incident-pipeline*.*"))
CONTAINERFILE = (ROOT / "Containerfile").read_text()
STAGES = re.split(r"^FROM ", re.sub(r"\\\n", " ", CONTAINERFILE), flags=re.MULTILINE)[1:]


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_takes_the_units(tmp_path: Path, unit: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed: its units were not verified")
    for each in UNITS:
        text = re.sub(r"/opt/incident-pipeline/bin/incident-pipeline", "/bin/true", each.read_text())
        (tmp_path / each.name).write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(tmp_path / unit.name)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr.replace("\n", "")) == (0, "")


def test_the_image_has_no_build_tools_and_does_not_run_as_root() -> None:
    build, final = STAGES
    assert "pip install" in build
    assert not re.search(r"pip install|gcc|build-essential|\bmake\b", final)
    (user,) = re.findall(r"^USER (\S+)", final, re.MULTILINE)
    assert user == "10001:10001"
    assert re.search(r"^HEALTHCHECK ", final, re.MULTILINE)
    assert final.rindex("USER ") > final.rindex("RUN ")


def test_what_the_image_copies_exists_and_is_let_through() -> None:
    ignored = (ROOT / ".containerignore").read_text().split()
    for line in re.findall(r"^COPY (?!--from)(.*)$", STAGES[0], re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert any(f"!{parent}" in ignored for parent in (source, *map(str, Path(source).parents)))


def test_the_image_installs_what_the_project_needs() -> None:
    listed = runpy.run_path(str(DEPLOY / "container" / "dependencies.py"))["requirements"]
    (extras,) = re.findall(r'^ARG EXTRAS="(.*)"', CONTAINERFILE, re.MULTILINE)
    needed = listed(ROOT / "pyproject.toml", extras.split())
    assert any(line.startswith("dagster>=") for line in needed)
    assert any(line.startswith("psycopg") for line in needed)
    assert any(line.startswith("dagster-celery") for line in needed)


def test_the_compose_file_keeps_the_doors_shut() -> None:
    services: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    ours = services["incident-pipeline"]
    assert ours["read_only"] is True
    assert ours["cap_drop"] == ["ALL"]
    assert "ports" not in ours
    assert services["proxy"]["ports"] == ["443:443"]
    for service in services.values():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            if source.startswith("./") and not source.endswith("/tls"):
                assert (DEPLOY / source).exists(), source
