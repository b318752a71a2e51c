"""What raises the risk of taking a change back, and by which series it is judged whether it helped."""

from __future__ import annotations

import math
import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident_pipeline.config import ExecutionSettings, Scenario
from incident_pipeline.models import (
    ActionType,
    CodeChange,
    Evidence,
    MetricSeries,
    RemediationAction,
    Risk,
    SeriesCheck,
)
from incident_pipeline.remediation.plan import plan_remediation
from incident_pipeline.remediation.records import Verification
from incident_pipeline.remediation.series_check import choose_check, judge_series, sentence_of
from tests.unit import scenes

ONSET = scenes.at(14, 32)
TARGETS = {"remediation": {"targets": [{"executor": "kubectl", "parameters": {"namespace": "shop"}}]}}


def rollback(evidence: Evidence, settings: dict[str, Any] | None = None, **hypothesis: Any) -> RemediationAction:
    diagnosis = scenes.diagnosis(scenes.hypothesis(**hypothesis))
    scenario = Scenario.model_validate(settings or {})
    actions = plan_remediation(scenes.incident(), evidence, diagnosis, (), scenario).actions
    return next(action for action in actions if action.type is ActionType.ROLLBACK)


def changed(*files: str, diff: str | None = None) -> Evidence:
    commit = CodeChange(sha=scenes.SHA, service="payments", files=files, diff=diff)
    return scenes.evidence(deployments=[scenes.deployment()], code_changes=[commit])


@pytest.mark.parametrize(
    "evidence",
    [
        changed("db/migrations/0042_currency.py"),
        changed("alembic/versions/a1.py"),
        changed("sql/V7__add_column.sql"),
        changed("payments/models.py", diff="+    op.execute('ALTER TABLE charges ADD currency')\n"),
    ],
)
def test_a_migration_makes_a_rollback_risky(evidence: Evidence) -> None:
    action = rollback(evidence)
    assert action.risk is Risk.HIGH
    assert "schema migration" in action.risk_reasons[0]
    assert action.requires_approval


@pytest.mark.parametrize(
    "evidence",
    [
        changed("payments/validation.py", "api/schema.graphql", "docs/migrating.md"),
        changed("payments/x.py", diff="-    op.execute('ALTER TABLE charges ADD currency')\n"),
    ],
)
def test_ordinary_changes_do_not(evidence: Evidence) -> None:
    assert (rollback(evidence).risk, rollback(evidence).risk_reasons) == (Risk.LOW, ())


def test_somebody_else_s_migration_does_not_count() -> None:
    other = CodeChange(sha="f" * 40, service="catalog", files=("migrations/1.sql",))
    assert rollback(scenes.evidence(deployments=[scenes.deployment()], code_changes=[other])).risk is Risk.LOW


def test_a_later_deployment_on_top_is_told() -> None:
    later = scenes.deployment(id="d9", version="v2.3.6", finished_at=scenes.at(14, 50))
    failed = scenes.deployment(id="d10", version="v2.3.7", finished_at=scenes.at(14, 55), status="failed")
    action = rollback(scenes.evidence(deployments=[scenes.deployment(), later, failed]))
    assert action.risk is Risk.MEDIUM
    assert action.risk_reasons == ("1 later deployment on top of it would be taken back, too",)


def test_a_rollback_that_failed_before_is_told() -> None:
    before = scenes.deployment(id="d3", strategy="rollback", status="failed", finished_at=scenes.at(14, 40))
    action = rollback(scenes.evidence(deployments=[scenes.deployment(), before]))
    assert action.risk is Risk.HIGH
    assert any("failed before (d3)" in reason for reason in action.risk_reasons)


def test_with_a_target_the_command_is_exact() -> None:
    action = rollback(scenes.full_evidence(), TARGETS)
    assert action.command == "kubectl --namespace=shop rollout undo deployment/payments"
    assert action.call is not None
    assert action.call.parameters == {"workload": "deployment/payments", "version": "v2.3.4", "namespace": "shop"}
    assert action.environment == "production"
    assert action.evidence


@given(st.text(max_size=30), st.text(max_size=30))
def test_hostile_services_and_versions_end_as_something_missing(service: str, version: str) -> None:
    bad = scenes.deployment(service=service or None, previous_version=version or None)
    action = rollback(scenes.evidence(deployments=[bad]), TARGETS, service=service or None)
    if action.call is not None:
        assert not action.missing
        for value in action.call.parameters.values():
            assert not set(value) & set(" ;&|`$<>\n\\'\"(){}*")
            assert not value.startswith("-")
        assert shlex.split(action.command or "")[0] == "kubectl"


def series(after: float, *, name: str = "error_ratio", service: str = "payments", end: int = 20) -> MetricSeries:
    start = ONSET.timestamp()
    times = [start + minute * 60 for minute in range(-30, end)]
    values = [after if at >= start else 0.002 + (index % 3) / 10_000 for index, at in enumerate(times)]
    return MetricSeries(name=name, service=service, timestamps=tuple(times), values=tuple(values))


def test_the_series_that_moved_furthest_is_looked_at_again() -> None:
    evidence = scenes.evidence(metrics=[series(0.003, name="cpu"), series(0.2), series(9.0, service="cart")])
    check = choose_check(evidence, ["payments", "cart"], ONSET, ExecutionSettings())
    assert check is not None
    assert (check.name, check.service, check.below) == ("error_ratio", "payments", True)
    assert 0.05 < check.threshold < 0.06
    assert "error_ratio of payments is at most 0.0516 for the last 3m of the 10m after the action." in sentence_of(
        check
    )


@pytest.mark.parametrize("metrics", [[], [series(0.002)], [series(math.nan)], [series(0.2, end=2)]])
def test_where_nothing_moved_nothing_is_looked_at(metrics: list[MetricSeries]) -> None:
    assert choose_check(scenes.evidence(metrics=metrics), ["payments"], ONSET, ExecutionSettings()) is None
    assert choose_check(scenes.evidence(metrics=metrics), ["payments"], None, ExecutionSettings()) is None


CHECK = SeriesCheck(name="error_ratio", series="error_ratio", service="payments", threshold=0.05, hold_seconds=180)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0.2, 0.2, 0.01, 0.01, 0.01, 0.01), Verification.PASSED),
        ((0.2, 0.01, 0.01, 0.2, 0.01, 0.01), Verification.FAILED),
        ((0.2, 0.2, math.nan, math.nan, math.nan, math.nan), Verification.UNTOLD),
        ((), Verification.UNTOLD),
    ],
)
def test_it_has_to_be_good_for_the_whole_of_the_last_minutes(values: tuple[float, ...], expected: Verification) -> None:
    end = scenes.at(15, 0)
    times = tuple(end.timestamp() - 60 * (len(values) - 1 - index) for index in range(len(values)))
    found = MetricSeries(name="error_ratio", service="payments", timestamps=times, values=values)
    assert judge_series(CHECK, [found], end)[0] is expected


def test_what_should_be_high_is_judged_from_the_other_side() -> None:
    check = CHECK.model_copy(update={"below": False, "threshold": 90.0})
    end = scenes.at(15, 0)
    good = MetricSeries(name="error_ratio", service="payments", timestamps=(end.timestamp(),), values=(99.0,))
    assert judge_series(check, [good], end)[0] is Verification.PASSED
    assert judge_series(check, [good.model_copy(update={"values": (50.0,)})], end)[0] is Verification.FAILED
