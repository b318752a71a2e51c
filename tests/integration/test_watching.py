"""What watches the responder: metrics as Prometheus reads them, the alert rules, the dashboard."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from incident_pipeline.console.metrics import render
from incident_pipeline.storage.disk import disk_state
from incident_pipeline.storage.inbox.measures import Histogram
from incident_pipeline.storage.inbox.records import InboxState
from tests.unit.cli.runner import ROOT

NOW = datetime(2026, 11, 23, 14, 35, tzinfo=UTC)
RULES = ROOT / "deploy" / "prometheus" / "rules.yaml"
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboard.json"
NAME = re.compile(r"\bincident_pipeline_\w+")


@pytest.fixture
def exposed(tmp_path: Path) -> str:
    """`/metrics` where everything has happened at least once."""
    (tmp_path / "knowledge_base.duckdb").touch()
    state = InboxState(
        accepted=7,
        heartbeats={"receiver": NOW - timedelta(seconds=5)},
        first_updates=Histogram(buckets={1.0: 0, 5.0: 2}, seconds=7.25, count=3),
        source_errors={'lo"ki\n': 2},
    )
    return render(state, NOW, {("custom", 202): 7}, disk_state(tmp_path, NOW))


def promtool(*words: str, stdin: str = "", cwd: Path = RULES.parent) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed: rules and metrics were not checked with it")
    ran = subprocess.run(["promtool", *words], input=stdin, capture_output=True, text=True, cwd=cwd, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def expressions(tree: Any) -> list[str]:
    if isinstance(tree, dict):
        own = [tree["expr"]] if isinstance(tree.get("expr"), str) else []
        return own + [found for value in tree.values() for found in expressions(value)]
    return [found for value in tree for found in expressions(value)] if isinstance(tree, list) else []


def test_prometheus_reads_the_metrics(exposed: str) -> None:
    promtool("check", "metrics", stdin=exposed)
    assert 'incident_pipeline_time_to_first_update_seconds_bucket{le="5"} 2\n' in exposed
    assert 'incident_pipeline_time_to_first_update_seconds_bucket{le="+Inf"} 3\n' in exposed
    assert "incident_pipeline_time_to_first_update_seconds_sum 7.25\n" in exposed
    assert 'incident_pipeline_source_errors_total{source="lo\\"ki\\n"} 2\n' in exposed


def test_the_rules_are_good_and_fire_when_they_should() -> None:
    promtool("check", "rules", RULES.name)
    promtool("test", "rules", "rules_test.yaml")


@pytest.mark.parametrize("path", [RULES, DASHBOARD], ids=lambda path: path.name)
def test_what_is_asked_for_exists(path: Path, exposed: str) -> None:
    text = path.read_text()
    asked = set(NAME.findall(" ".join(expressions(json.loads(text) if path == DASHBOARD else yaml.safe_load(text)))))
    assert len(asked) > 5
    assert asked <= set(NAME.findall(exposed))


def test_every_rule_says_what_to_do() -> None:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"]:
        assert rule["labels"]["severity"] in ("page", "ticket", "watchdog")
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] == "watchdog" or rule["annotations"]["action"]
