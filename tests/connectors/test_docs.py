"""The page about connectors says what there is, and its examples work."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from incident_pipeline.configuration.file import load_scenario
from incident_pipeline.connectors.datadog_alerts import WEBHOOK_TEMPLATE
from incident_pipeline.connectors.registry import CONNECTORS, UnavailableSource, build_sources
from incident_pipeline.models import EvidenceKind

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "connectors.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^## ([\w-]+)\n\n```yaml\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)


def test_every_connector_has_its_section_and_its_row() -> None:
    sections = set(re.findall(r"^## ([a-z][\w-]*)$", PAGE, re.MULTILINE))
    rows = set(re.findall(r"^\| `([\w-]+)` \|", PAGE, re.MULTILINE))
    assert sections == rows == set(CONNECTORS)


def test_every_section_ends_with_what_it_looks_like_when_it_works() -> None:
    sections = re.findall(r"^## ([a-z][\w-]*)\n(.*?)(?=^## )", PAGE, re.DOTALL | re.MULTILINE)
    assert [name for name, text in sections if not text.rstrip().splitlines()[-1].startswith("**It works when**")] == []
    for name, text in sections:
        kinds = {kind.value for kind in CONNECTORS[name].kinds}
        told = set(re.findall(r"`(\w+)`", text.rpartition("**It works when**")[2])) & {
            kind.value for kind in EvidenceKind
        }
        assert told <= kinds, name


@pytest.mark.parametrize(("name", "text"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_every_example_asks_the_system_that_it_is_about(name: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / "incident.yaml"
    path.write_text(text)
    (tmp_path / "services.yaml").write_text("[{name: payments}]")
    variables = dict.fromkeys(re.findall(r"\$\{(\w+)\}", text), "value-0123")
    loaded = load_scenario(path, environ=variables)
    assert loaded.missing == ()
    asked = {source.name: source for sources in build_sources(loaded.scenario).values() for source in sources}
    assert name in asked
    assert [source.reason for source in asked.values() if isinstance(source, UnavailableSource)] == []


def test_the_payload_to_paste_is_the_one_that_is_read() -> None:
    (template,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert json.loads(template) == WEBHOOK_TEMPLATE


def test_all_examples_are_yaml() -> None:
    assert len(EXAMPLES) > 10
    for _, text in EXAMPLES:
        assert set(yaml.safe_load(text)) == {"scenario"}
