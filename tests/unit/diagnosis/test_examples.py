"""The examples that come with the project are diagnosed as their truth says, from the command line too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from incident_pipeline.backtest.folder_diagnosis import diagnose_folder, diagnosis_record
from incident_pipeline.cli.main import app
from incident_pipeline.config import Scenario
from incident_pipeline.incident_folder.truth import load_truth

EXAMPLES = sorted(path.parent for path in (Path(__file__).parents[3] / "examples").glob("*/truth.json"))


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_diagnosed_rightly(folder: Path) -> None:
    truth = load_truth(folder)
    assert truth is not None
    record = diagnosis_record(diagnose_folder(folder, Scenario()))
    first = record["hypotheses"][0]
    assert record["services"][0]["service"] == truth.root_cause_service
    assert first["category"] in {truth.category, *truth.category_also}
    if truth.root_cause_change:
        assert record["root_cause_change"] == truth.root_cause_change
    if "root_cause_flag" in truth.raw:
        assert first["caused_by"] == {"kind": "flag", "id": truth.raw["root_cause_flag"]}
    assert record["root_cause_change"] not in truth.decoys
    assert set(record["blast_radius"]) == set(truth.blast_radius)


def test_diagnose_prints_one_line_of_json_per_folder_and_says_what_it_could_not_read(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["diagnose", "--json", *map(str, EXAMPLES), str(tmp_path / "absent")])
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [Path(line["folder"]) for line in lines] == EXAMPLES
    assert done.exit_code == 1
    assert "absent is not a folder" in done.stderr
    assert {"hypotheses", "services", "blast_radius", "remediation", "gaps", "seconds", "summary"} <= lines[0].keys()
    assert all(h["evidence"] for line in lines for h in line["hypotheses"][:1])


def test_backtest_prints_figures_and_writes_its_report(tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    done = CliRunner().invoke(
        app, ["backtest", str(EXAMPLES[0].parent), "--json", "--workers", "1", "--report", str(out)]
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["all"]["ac1"] == 1.0
    assert out.read_text().count('<section class="page"') == len(EXAMPLES)


def test_patterns_of_a_log_with_their_assignment(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("took 3 ms\ntook 4 ms\nstarted\n")
    done = CliRunner().invoke(app, ["logs", "patterns", str(log), "--json", "--assign", str(tmp_path / "a.csv")])
    assert json.loads(done.stdout)["top"][0] == {"pattern_id": "P1", "count": 2, "template": "took <*>"}
    assert (tmp_path / "a.csv").read_text() == "line_id,pattern_id\n1,P1\n2,P1\n3,P2\n"
