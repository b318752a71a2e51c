from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, get_origin

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from incident_pipeline.config import Scenario, Section
from incident_pipeline.configuration.file import LoadedScenario, load_scenario
from incident_pipeline.configuration.mistakes import Location, keys_of, section_at
from incident_pipeline.errors import ConfigurationError
from tests.examples import examples
from tests.shared_data import shared_path

DATADOG = {"alerts": {"sources": {"datadog": {"api_key": "${DD_API_KEY}", "app_key": "${DD_APP_KEY}"}}}}


def load(folder: Path, scenario: Any, environ: dict[str, str] | None = None, **more: Any) -> LoadedScenario:
    path = folder / "incident.yaml"
    path.write_text(yaml.safe_dump({"scenario": scenario}, sort_keys=False))
    return load_scenario(path, environ=environ or {}, **more)


def sentence(folder: Path, scenario: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(folder, scenario)
    return str(caught.value).replace(f"{folder}/", "")


# --- what is read -------------------------------------------------------------------------------


def test_the_specification_s_configuration_loads_as_it_is() -> None:
    loaded = load_scenario(shared_path("configuration.yaml"), environ={"PAGERDUTY_API_KEY": "k", "DD_API_KEY": "k"})
    scenario = loaded.scenario
    assert scenario.context.deployments.sources == ("github-actions", "argocd", "jenkins")
    assert scenario.context.metrics.queries["cpu"] == "avg:system.cpu.user{*}"
    assert scenario.alerts.sources["slack"].channel == "#incidents"
    assert [(m.key, m.variable) for m in loaded.missing] == [("alerts.sources.datadog.app_key", "DD_APP_KEY")]


def test_without_a_file_the_defaults_of_the_specification(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = load_scenario(environ={})
    context = loaded.scenario.context
    assert loaded.path is None
    assert context.deployments.lookback == timedelta(hours=24)
    assert context.code.lookback == timedelta(hours=48)
    assert context.metrics.lookback == timedelta(hours=4)
    assert (context.logs.lookback, context.logs.max_entries) == (timedelta(hours=2), 1000)
    assert (context.history.similar_lookback, context.history.correlation_threshold) == (timedelta(days=90), 0.7)
    assert all(loaded.scenario.diagnosis.approaches.model_dump().values())
    action = loaded.scenario.remediation.action("config-revert")
    assert (action.enabled, action.require_approval) == (True, True)
    assert loaded.scenario.data_dir == tmp_path / "data"


def test_incident_yaml_here_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load(tmp_path, {"name": "night-shift"})
    monkeypatch.chdir(tmp_path)
    assert load_scenario(environ={}).scenario.name == "night-shift"


def test_paths_in_the_file_are_relative_to_it_and_the_command_line_wins(tmp_path: Path) -> None:
    given_ = {
        "data_dir": "state",
        "services_file": "../services.yaml",
        "connections": {"prometheus": {"ca": "ca.pem"}},
        "knowledge_base": {"sources": ["runbooks"]},
        "context": {
            "code": {"repositories": {"payments": ["./payments", "example/payments", "https://git.example/p"]}}
        },
    }
    scenario = load(tmp_path, given_).scenario
    assert scenario.data_dir == tmp_path / "state"
    assert scenario.services_file == tmp_path / "../services.yaml"
    assert scenario.connections["prometheus"].ca == tmp_path / "ca.pem"
    assert scenario.knowledge_base.sources == (str(tmp_path / "runbooks"),)
    assert scenario.context.code.repositories["payments"] == (
        str(tmp_path / "payments"),
        "example/payments",
        "https://git.example/p",
    )
    assert scenario.templates_dir == Path.cwd() / "templates"
    assert load(tmp_path, given_, data_dir=Path("/srv/incidents")).scenario.data_dir == Path("/srv/incidents")


def test_a_section_whose_lines_are_commented_out_is_as_good_as_absent(tmp_path: Path) -> None:
    scenario = load(
        tmp_path, {"context": None, "alerts": {"sources": {"slack": None}}, "receiver": {"port": None}}
    ).scenario
    assert scenario.receiver.port == 3001
    assert scenario.alerts.sources["slack"].enabled


# --- ${NAME} ------------------------------------------------------------------------------------


def test_variables_come_from_the_environment_then_from_dotenv(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DD_API_KEY=from-file\nDD_APP_KEY='file $HOME'\n")
    source = load(tmp_path, DATADOG, {"DD_API_KEY": "from-environment"}).scenario.alerts.sources["datadog"]
    assert source.api_key is not None
    assert source.api_key.get_secret_value() == "from-environment"
    assert source.app_key is not None
    assert source.app_key.get_secret_value() == "file $HOME"


def test_dotenv_is_never_written_into_the_environment(tmp_path: Path) -> None:
    import os

    (tmp_path / ".env").write_text("INCIDENT_PIPELINE_TEST_SECRET=x\n")
    load(tmp_path, {})
    assert "INCIDENT_PIPELINE_TEST_SECRET" not in os.environ


def test_a_missing_variable_names_key_variable_and_what_is_switched_off(tmp_path: Path) -> None:
    scenario = {**DATADOG, "context": {"metrics": {"provider": "datadog"}, "logs": {"provider": "datadog"}}}
    loaded = load(tmp_path, scenario, {"DD_API_KEY": "k", "DD_APP_KEY": ""})
    (missing,) = loaded.missing
    assert missing.key == "alerts.sources.datadog.app_key"
    assert missing.variable == "DD_APP_KEY"
    assert missing.switches_off == "alerts, metrics and logs of datadog"
    assert loaded.scenario.alerts.sources["datadog"].app_key is None
    assert missing.sentence == (
        "alerts.sources.datadog.app_key: DD_APP_KEY is not set, which switches off: alerts, metrics and logs of datadog"
    )
    assert loaded.scenario.missing == loaded.missing


@pytest.mark.parametrize(
    ("context", "said"),
    [
        ({"deployments": {"sources": ["github-actions"]}}, "deployments of github"),
        (
            {"deployments": {"sources": ["github"]}, "code": {"sources": ["github"]}},
            "deployments and code changes of github",
        ),
        ({}, "github, which nothing uses"),
    ],
)
def test_a_connection_that_several_sources_share_names_them(tmp_path: Path, context: Any, said: str) -> None:
    loaded = load(tmp_path, {"connections": {"github": {"token": "${T}"}}, "context": context})
    assert [missing.switches_off for missing in loaded.missing] == [said]


def test_a_receiver_token_that_is_missing_refuses_rather_than_opens(tmp_path: Path) -> None:
    tokens = [load(tmp_path, {"receiver": {"tokens": {"custom": "${T}"}}}).scenario.receiver.tokens for _ in range(2)]
    values = [each["custom"].get_secret_value() for each in tokens]
    assert all(len(value) > 30 for value in values)
    assert values[0] != values[1]


def test_a_missing_variable_elsewhere_leaves_the_default_or_the_entry_out(tmp_path: Path) -> None:
    scenario = {
        "receiver": {"port": "${PORT}"},
        "knowledge_base": {"sources": ["runbooks", "${MORE}"]},
        "context": {"metrics": {"queries": {"up": "up", "secret": "x{key='${KEY}'}"}}},
    }
    loaded = load(tmp_path, scenario)
    assert loaded.scenario.receiver.port == 3001
    assert len(loaded.scenario.knowledge_base.sources) == 1
    assert loaded.scenario.context.metrics.queries == {"up": "up"}
    assert [m.key for m in loaded.missing] == [
        "receiver.port",
        "knowledge_base.sources[1]",
        "context.metrics.queries.secret",
    ]
    assert load(tmp_path, scenario, {"PORT": "3999"}).scenario.receiver.port == 3999


def test_service_and_environment_stay_for_the_provider(tmp_path: Path) -> None:
    query = 'rate(errors{service="$service", env="$environment"}[5m])'
    scenario = load(tmp_path, {"context": {"metrics": {"queries": {"errors": query}}}}).scenario
    assert scenario.context.metrics.queries["errors"] == query


def test_a_value_is_filled_in_once_and_never_read_as_yaml(tmp_path: Path) -> None:
    loaded = load(tmp_path, {"name": "${A}"}, {"A": "${B}: [x", "B": "no"})
    assert loaded.scenario.name == "${B}: [x"


def test_secrets_are_in_no_text_of_the_configuration(tmp_path: Path) -> None:
    loaded = load(tmp_path, DATADOG, {"DD_API_KEY": "hush-1", "DD_APP_KEY": "hush-2"})
    for text in (repr(loaded), str(loaded.scenario), loaded.scenario.model_dump_json()):
        assert "hush" not in text


# --- mistakes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        (
            {"context": {"logs": {"lookback": "2 hours"}}},
            "incident.yaml: context.logs.lookback: '2 hours' is not a duration; write 90s, 15m, 24h or 7d",
        ),
        (
            {"context": {"logs": {"lookbak": "2h"}}},
            "incident.yaml: context.logs.lookbak is not a known key; did you mean lookback?",
        ),
        ({"contxt": {}}, "incident.yaml: contxt is not a known key; did you mean context?"),
        (
            {"alerts": {"sources": {"datadog": {"apikey": "x"}}}},
            "incident.yaml: alerts.sources.datadog.apikey is not a known key; did you mean api_key?",
        ),
        (
            {"documentation": {"zzz": 1}},
            "incident.yaml: documentation.zzz is not a known key; known here: timeline, auto_postmortem, "
            "runbook_suggestions",
        ),
        (
            {"context": {"logs": {"max_entries": 0}}},
            "incident.yaml: context.logs.max_entries: must be at least 1, not 0",
        ),
        (
            {"context": {"logs": {"max_entries": "many"}}},
            "context.logs.max_entries: must be a whole number, not 'many'",
        ),
        (
            {"context": {"history": {"correlation_threshold": 1.5}}},
            "context.history.correlation_threshold: must be at most 1, not 1.5",
        ),
        ({"context": {"logs": "datadog"}}, "context.logs: must be a section with keys of its own, not 'datadog'"),
        ({"context": {"deployments": {"sources": "argocd"}}}, "sources: must be a list, such as [a, b], not 'argocd'"),
        ({"documentation": {"timeline": "perhaps"}}, "documentation.timeline: must be true or false, not 'perhaps'"),
        ({"version": 1.0}, "version: must be text; put it in quotes"),
        ({"diagnosis": {"categories": ["code-bug"]}}, "diagnosis.categories[0]: must be one of deployment_issue"),
        ({"diagnosis": {"categories": ["code_bugs"]}}, "did you mean code_bug?"),
        ({"remediation": {"actions": {"rolback": {}}}}, "there is no action 'rolback'; did you mean rollback?"),
        (
            {"remediation": {"policy": [{"action": "scale", "environment": "dev", "risk": "high"}]}},
            "has at most risk low",
        ),
        (
            {"alerts": {"maintenance": [{"start": "soon", "end": "2026-11-24", "reason": "x"}]}},
            "maintenance[0].start: ",
        ),
        (
            {"alerts": {"maintenance": [{"start": "2026-11-23", "end": "2026-11-24"}]}},
            "maintenance[0].reason: is missing",
        ),
        (
            {"alerts": {"maintenance": [{"start": "2026-11-24", "end": "2026-11-23", "reason": "x"}]}},
            "alerts.maintenance[0]: ends at 2026-11-23T00:00:00+00:00, which is not after its start",
        ),
        ({"retention": 90}, "retention: a duration needs a unit, such as 90s, 90m or 90h"),
        ({"missing": []}, "missing is not a known key"),
    ],
)
def test_each_mistake_is_one_sentence(tmp_path: Path, scenario: Any, expected: str) -> None:
    text = sentence(tmp_path, scenario)
    assert expected in text
    assert text.startswith("incident.yaml: ")
    assert "\n" not in text


