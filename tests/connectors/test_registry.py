"""Which sources a configuration asks, and that nothing missing is a crash."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from incident_pipeline.config import Scenario
from incident_pipeline.connectors import registry
from incident_pipeline.connectors.base import SourceSettings
from incident_pipeline.connectors.registry import CONNECTORS, build_feeds, build_sources, folder_sources
from incident_pipeline.evidence.gather import gather_now
from incident_pipeline.incident_folder.reading import load_folder
from incident_pipeline.models import EnvelopeStatus, EvidenceKind
from tests.connectors.questions import fetch, question
from tests.shared_data import shared_path


def scenario(**sections: Any) -> Scenario:
    return Scenario.model_validate(sections)


def reason(sources: dict[EvidenceKind, list[Any]], kind: EvidenceKind) -> str:
    (source,) = sources[kind]
    assert isinstance(source, registry.UnavailableSource)
    return source.reason


@pytest.mark.parametrize("name", sorted(CONNECTORS))
def test_every_connector_can_be_imported_and_offers_build(name: str) -> None:
    connector = CONNECTORS[name]
    assert connector.kinds
    assert callable(connector.build)


def test_nothing_configured_asks_nobody(tmp_path: Path) -> None:
    sources = build_sources(Scenario(services_file=tmp_path / "services.yaml"))
    assert set(sources) == set(EvidenceKind)
    assert not any(sources.values())


def test_what_is_named_is_built_once_for_all_its_kinds(tmp_path: Path) -> None:
    (tmp_path / "services.yaml").write_text("services: [{name: payments, depends_on: [ledger]}]")
    sources = build_sources(
        scenario(
            services_file=tmp_path / "services.yaml",
            connections={"prometheus": {"url": "http://p.example"}, "alertmanager": {"url": "http://a.example"}},
            context={
                "metrics": {"provider": "prometheus"},
                "related_alerts": {"sources": ["alertmanager"]},
                "code": {"repositories": {"*": [str(tmp_path)]}},
            },
        )
    )
    names = {kind.value: [source.name for source in found] for kind, found in sources.items() if found}
    assert names == {
        "metrics": ["prometheus"],
        "related_alerts": ["alertmanager"],
        "code_changes": ["git"],
        "service_graph": ["catalogue"],
    }
    graph = fetch(sources[EvidenceKind.SERVICE_GRAPH][0], question(EvidenceKind.SERVICE_GRAPH))
    assert [service.depends_on for service in graph.rows] == [("ledger",)]


def test_what_is_missing_is_a_sentence() -> None:
    no_url = build_sources(scenario(context={"metrics": {"provider": "prometheus"}}))
    assert "connections.prometheus.url is not set" in reason(no_url, EvidenceKind.METRICS)
    unknown = build_sources(scenario(context={"metrics": {"provider": "promethius"}}))
    assert reason(unknown, EvidenceKind.METRICS) == (
        "there is no connector 'promethius' in this installation; did you mean prometheus?"
    )
    wrong_kind = build_sources(scenario(context={"logs": {"provider": "git"}}))
    assert reason(wrong_kind, EvidenceKind.LOGS) == "git cannot be asked for logs; it has code_changes"
    missing = {"key": "connections.prometheus.token", "variable": "PROM_TOKEN", "switches_off": "prometheus"}
    no_secret = build_sources(
        scenario(
            context={"metrics": {"provider": "prometheus"}},
            connections={"prometheus": {"url": "http://p.example"}},
            missing=[missing],
        )
    )
    assert reason(no_secret, EvidenceKind.METRICS) == (
        "connections.prometheus.token needs the environment variable PROM_TOKEN, which is not set"
    )


def test_a_source_that_cannot_be_asked_is_a_gap(tmp_path: Path) -> None:
    (tmp_path / "alerts.json").write_text(json.dumps([{"title": "t", "started_at": 1795444500}]))
    folder = load_folder(tmp_path)
    settings = scenario(context={"logs": {"provider": "nowhere"}})
    logs = gather_now([EvidenceKind.LOGS], build_sources(settings), folder.incident, settings, folder.as_of)
    (gap,) = logs[EvidenceKind.LOGS].gaps
    assert (gap.source, gap.reason) == ("nowhere", "there is no connector 'nowhere' in this installation")


def test_the_specifications_configuration_asks_what_it_names() -> None:
    configured = yaml.safe_load(shared_path("configuration.yaml").read_text())["scenario"]
    sources = build_sources(Scenario.model_validate(configured))
    assert [source.name for source in sources[EvidenceKind.DEPLOYMENTS]] == ["github-actions", "argocd", "jenkins"]
    assert [source.name for source in sources[EvidenceKind.METRICS]] == ["datadog"]
    assert [source.name for source in sources[EvidenceKind.LOGS]] == ["datadog"]


class Point:
    """What importlib gives for an entry point."""

    def __init__(self, name: str, loaded: Any) -> None:
        self.name = name
        self.value = "outside:CONNECTOR"
        self._loaded = loaded

    def load(self) -> Any:
        if isinstance(self._loaded, Exception):
            raise self._loaded
        return self._loaded


def build(settings: SourceSettings) -> registry.UnavailableSource:
    """This module is another package's connector."""
    return registry.UnavailableSource(settings.name, "from outside")


