import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import incident_pipeline.config
from incident_pipeline.config import Scenario
from incident_pipeline.configuration.activity import NOT_YET, REMARKS, facts_of, matches
from incident_pipeline.configuration.file import load_scenario
from incident_pipeline.configuration.reference import key_rows
from incident_pipeline.configuration.report import KeyReport, Report, leaves, report
from incident_pipeline.errors import ConfigurationError
from tests.shared_data import shared_path

PROMETHEUS = {"connections": {"prometheus": {"url": "http://p"}}, "context": {"metrics": {"provider": "prometheus"}}}


def look(folder: Path, scenario: Any, **environ: str) -> Report:
    path = folder / "incident.yaml"
    path.write_text(yaml.safe_dump({"scenario": scenario}))
    loaded = load_scenario(path, environ=environ)
    return report(loaded, facts_of(loaded.scenario))


def scalars(tree: Any) -> int:
    return sum(map(scalars, tree.values())) if isinstance(tree, dict) else 1


def key(found: Report, name: str) -> KeyReport:
    (one,) = [each for each in found.keys if each.key == name]
    return one


def test_every_key_of_the_models_is_reported_with_value_and_meaning(tmp_path: Path) -> None:
    found = look(tmp_path, {})
    reported = {each.key for each in found.keys}
    expected = {
        row[0].removesuffix("[]").removesuffix(".<name>")
        for row in key_rows()
        if "[]." not in row[0] and "<name>." not in row[0]
    }
    assert reported == expected
    assert all(each.does and each.origin == "default" for each in found.keys)
    assert found.concerns == ()


def test_every_key_of_the_specification_s_configuration_is_reported() -> None:
    loaded = load_scenario(shared_path("configuration.yaml"), environ={})
    found = report(loaded, facts_of(loaded.scenario))
    written = {
        ".".join(map(str, leaf.where)) for leaf in leaves(loaded.scenario, loaded.written) if leaf.written is not None
    }
    assert len(written) == scalars(yaml.safe_load(shared_path("configuration.yaml").read_text())["scenario"])
    assert {each.key for each in found.keys if each.origin == "file"} == written
    assert all(each.why for each in found.concerns)


def test_values_are_shown_and_who_set_them(tmp_path: Path) -> None:
    found = look(tmp_path, {"context": {"logs": {"lookback": "90m", "focus_patterns": ["timeout"]}}})
    assert (key(found, "context.logs.lookback").value, key(found, "context.logs.lookback").origin) == ("90m", "file")
    assert key(found, "context.logs.focus_patterns").value == ["timeout"]
    assert (key(found, "context.code.lookback").value, key(found, "context.code.lookback").origin) == ("48h", "default")


@pytest.mark.parametrize(
    ("scenario", "name", "state", "why"),
    [
        (
            {"context": {"metrics": {"provider": "zabbix"}}},
            "context.metrics.provider",
            "inactive",
            "a gap in metrics: there is no connector for zabbix yet",
        ),
        (
            {"context": {"metrics": {"provider": "promethus"}}},
            "context.metrics.provider",
            "inactive",
            "a gap in metrics: there is no connector for promethus yet; did you mean prometheus?",
        ),
        (
            {"context": {"metrics": {"provider": "prometheus"}}},
            "context.metrics.provider",
            "incomplete",
            "a gap in metrics: connections.prometheus.url is not set",
        ),
        (PROMETHEUS, "context.metrics.provider", "active", ""),
        (PROMETHEUS, "connections.prometheus.url", "active", ""),
        (PROMETHEUS, "context.metrics.lookback", "active", ""),
        ({}, "context.metrics.provider", "off", "nobody is asked for metrics: a gap, except in incident folders"),
        ({}, "context.metrics.lookback", "off", "nobody is asked for metrics"),
        (
            {"context": {"deployments": {"sources": ["spinnaker", "zabbix"]}}},
            "context.deployments.sources",
            "inactive",
            "a gap in deployments: there is no connector for spinnaker and zabbix yet",
        ),
        ({"context": {"code": {"repositories": {"*": ["."]}}}}, "context.code.repositories.*", "active", ""),
        (
            {"alerts": {"sources": {"zabbix": {"channel": "x"}}}},
            "alerts.sources.zabbix.channel",
            "inactive",
            "alerts of zabbix come neither by webhook nor by polling yet; a mapping lets its webhooks in",
        ),
        (
            {"alerts": {"sources": {"alertmanager": {"enabled": True}}}},
            "alerts.sources.alertmanager.enabled",
            "active",
            "",
        ),
        ({"alerts": {"sources": {"slack": {"enabled": False}}}}, "alerts.sources.slack.enabled", "off", ""),
        (
            {"connections": {"prometheus": {"url": "http://p"}}},
            "connections.prometheus.url",
            "inactive",
            "nothing in context asks prometheus",
        ),
        (
            {"connections": {"promtheus": {"url": "http://p"}}},
            "connections.promtheus.url",
            "inactive",
            "there is no connector for promtheus yet; did you mean prometheus?",
        ),
        ({"receiver": {"host": "192.0.2.1"}}, "receiver.host", "incomplete", "other machines need a token"),
        (
            {
                "connections": {"github": {"url": "http://g"}},
                "context": {"deployments": {"sources": ["github-actions"]}},
            },
            "connections.github.url",
            "active",
            "",
        ),
        (
            {"alerts": {"sources": {"datadog": {"api_key": "k"}}}, "context": {"logs": {"provider": "datadog"}}},
            "alerts.sources.datadog.api_key",
            "active",
            "the secret itself stands in the file",
        ),
        ({"documentation": {"timeline": False}}, "documentation.timeline", "off", ""),
        (
            {"diagnosis": {"approaches": {"metric_correlation": False}}},
            "diagnosis.approaches.metric_correlation",
            "off",
            "",
        ),
    ],
)
def test_what_a_key_does_now(tmp_path: Path, scenario: Any, name: str, state: str, why: str) -> None:
    found = key(look(tmp_path, scenario), name)
    assert found.state == state
    assert found.why.startswith(why)


