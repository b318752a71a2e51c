import json
from pathlib import Path

import pytest

from tests.shared_data import shared_path
from tests.unit.cli.runner import call


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("PAGERDUTY_API_KEY", "DD_API_KEY", "DD_APP_KEY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_every_key_of_the_specification_s_configuration_has_its_line() -> None:
    path = shared_path("configuration.yaml")
    report = json.loads(call("config", "check", "--json", "--config", str(path)).stdout)
    assert (report["file"], report["valid"]) == (str(path), True)
    lines = call("config", "check", "--config", str(path)).stdout.splitlines()
    section, shown = "", []
    for line in lines:
        if line and line[0] not in " -~!":
            section = "" if line == "scenario" else f"{line}."
        elif line:
            shown.append(section + line[2:].partition(": ")[0])
    assert {key["key"] for key in report["keys"]} <= set(shown)


def test_what_is_missing_is_named_with_what_it_switches_off() -> None:
    path = shared_path("configuration.yaml")
    report = json.loads(call("config", "check", "--json", "--config", str(path)).stdout)
    missing = {each["variable"]: each for each in report["missing"]}
    assert missing["DD_API_KEY"] == {
        "key": "alerts.sources.datadog.api_key",
        "variable": "DD_API_KEY",
        "switches_off": "alerts, metrics and logs of datadog",
    }
    text = call("config", "check", "--config", str(path)).stdout
    assert (
        "! api_key: ${DD_API_KEY} (file)  The system's API key, as `${NAME}`; also used for its metrics and logs. "
        "Now: DD_API_KEY is not set, which switches off: alerts, metrics and logs of datadog\n"
    ) in text
    assert "\nSet, and without the effect it asks for:\n" in text


def test_a_configuration_that_is_all_in_use_says_so(place: Path) -> None:
    (place / "incident.yaml").write_text("scenario: {context: {logs: {focus_patterns: [timeout]}}}")
    text = call("config", "check").stdout
    assert text.startswith("incident.yaml: valid\n")
    assert '  focus_patterns: ["timeout"] (file)  ' in text
    assert text.endswith("\nEverything that the file sets is in use.\n")


def test_without_a_file_the_defaults_are_explained() -> None:
    assert call("config", "check").stdout.startswith("no incident.yaml here, the built-in defaults: valid\n")


def test_data_dir_from_the_command_line_is_said(place: Path) -> None:
    text = call("config", "check", "--data-dir", "elsewhere").stdout
    assert f"  data_dir: {place / 'elsewhere'} (command line)  " in text


@pytest.mark.parametrize("text", ["scenario: [", "scenario: {nam: x}", "scenario: {retention: 5}"])
def test_a_wrong_configuration_ends_with_2(place: Path, text: str) -> None:
    (place / "incident.yaml").write_text(text)
    result = call("config", "check", "--json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("incident-pipeline: incident.yaml: ")


def test_the_schema_is_printed() -> None:
    assert json.loads(call("config", "schema").stdout)["title"] == "incident.yaml"


def test_the_version_is_told() -> None:
    result = call("--version")
    assert result.exit_code == 0
    assert result.stdout.strip()