@pytest.mark.parametrize(
    ("loaded", "said"),
    [
        (registry.Connector(frozenset({EvidenceKind.LOGS}), __name__), "from outside"),
        (ImportError("no module"), "the connector 'outside' (outside:CONNECTOR) cannot be loaded"),
        (3, "the connector 'outside' (outside:CONNECTOR) is not a Connector"),
    ],
)
def test_another_package_adds_a_connector(monkeypatch: pytest.MonkeyPatch, loaded: Any, said: str) -> None:
    points = [Point("outside", loaded)]
    found = lambda group, name=None: points if name in (None, "outside") else []  # noqa: ARG005, E731
    monkeypatch.setattr(registry, "entry_points", found)
    assert said in reason(build_sources(scenario(context={"logs": {"provider": "outside"}})), EvidenceKind.LOGS)


def test_a_folder_answers_for_every_kind_until_the_windows_end(tmp_path: Path) -> None:
    lines = [{"timestamp": 1795444500 + second, "message": str(second)} for second in (-90_000, 0, 30, 90)]
    (tmp_path / "alerts.json").write_text(json.dumps([{"title": "t", "started_at": 1795444500}]))
    (tmp_path / "logs.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "changes.json").write_text(json.dumps([{"sha": "a", "files": ["go.mod"]}]))
    (tmp_path / "metrics.csv").write_text("timestamp,a|b\n1795444500,1\n1795444900,2\n")
    (tmp_path / "deployments.json").write_text(
        json.dumps([{"id": "d", "started_at": 1795444000, "finished_at": 1795444900, "status": "success"}])
    )
    settings = scenario(context={"code": {"focus_areas": ["dependencies"]}})
    incident = load_folder(tmp_path).incident
    as_of = incident.started_at.fromtimestamp(1795444560, tz=incident.started_at.tzinfo)
    answers = gather_now(EvidenceKind, folder_sources(tmp_path), incident, settings, as_of)
    assert [row.message for row in answers[EvidenceKind.LOGS].rows] == ["-90000", "0", "30"]
    assert answers[EvidenceKind.CODE_CHANGES].rows[0].focus_areas == ("dependencies",)
    assert answers[EvidenceKind.METRICS].rows[0].values == (1.0,)
    (release,) = answers[EvidenceKind.DEPLOYMENTS].rows
    assert (release.finished_at, release.status) == (None, "in_progress")
    assert answers[EvidenceKind.TRACES].gaps[0].reason == "not recorded in this folder (no traces.jsonl)"
    assert answers[EvidenceKind.RELATED_ALERTS].status is EnvelopeStatus.EMPTY


def test_a_folder_that_is_gone_is_a_gap_for_every_kind(tmp_path: Path) -> None:
    (tmp_path / "alerts.json").write_text(json.dumps([{"title": "t", "started_at": 1795444500}]))
    folder = load_folder(tmp_path)
    answers = gather_now(EvidenceKind, folder_sources(tmp_path / "gone"), folder.incident, Scenario(), folder.as_of)
    assert all("is not a folder" in answer.gaps[0].reason for answer in answers.values())


def test_alert_sources_that_can_be_polled() -> None:
    configured = yaml.safe_load(shared_path("configuration.yaml").read_text())["scenario"]
    feeds = build_feeds(Scenario.model_validate(configured))
    assert set(feeds) == {"pagerduty", "datadog", "slack"}
    assert not isinstance(feeds["pagerduty"], registry.UnavailableSource)
    lacking = feeds["slack"]
    assert isinstance(lacking, registry.UnavailableSource)
    assert "connections.slack.token is not set" in lacking.reason
    off = scenario(alerts={"sources": {"pagerduty": {"enabled": False, "api_key": "x"}, "custom": {}}})
    assert build_feeds(off) == {}
