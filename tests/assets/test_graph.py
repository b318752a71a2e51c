"""The asset graph cannot change unnoticed: what depends on what, in which group, run by which job."""

from __future__ import annotations

import json
from pathlib import Path

import assets
from assets.definitions import build_definitions

SNAPSHOT = Path(__file__).with_name("graph.json")
CHECKOUT = Path(__file__).resolve().parents[2]


def graph() -> dict[str, object]:
    """The graph as plain values."""
    repository = build_definitions().get_repository_def()
    nodes = repository.asset_graph
    return {
        "assets": {
            key.to_user_string(): {
                "group": nodes.get(key).group_name,
                "needs": sorted(parent.to_user_string() for parent in nodes.get(key).parent_keys),
            }
            for key in sorted(nodes.get_all_asset_keys())
        },
        "checks": sorted(f"{key.asset_key.to_user_string()}.{key.name}" for key in nodes.asset_check_keys),
        "jobs": {
            job.name: sorted(key.to_user_string() for key in job.asset_layer.executable_asset_keys)
            for job in repository.get_all_jobs()
            if not job.name.startswith("__")
        },
        "sensors": {sensor.name: sensor.default_status.value for sensor in repository.sensor_defs},
    }


def test_graph_is_the_one_that_was_agreed_on() -> None:
    """After a wanted change: `python -m tests.assets.test_graph` writes the snapshot again."""
    assert graph() == json.loads(SNAPSHOT.read_text())


def test_every_asset_is_described_owned_and_versioned() -> None:
    for definition in build_definitions().resolve_all_asset_specs():
        assert definition.description, definition.key
        assert definition.owners, definition.key
        assert definition.code_version, definition.key
        assert definition.kinds, definition.key


def test_assets_is_ours() -> None:
    """`assets` is a common name; a package of the same name elsewhere must not be imported in its place."""
    assert Path(assets.__file__).parent == CHECKOUT / "assets"


def test_definitions_stay_short() -> None:
    lines = [line for line in (CHECKOUT / "assets" / "definitions.py").read_text().splitlines() if line.strip()]
    assert len(lines) < 30


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(graph(), indent=1) + "\n")