def test_every_mistake_of_a_file_is_named(tmp_path: Path) -> None:
    lines = sentence(tmp_path, {"nam": "x", "receiver": {"port": "x"}, "retention": "long"}).splitlines()
    assert [line.split(": ")[1].split(" ")[0] for line in lines] == ["receiver.port", "retention", "nam"]


@pytest.mark.parametrize("secret", [["a-secret"], {"a-secret": "a-secret"}, 1234567])
def test_a_secret_of_the_wrong_shape_is_not_shown(tmp_path: Path, secret: Any) -> None:
    text = sentence(tmp_path, {"alerts": {"sources": {"datadog": {"api_key": secret}}}})
    assert "a-secret" not in text
    assert "1234567" not in text


def test_the_environment_s_value_is_not_shown_where_it_is_wrong(tmp_path: Path) -> None:
    scenario = {
        "context": {"logs": {"lookback": "${KEY}", "max_entries": "${KEY}"}},
        "diagnosis": {"categories": ["${KEY}"]},
    }
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, scenario, {"KEY": "hush-hush"})
    assert "hush" not in str(caught.value)
    assert "the value of ${KEY} is not a duration" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must begin with the key scenario"),
        ("- a", "must begin with the key scenario"),
        ("scenario: text", "scenario: must be a section"),
        ("scenario: {}\nscenaro: {}", "scenaro is not a known key; did you mean scenario?"),
        ("alerts: {}", "alerts belongs below the key scenario; indent it there"),
        ("scenario:\n  name: a\n  name: b", "line 3: the key 'name' is there twice"),
    ],
)
def test_the_frame_of_the_file(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "incident.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=words.replace("?", r"\?")):
        load_scenario(path, environ={})


def test_an_empty_scenario_is_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "incident.yaml"
    path.write_text("scenario:\n")
    assert load_scenario(path, environ={}).scenario.name == "incident-responder"


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no such file"):
        load_scenario(tmp_path / "absent.yaml", environ={})


def test_a_dotenv_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"A=\xff\n")
    with pytest.raises(ConfigurationError, match=r"\.env: cannot be read"):
        load(tmp_path, {})


