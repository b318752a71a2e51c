"""Scores, the resumable run, and the report."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from incident_pipeline.backtest import measure as run
from incident_pipeline.backtest.report import report
from incident_pipeline.backtest.scores import (
    Score,
    calibration_interval,
    expected_calibration_error,
    figures,
    reliability,
    score,
)
from incident_pipeline.config import Scenario
from incident_pipeline.errors import InputError, NotFoundError
from incident_pipeline.incident_folder.truth import Truth


def made(**changes: Any) -> dict[str, Any]:
    record = {
        "folder": "x",
        "seconds": 0.1,
        "hypotheses": [
            {
                "category": "code_bug",
                "service": "payments",
                "confidence": 0.8,
                "caused_by": {"kind": "change", "id": "abc"},
            }
        ],
        "services": [{"service": "checkout", "score": 0.6}, {"service": "payments", "score": 0.4}],
        "blast_radius": ["checkout"],
        "root_cause_change": "abc",
        "root_cause_deployment": None,
        "remediation": [{"type": "rollback"}],
    }
    return {**record, **changes}


def test_a_score_compares_every_answer_that_the_truth_gives() -> None:
    truth = Truth(
        root_cause_service="payments",
        root_cause_change="abc",
        category="deployment_issue",
        category_also=("code_bug",),
        blast_radius=("checkout", "catalog"),
        remediation="config-revert",
        decoys=("def",),
        dataset="d",
    )
    got = score(made(), truth)
    assert (got.rank, got.right, got.change_right, got.decoy_convicted) == (2, True, True, False)
    assert (got.category_right, got.radius, got.remediation_right) == (True, 0.5, False)
    assert score(made(root_cause_change="def"), truth).decoy_convicted is True


def test_what_the_truth_does_not_say_is_not_scored() -> None:
    got = score(made(), Truth(root_cause_service="payments"))
    assert got.change_right is None
    assert got.category_right is None
    assert got.radius is None
    assert figures([got])["change_accuracy"] is None


def test_figures_are_the_textbook_ones() -> None:
    scores = [
        Score("a", "d", 1.0, 0.9, True, 1),
        Score("b", "d", 3.0, 0.5, False, 3),
        Score("c", "d", 2.0, 0.1, False, 0),
    ]
    found = figures(scores)
    assert math.isclose(found["ac1"], 1 / 3)
    assert math.isclose(found["ac3"], 2 / 3)
    assert math.isclose(found["avg5"], (1 + 1 + 2 + 2 + 2) / 3 / 5)
    assert math.isclose(found["brier"], (0.01 + 0.25 + 0.01) / 3)
    assert found["seconds"] == 2.0
    assert math.isclose(expected_calibration_error(scores) or 0, (0.1 + 0.5 + 0.1) / 3)
    assert sum(b.count for b in reliability(scores)) == 3


def test_the_calibration_interval_narrows_with_the_number_of_incidents() -> None:
    def honest(count: int) -> list[Score]:
        return [Score(str(n), "d", 1.0, 0.75, n % 4 != 0) for n in range(count)]

    few, many = calibration_interval(honest(12)), calibration_interval(honest(1200))
    assert few is not None
    assert many is not None
    assert 0.0 <= many[0] <= many[1] < 0.05 < few[1]
    assert calibration_interval([]) is None


def folder(root: Path, name: str) -> Path:
    path = root / name
    path.mkdir()
    alert = {
        "source": "custom", "source_id": name, "dedup_key": name, "title": "Slow <b>page</b>", "service": "checkout",
        "started_at": "2026-03-04T14:35:00Z",
    }  # fmt: skip
    (path / "alerts.json").write_text(json.dumps([alert]))
    usual = [f"2026-03-04T13:{minute:02}:00Z,payments,error_rate,0.0{minute % 3 + 1}" for minute in range(60)]
    late = [f"2026-03-04T14:{m:02}:00Z,payments,error_rate,{0.5 if m > 32 else 0.01}" for m in range(40)]
    rows = ["timestamp,service,metric,value", *usual, *late]
    (path / "metrics.csv").write_text("\n".join(rows))
    (path / "truth.json").write_text(json.dumps({"root_cause_service": "payments", "dataset": "own"}))
    return path


def test_a_run_scores_reports_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    one, two = folder(tmp_path, "one"), folder(tmp_path, "two")
    (two / "alerts.json").write_text("[]")
    folders = run.labelled_folders(tmp_path)
    assert folders == [one, two]
    outcomes = run.backtest(folders, Scenario())
    figures_made = run.summary(outcomes)
    assert figures_made["all"]["ac1"] == 1.0
    assert "two" in figures_made["problems"][0]["folder"]
    kept = tmp_path / "kept.jsonl"
    kept.write_text("\n".join(run.outcome_line(o) for o in outcomes) + '\n{"cut')
    seen: list[run.Outcome] = []
    again = run.backtest(folders, Scenario(), known=run.read_outcomes(kept), done=seen.append)
    assert again == outcomes
    assert seen == []
    page = report(outcomes, Scenario())
    assert "<svg" in page
    assert "<b>page</b>" not in page


def page_of(text: str, number: int) -> str:
    """The section of one incident, as text."""
    return text.split(f'id="incident-{number}"')[1].split("</section>")[0]


def test_every_incident_has_a_page_with_its_picture_and_the_way_to_the_others(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        folder(tmp_path, name)
    text = report(run.backtest(run.labelled_folders(tmp_path), Scenario()), Scenario())
    assert text.count('<section class="page"') == 3
    assert [f'href="#incident-{n}"' in text.split("</main>")[0] for n in (1, 2, 3)] == [True] * 3
    middle = page_of(text, 2)
    assert all(f'href="#{there}"' in middle for there in ("incident-1", "all", "incident-3"))
    assert 'href="#incident-2"' not in middle
    assert 'aria-label="timeline of the incident"' in middle
    assert "onset 14:3" in middle


def test_a_wrong_diagnosis_says_what_misled_it_and_what_the_true_service_shows(tmp_path: Path) -> None:
    right, wrong, unseen = (folder(tmp_path, name) for name in ("right", "wrong", "unseen"))
    (wrong / "truth.json").write_text(
        json.dumps({"root_cause_service": "checkout", "injected_at": "2026-03-04T14:30:00Z"})
    )
    (unseen / "truth.json").write_text(json.dumps({"root_cause_service": "<i>ghost</i>"}))
    outcomes = run.backtest([right, wrong, unseen], Scenario())
    text = report(outcomes, Scenario())
    pages = {name: next(page_of(text, n) for n in (1, 2, 3) if f"<h1>{name}</h1>" in page_of(text, n))
             for name in ("right", "wrong", "unseen")}  # fmt: skip
    assert "What misled it" not in pages["right"]
    assert "For it spoke: " in pages["wrong"]
    assert "No series of checkout moved and its log shows nothing new" in pages["wrong"]
    assert "minutes after the fault began" in pages["wrong"]
    assert "&lt;i&gt;ghost&lt;/i&gt;, the true service, is in no series" in pages["unseen"]
    assert "<i>" not in text
    assert "not ranked" in pages["unseen"]


def test_a_folder_that_has_gone_keeps_its_ranking_in_the_report(tmp_path: Path) -> None:
    path = folder(tmp_path, "gone")
    outcomes = run.backtest([path], Scenario())
    for file in path.iterdir():
        file.unlink()
    assert "<td>payments</td>" in page_of(report(outcomes, Scenario()), 1)


def test_folders_without_a_truth_are_a_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"truth\.json"):
        run.labelled_folders(tmp_path)
    with pytest.raises(InputError, match="not a folder"):
        run.labelled_folders(tmp_path / "absent")


def test_the_same_figures_from_several_processes(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        folder(tmp_path, name)
    folders = run.labelled_folders(tmp_path)
    alone = run.summary(run.backtest(folders, Scenario(), workers=1))
    shared = run.summary(run.backtest(folders, Scenario(), workers=2))
    for found in (alone, shared):
        found["all"].pop("seconds")
    assert alone["all"] == shared["all"]
