import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident_pipeline.cli.init import SYSTEMS, TOKEN_VARIABLE, Answers, configuration, environment
from incident_pipeline.config import Scenario
from incident_pipeline.configuration.file import load_scenario
from incident_pipeline.configuration.yaml_text import parse_yaml
from incident_pipeline.connectors.registry import UnavailableSource, build_feeds, build_sources
from tests.unit.cli.runner import call


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_yes_writes_a_configuration_that_is_valid_and_all_in_use(place: Path) -> None:
    result = call("init", "--yes")
    assert (result.exit_code, result.stdout) == (0, "incident.yaml\n.env.example\n")
    assert json.loads(call("config", "check", "--json").stdout)["concerns"] == []
    assert (place / ".env.example").read_text().startswith("# Copy to .env")


def test_answers_become_a_configuration_that_asks_what_was_named(place: Path) -> None:
    result = call("init", stdin="ftp://no\nhttp://prometheus:9090\nhttp://alertmanager:9093\n./payments\ny\nnagios\n\n")
    assert result.exit_code == 0
    assert "An address begins with http" in result.stderr
    loaded = load_scenario(environ={})
    assert [missing.variable for missing in loaded.missing] == [TOKEN_VARIABLE, TOKEN_VARIABLE]
    assert (place / ".env.example").read_text().endswith(f"{TOKEN_VARIABLE}=\n")
    scenario = load_scenario(environ={TOKEN_VARIABLE: "x"}).scenario
    assert scenario.connections["prometheus"].url == "http://prometheus:9090"
    assert scenario.context.metrics.queries["error_rate"].count('"$service"') == 1
    assert scenario.context.code.repositories == {"*": (str(place / "payments"),)}
    assert scenario.context.related_alerts.sources == ("alertmanager",)
    assert scenario.receiver.host == "0.0.0.0"  # noqa: S104


def test_what_is_there_is_not_replaced_unasked(place: Path) -> None:
    (place / "incident.yaml").write_text("scenario: {name: mine}\n")
    result = call("init", "--yes")
    assert result.exit_code == 2
    assert "incident.yaml would be replaced; say --force" in result.stderr
    assert (place / "incident.yaml").read_text() == "scenario: {name: mine}\n"
    assert call("init", "--yes", "--force").exit_code == 0
    assert load_scenario(environ={}).scenario.name == "incident-responder"


def test_config_says_where_it_is_written(place: Path) -> None:
    (place / "deploy").mkdir()
    assert call("init", "--yes", "--config", "deploy/other.yaml").exit_code == 0
    assert {file.name for file in (place / "deploy").iterdir()} == {"other.yaml", ".env.example"}


def test_nobody_to_answer_is_no_traceback(place: Path) -> None:
    result = call("init", stdin="")
    assert result.exit_code == 1
    assert not (place / "incident.yaml").exists()


@given(st.builds(Answers, st.text(), st.text(), st.text(), st.booleans()))
def test_whatever_is_answered_stays_one_value(answers: Answers) -> None:
    document = parse_yaml(configuration(answers), "incident.yaml")
    scenario = Scenario.model_validate(document["scenario"])
    assert [c.url for c in scenario.connections.values()] == [
        u for u in (answers.prometheus, answers.alertmanager) if u
    ]
    if answers.repository:
        assert scenario.context.code.repositories == {"*": (answers.repository,)}
    assert (TOKEN_VARIABLE in environment(answers)) == answers.everybody


def test_each_system_that_is_used_brings_its_keys_and_nothing_else(tmp_path: Path) -> None:
    answers = Answers(systems=tuple(SYSTEMS))
    path = tmp_path / "incident.yaml"
    path.write_text(configuration(answers), encoding="utf-8")
    variables = {line.partition("=")[0] for line in environment(answers).splitlines() if line.endswith("=")}
    loaded = load_scenario(path, environ=dict.fromkeys(variables, "value-0123456"))
    assert loaded.missing == ()
    asked = {source.name: source for sources in build_sources(loaded.scenario).values() for source in sources}
    assert set(SYSTEMS) <= set(asked)
    assert not [one.reason for one in asked.values() if isinstance(one, UnavailableSource)]
    assert set(build_feeds(loaded.scenario)) == {"pagerduty", "opsgenie", "datadog", "slack"}
    few = environment(Answers(systems=("github",)))
    assert "GITHUB_TOKEN=" in few
    assert "PAGERDUTY" not in few