def test_a_dotenv_line_that_is_none_is_named_and_not_shown(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=1\n'hush = what\n")
    with pytest.raises(ConfigurationError, match=r"\.env: line 2 cannot be read; write NAME=value") as caught:
        load(tmp_path, {})
    assert "hush" not in str(caught.value)


def test_a_dotenv_of_other_editors_is_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes('# ours\r\nexport DD_API_KEY = "a b" # key\r\n'.encode("utf-8-sig"))
    (missing,) = load(tmp_path, DATADOG).missing
    assert missing.variable == "DD_APP_KEY"


def sections(section: type[Section] = Scenario, where: Location = ()) -> Iterator[Location]:
    """Where every section of the models is; `anything` stands for any name."""
    yield where
    for key in keys_of(section):
        origin = get_origin(section.model_fields[key].annotation)
        step: Location = (key, "anything") if origin is dict else (key, 0) if origin is tuple else (key,)
        inner = section_at((*where, *step))
        if inner is not None:
            yield from sections(inner, (*where, *step))


def at(where: Location, tree: Any) -> Any:
    for step in reversed(where):
        tree = {step: tree} if isinstance(step, str) else [tree]
    return tree


def refusal(folder: Path, scenario: Any) -> str | None:
    try:
        load(folder, scenario)
    except ConfigurationError as error:
        return str(error)
    return None


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.datetimes() | st.just("${X}")
)
VALUES = st.recursive(SCALARS, lambda s: st.lists(s) | st.dictionaries(st.text(max_size=5), s), max_leaves=5)
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(60))
@given(where=st.sampled_from(list(sections())), key=NAMES, value=VALUES)
def test_any_unknown_key_at_any_depth_gets_a_suggestion(tmp_path: Path, where: Location, key: str, value: Any) -> None:
    section = section_at(where)
    assert section is not None
    assume(key not in section.model_fields)
    text = refusal(tmp_path, at(where, {key: value}))
    assert text is not None
    suggested = "is not a known key; did you mean " in text or "is not a known key; known here: " in text
    assert suggested or "put it in quotes" in text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(60))
@given(data=st.data())
def test_any_value_under_any_key_is_taken_or_refused_in_sentences(tmp_path: Path, data: st.DataObject) -> None:
    where = data.draw(st.sampled_from(list(sections())))
    section = section_at(where)
    assert section is not None
    key = data.draw(st.sampled_from(keys_of(section)))
    text = refusal(tmp_path, at(where, {key: data.draw(VALUES)}))
    assert text is None or all(line.startswith(str(tmp_path)) for line in text.splitlines())
