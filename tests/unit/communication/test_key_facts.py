"""Each key fact is said only where its rows are there."""

from __future__ import annotations

from incident_pipeline.communication.key_facts import evidence_lines
from incident_pipeline.models import (
    CausedBy,
    CodeChange,
    Evidence,
    LogEntry,
    MetricSeries,
    SeriesAnomaly,
    Symptoms,
)
from tests.unit import scenes
from tests.unit.scenes import at

CAUSE = scenes.hypothesis(evidence=("It went live at 14:28 UTC, 4 minutes before the first sign", "A quoted line"))


def log(message: str, minute: int = 33, level: str = "error") -> LogEntry:
    return LogEntry(timestamp=at(14, minute), service="payments", level=level, message=message)


def evidence(logs: list[LogEntry], metric: str = "cpu_percent") -> Evidence:
    return scenes.evidence(
        deployments=[scenes.deployment()],
        code_changes=[CodeChange(sha=scenes.SHA, files=("payment/rules.py", "payment/validation.py"))],
        logs=logs,
        metrics=[MetricSeries(name=metric, service="payments", timestamps=(1.0,), values=(2.0,))],
    )


def lines(given: Evidence, symptoms: Symptoms | None = None, most: int = 5) -> list[str]:
    return evidence_lines(given, symptoms or scenes.symptoms(), scenes.diagnosis(CAUSE), most)


def test_the_three_facts_of_a_bad_release_then_what_is_quoted_beyond_them() -> None:
    found = lines(
        evidence([log("500 at payment/validation.py:87"), log("500 at payment/validation.py:88"), log("other")])
    )

    assert found == [
        "Error spike began 4 minutes after deployment",
        "Errors concentrated in new payment validation code",
        "No infrastructure anomalies detected",
        "A quoted line",
    ]


def test_never_more_than_asked_for() -> None:
    assert len(lines(evidence([log("validation.py")]), most=2)) == 2


def test_scattered_or_earlier_errors_are_not_concentrated() -> None:
    scattered = lines(evidence([log("validation.py"), log("a"), log("b")]))
    earlier = lines(evidence([log("validation.py", minute=20), log("a")]))

    assert not any("concentrated" in line for line in [*scattered, *earlier])


def test_infrastructure_that_was_not_measured_is_not_called_calm() -> None:
    assert "No infrastructure anomalies detected" not in lines(evidence([], metric="error_ratio"))


def test_infrastructure_that_moved_is_not_called_calm() -> None:
    moved = SeriesAnomaly(service="web", series="cpu_percent", onset=at(14, 33), before=30, after=95, score=9)

    assert "No infrastructure anomalies detected" not in lines(evidence([]), scenes.symptoms(anomalies=(moved,)))


def test_a_release_after_the_onset_has_no_facts() -> None:
    late = evidence([]).model_copy(
        update={"deployments": scenes.evidence(deployments=[scenes.deployment(finished_at=at(14, 40))]).deployments}
    )

    assert lines(late) == list(CAUSE.evidence)


def test_without_errors_no_error_spike_is_claimed() -> None:
    slow = SeriesAnomaly(service="payments", series="latency_p99", onset=at(14, 32), before=1, after=9, score=9)

    found = lines(evidence([]), scenes.symptoms(anomalies=(slow,)))

    assert found[0] == "The first symptoms began 4 minutes after deployment"


def test_a_blamed_commit_is_told_by_its_release() -> None:
    cause = scenes.hypothesis(caused_by=CausedBy(kind="change", id=scenes.SHA), evidence=())

    found = evidence_lines(evidence([]), scenes.symptoms(), scenes.diagnosis(cause), 5)

    assert found[0] == "Error spike began 4 minutes after deployment"


def test_lines_that_speak_of_an_example_come_with_it_or_not_at_all() -> None:
    counted, example = "15 lines like this since the onset, never before", 'Example: "it broke"'
    cause = scenes.hypothesis(caused_by=CausedBy(kind="log_pattern", id="p"), evidence=("a", counted, "b", example))

    assert evidence_lines(evidence([]), scenes.symptoms(), scenes.diagnosis(cause), 4) == ["a", counted, "b", example]
    assert evidence_lines(evidence([]), scenes.symptoms(), scenes.diagnosis(cause), 3) == ["a", "b", example]


def test_other_causes_are_quoted_as_they_are() -> None:
    cause = scenes.hypothesis(caused_by=CausedBy(kind="metric", id="x"))

    assert evidence_lines(evidence([]), scenes.symptoms(), scenes.diagnosis(cause), 5) == list(cause.evidence)
