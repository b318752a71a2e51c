"""deploy/kubernetes: valid for Kubernetes where its schemas are installed, and consistent with itself everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from incident_pipeline.configuration.file import load_scenario
from tests.unit.cli.runner import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
OBJECTS: list[dict[str, Any]] = [
    each
    for name in yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]
    for each in yaml.safe_load_all((FOLDER / name).read_text())
]
IDS = [f"{each['kind']} {each['metadata']['name']}" for each in OBJECTS]


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for each in OBJECTS:
        spec = each.get("spec", {})
        if each["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        if "template" in spec:
            yield each["metadata"]["name"], spec["template"]["spec"]


@pytest.mark.parametrize("manifest", OBJECTS, ids=IDS)
def test_the_schemas_take_it(manifest: dict[str, Any]) -> None:
    checker = pytest.importorskip(
        "kubernetes_validate", reason="kubernetes-validate is not installed: manifests were not validated"
    )
    checker.validate(manifest, "1.33", strict=True)


@pytest.mark.parametrize(("name", "pod"), list(pods()), ids=[name for name, _ in pods()])
def test_every_container_is_kept_small(name: str, pod: dict[str, Any]) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    volumes = {volume["name"] for volume in pod["volumes"]}
    for container in pod["containers"]:
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes


def test_the_configuration_loads() -> None:
    loaded = load_scenario(FOLDER / "incident.yaml", environ={"INBOX_URL": "postgresql+psycopg://h/inbox"})
    assert [missing.variable for missing in loaded.missing] == ["ALERTMANAGER_TOKEN"]
