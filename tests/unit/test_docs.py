import json
import re
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from incident_pipeline.cli.docs import command_pages, commands, help_of, pages
from incident_pipeline.cli.init import Answers, configuration
from incident_pipeline.cli.lazy import Group, hoist
from incident_pipeline.cli.main import COMMANDS
from incident_pipeline.configuration.file import load_scenario
from incident_pipeline.configuration.mistakes import section_at
from incident_pipeline.configuration.reference import json_schema, key_rows
from incident_pipeline.errors import ConfigurationError
from incident_pipeline.remediation.executors.registry import EXECUTORS
from tests.shared_data import shared_path
from tests.unit.cli.runner import ROOT, call

DOCS = ROOT / "docs"
ALL = dict(commands())
AGAIN = "run: .venv/bin/python -m incident_pipeline.cli.docs docs"


@pytest.mark.parametrize("name", ["configuration.md", "commands.md", "incident.schema.json"])
def test_what_is_generated_is_as_the_code_has_it(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == pages(DOCS)[DOCS / name], AGAIN


# --- configuration ------------------------------------------------------------------------------


def test_every_key_has_a_meaning() -> None:
    assert [key for key, _, meaning in key_rows() if not meaning] == []


def test_every_key_of_the_models_is_in_the_schema_with_its_meaning() -> None:
    schema = json_schema()
    for key, _, meaning in key_rows():
        *where, name = key.removesuffix("[]").removesuffix(".<name>").replace("[]", ".0").split(".")
        section = section_at([0 if step == "0" else step for step in where])
        assert section is not None, key
        definition = schema["properties"]["scenario"] if not where else schema["$defs"][section.__name__]
        assert definition["additionalProperties"] is False
        assert definition["properties"][name].get("description", meaning) == meaning


def test_the_schema_takes_what_loads_and_refuses_what_does_not() -> None:
    validator = jsonschema.Draft202012Validator(json_schema())
    validator.check_schema(json_schema())
    for text in (configuration(Answers()), configuration(Answers("http://p", "http://a", ".", everybody=True))):
        validator.validate(yaml.safe_load(text))
    for wrong in ({"scenario": {"nam": "x"}}, {"scenario": {"context": {"logs": {"lookback": "2 hours"}}}}, {}):
        assert not validator.is_valid(wrong)


def test_the_schema_takes_the_specification_s_configuration() -> None:
    document = yaml.safe_load(shared_path("configuration.yaml").read_text())
    jsonschema.validate(document, json_schema(), jsonschema.Draft202012Validator)


def test_the_documentation_s_example_loads(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", (DOCS / "configuration.md").read_text(), re.DOTALL)
    path = tmp_path / "incident.yaml"
    path.write_text(example)
    assert load_scenario(path, environ={"RECEIVER_TOKEN": "x"}).missing == ()


def test_the_examples_of_remediation_load(tmp_path: Path) -> None:
    examples = re.findall(r"```yaml\n(scenario:.*?)```", (DOCS / "remediation.md").read_text(), re.DOTALL)
    assert len(examples) == 2
    for number, example in enumerate(examples):
        path = tmp_path / f"{number}.yaml"
        path.write_text(example)
        secrets = dict.fromkeys(("DANA_TOKEN", "ERIN_TOKEN", "ARGOCD_TOKEN"), "x" * 20)
        assert load_scenario(path, environ=secrets).missing == ()


def test_the_page_of_remediation_names_every_executor_and_every_placeholder() -> None:
    page = (DOCS / "remediation.md").read_text()
    assert [name for name in EXECUTORS if f"| `{name}` |" not in page] == []
    assert [
        name for name in ("service", "version", "replicas", "flag", "execution") if f"{{{{ {name} }}}}" not in page
    ] == []


def test_the_documentation_s_mistakes_are_what_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = re.findall(r"incident-pipeline: (incident.yaml: .*)", (DOCS / "configuration.md").read_text())
    for key, expected in zip(("lookback", "lookbak"), said, strict=True):
        Path("incident.yaml").write_text(f"scenario: {{context: {{logs: {{{key}: 2 hours}}}}}}")
        with pytest.raises(ConfigurationError) as caught:
            load_scenario(environ={})
        assert str(caught.value) == expected


# --- commands -----------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ALL)
def test_every_command_is_documented_and_its_help_has_an_example(words: str) -> None:
    result = call(*words.split(), "--help")
    assert result.exit_code == 0
    examples = examples_of(words, ALL[words])
    assert examples, f"the help of {words} has no example"
    assert f"\n## {words}\n" in (DOCS / "commands.md").read_text()


@pytest.mark.parametrize("words", ALL)
def test_the_examples_use_options_that_exist(words: str) -> None:
    command: Any = ALL[words]
    known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)} | {"--help"}
    for example in examples_of(words, command):
        options = [word.partition("=")[0] for word in example if word.startswith("--")]
        assert set(options) <= known, f"{words}: {options}"


@pytest.mark.parametrize("words", ALL)
def test_the_list_of_commands_says_of_each_what_it_does(words: str) -> None:
    first, *rest = words.split()
    entry = COMMANDS[first]
    if isinstance(entry, Group) and rest:
        entry = entry.commands[rest[0]]
    assert entry.summary.endswith(".")
    assert len(entry.summary) <= 90


def test_no_command_is_left_out_of_the_pages() -> None:
    assert re.findall(r"^## (.*)$", command_pages(), re.MULTILINE) == list(ALL)


def examples_of(words: str, command: Any) -> list[list[str]]:
    """The words behind `incident-pipeline <words>` of each example, without those of the whole program."""
    text = help_of(words, command).split("Usage:", 1)[1].split("\n", 1)[1]
    lines = re.findall(rf"incident-pipeline {words}(?: (.*))?$", text, re.MULTILINE)
    found = [shlex.split(re.split(r" [<|>] ", line)[0]) for line in lines]
    return [hoisted(each) for each in found]


def hoisted(words: list[str]) -> list[str]:
    placed = hoist(words)
    while placed and placed[0] in ("--config", "--data-dir"):
        placed = placed[2:]
    return placed


def test_the_schema_is_one_that_editors_read() -> None:
    schema = json.loads((DOCS / "incident.schema.json").read_text())
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert "yaml-language-server: $schema=" in (DOCS / "configuration.md").read_text()