def test_files_that_are_named_and_not_there_are_said(tmp_path: Path) -> None:
    (tmp_path / "runbooks").mkdir()
    (tmp_path / "services.yaml").write_text("- {name: payments}\n- {name: checkout, depends_on: [payments]}\n")
    scenario = {
        "services_file": "services.yaml",
        "templates_dir": "mine",
        "knowledge_base": {"sources": ["runbooks", "absent"]},
        "context": {"code": {"repositories": {"payments": ["./gone", "https://git.example/p"]}}},
        "connections": {"prometheus": {"url": "https://p", "ca": "ca.pem"}},
    }
    found = look(tmp_path, scenario)
    assert key(found, "services_file").why == "2 services"
    assert key(found, "templates_dir").state == "off"
    for name, path in (
        ("knowledge_base.sources", "absent"),
        ("context.code.repositories.payments", "gone"),
        ("connections.prometheus.ca", "ca.pem"),
    ):
        assert (key(found, name).state, key(found, name).why) == ("incomplete", f"there is no {tmp_path / path}")


@pytest.mark.parametrize(
    ("scenario", "services", "words"),
    [
        ({"alerts": {"sources": {"shop": {"mapping": {"title": "a["}}}}}, "[]", "is not a JMESPath expression"),
        ({"alerts": {"sources": {"shop": {"mapping": {"titel": "a"}}}}}, "[]", "alerts have no such field"),
        ({"services_file": "services.yaml"}, "5", "the service catalogue cannot be read"),
    ],
)
def test_a_wrong_mapping_or_catalogue_is_wrong_configuration(
    tmp_path: Path, scenario: Any, services: str, words: str
) -> None:
    (tmp_path / "services.yaml").write_text(services)
    with pytest.raises(ConfigurationError, match=words):
        look(tmp_path, scenario)


def test_a_missing_variable_is_incomplete_and_says_what_is_switched_off(tmp_path: Path) -> None:
    scenario = {
        "context": {"metrics": {"provider": "prometheus", "queries": {"errors": "x{k='${K}'}"}}},
        "connections": {"prometheus": {"url": "http://p", "token": "${PROMETHEUS_TOKEN}"}},
    }
    found = look(tmp_path, scenario)
    token = key(found, "connections.prometheus.token")
    assert (token.state, token.value) == ("incomplete", "${PROMETHEUS_TOKEN}")
    assert token.why == "PROMETHEUS_TOKEN is not set, which switches off: metrics of prometheus"
    provider = key(found, "context.metrics.provider")
    assert provider.state == "incomplete"
    assert "PROMETHEUS_TOKEN" in provider.why
    assert key(found, "context.metrics.queries.errors").why == "K is not set, which switches off: the metric errors"
    assert [m.variable for m in found.missing] == ["PROMETHEUS_TOKEN", "K"]


def test_no_value_of_the_environment_and_no_secret_is_shown(tmp_path: Path) -> None:
    scenario = {
        "connections": {
            "prometheus": {"url": "https://user:hush@p.example/", "token": "hush", "headers": {"X-Key": "hush"}},
            "datadog": {"token": "${TOKEN}", "url": "${URL}"},
        },
        "receiver": {"tokens": {"custom": "hush"}},
    }
    found = look(tmp_path, scenario, **{"TOKEN": "hush", "URL": "https://hush.example"})
    assert "hush" not in repr(found)
    assert key(found, "connections.prometheus.url").value == "https://(hidden)@p.example/"
    assert key(found, "connections.datadog.url").value == "${URL}"
    assert key(found, "receiver.tokens.custom").why.startswith("the secret itself stands in the file")


@pytest.mark.parametrize("pattern", [*NOT_YET, *REMARKS])
def test_what_is_not_active_yet_names_keys_that_exist(pattern: str) -> None:
    names = [row[0].replace("<name>", "*").removesuffix("[]") for row in key_rows(Scenario)]
    assert pattern in names


def code_that_reads() -> str:
    """All code but the configuration's own."""
    root = Path(incident_pipeline.config.__file__).parents[1]
    files = [file for package in ("incident_pipeline", "assets", "kb") for file in (root / package).rglob("*.py")]
    return "\n".join(
        file.read_text()
        for file in files
        if file.name not in ("config.py", "init.py") and file.parent.name != "configuration"
    )


def test_a_key_that_no_code_reads_is_said_to_be_not_active() -> None:
    code = code_that_reads()
    for row in key_rows(Scenario):
        names = row[0].replace("<name>", "*").replace("[]", "").removesuffix(".*").split(".")
        told = any(matches(pattern, names) for pattern in NOT_YET)
        only_choice = names == ["knowledge_base", "backend"]
        assert told or only_choice or re.search(rf"\.{names[-1]}\b", code), f"nothing reads {row[0]}"


@pytest.mark.parametrize("pattern", list(NOT_YET))
def test_a_key_that_code_reads_is_not_said_to_be_inactive(pattern: str) -> None:
    section, name = ["", *pattern.split(".")][-2:]
    written = f"{section}.{name}" if section not in ("*", "") else f".{name}"
    assert written not in code_that_reads()


def test_patterns_name_a_key_and_what_is_below() -> None:
    assert matches("a.*.c", ["a", "b", "c"])
    assert matches("a", ["a", "b"])
    assert not matches("a.b", ["a"])
    assert not matches("a.*.c", ["a", "b", "d"])
