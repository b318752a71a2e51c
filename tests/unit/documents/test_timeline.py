"""What happened and what was done, in order, once each."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from incident_pipeline.documents.timeline import build_timeline
from incident_pipeline.models import (
    Alert,
    CausedBy,
    Evidence,
    FlagChange,
    Incident,
    SeriesAnomaly,
    Symptoms,
    Timeline,
)
from tests.unit import scenes
from tests.unit.scenes import at


def build(
    incident: Incident | None = None, evidence: Evidence | None = None, symptoms: Symptoms | None = None
) -> Timeline:
    return build_timeline(
        incident or scenes.incident(),
        evidence or scenes.evidence(deployments=[scenes.deployment()]),
        symptoms or scenes.symptoms(),
        scenes.diagnosis(),
        responded_at=at(14, 37),
        diagnosed_at=at(14, 45),
    )


def lines(timeline: Timeline) -> list[str]:
    return [f"{entry.at:%H:%M} {entry.text}" for entry in timeline.entries]


def test_the_specifications_own_timeline() -> None:
    assert lines(build()) == [
        "14:28 Deployment deploy-abc123 completed",
        "14:32 First errors detected",
        "14:35 Alert triggered (PagerDuty)",
        "14:37 Incident responder activated",
        "14:45 Initial diagnosis complete",
    ]


def test_flags_and_other_services_are_told_with_their_names() -> None:
    evidence = scenes.evidence(
        deployments=[scenes.deployment(id="d2", service="catalog", status="failed", finished_at=at(13, 0))],
        flag_changes=[FlagChange(name="new_checkout", value="on", previous_value="off", changed_at=at(14, 20))],
    )

    told = lines(build(evidence=evidence))

    assert "13:00 Deployment d2 of catalog failed" in told
    assert "14:20 Feature flag new_checkout changed from off to on" in told


def test_old_changes_are_left_out_unless_they_are_blamed() -> None:
    old = at(2, 0)
    evidence = scenes.evidence(
        deployments=[scenes.deployment(finished_at=old), scenes.deployment(id="other", finished_at=old)]
    )

    told = lines(build(evidence=evidence))

    assert "02:00 Deployment deploy-abc123 completed" in told
    assert not any("other" in line for line in told)


def test_a_deployment_that_still_runs_has_started() -> None:
    evidence = scenes.evidence(deployments=[scenes.deployment(finished_at=None, started_at=at(14, 27))])

    assert "14:27 Deployment deploy-abc123 started" in lines(build(evidence=evidence))


def test_what_moved_first_is_named_where_it_was_no_error() -> None:
    slow = SeriesAnomaly(service="web", series="latency_p99", onset=at(14, 32), before=0.2, after=3.0, score=40.0)

    told = lines(build(symptoms=Symptoms(onset=at(14, 32), anomalies=(slow,))))

    assert "14:32 First anomaly detected (latency_p99 of web)" in told


def test_without_an_onset_none_is_claimed() -> None:
    timeline = build_timeline(
        scenes.incident(),
        scenes.evidence(),
        Symptoms(),
        scenes.diagnosis(onset=None),
        responded_at=at(14, 37),
        diagnosed_at=at(14, 45),
    )

    assert [e.kind for e in timeline.entries] == ["alert_triggered", "responder", "diagnosis"]


def test_an_alert_is_followed_to_its_end() -> None:
    acknowledged = scenes.alert(status="acknowledged", received_at=at(14, 40))
    resolved = scenes.alert(status="resolved", resolved_at=at(15, 2))
    people = {"acknowledged_at": at(14, 41), "mitigated_at": at(15, 0), "resolved_at": at(15, 2)}

    told = lines(build(scenes.incident([acknowledged], **people)))
    ended = lines(build(scenes.incident([scenes.alert(), acknowledged, resolved])))

    assert "14:40 Alert acknowledged (PagerDuty)" in told
    assert told[-4] == "14:41 Incident acknowledged"
    assert told[-2:] == ["15:00 Incident mitigated", "15:02 Incident resolved"]
    assert "15:02 Alert resolved (PagerDuty)" in ended
    assert sum("Alert triggered" in line for line in ended) == 1


def test_a_storm_is_told_as_its_first_alerts_and_a_sum() -> None:
    alerts = [
        scenes.alert(
            source="prometheus", dedup_key=f"k{i}", title=f"T{i}", started_at=at(14, 35) + timedelta(seconds=i)
        )
        for i in range(42)
    ]

    told = lines(build(scenes.incident(alerts)))

    assert sum("Alert triggered" in line for line in told) == 5
    assert "14:35 37 more alerts (Prometheus)" in told
    assert "14:35 Alert triggered (Prometheus): T1" in told


def test_a_storm_that_ends_is_one_line() -> None:
    alerts = [scenes.alert(dedup_key=f"k{i}", status="resolved", resolved_at=at(15, i)) for i in range(9)]

    assert lines(build(scenes.incident(alerts)))[-1] == "15:08 9 alerts resolved"


MOMENTS = st.integers(min_value=0, max_value=600).map(lambda minute: at(10, 0) + timedelta(minutes=minute))
ALERTS = st.builds(
    Alert,
    source=st.sampled_from(["pagerduty", "slack", "x"]),
    source_id=st.just("i"),
    dedup_key=st.sampled_from("abc"),
    title=st.sampled_from(["A", "B"]),
    started_at=MOMENTS,
    status=st.sampled_from(["triggered", "acknowledged", "resolved"]),
    received_at=st.none() | MOMENTS,
    resolved_at=st.none() | MOMENTS,
)


@given(st.lists(ALERTS, min_size=1, max_size=20), st.lists(MOMENTS, max_size=30), st.randoms())
def test_in_order_once_and_the_same_however_it_arrives(alerts, deployed, random) -> None:  # type: ignore[no-untyped-def]
    deployments = [scenes.deployment(id=f"d{i % 7}", finished_at=moment) for i, moment in enumerate(deployed)]
    timeline = build(scenes.incident(alerts), scenes.evidence(deployments=deployments))
    shuffled = list(deployments)
    random.shuffle(shuffled)

    times = [entry.at for entry in timeline.entries]
    assert times == sorted(times)
    assert len({(f"{e.at:%H:%M}", e.text) for e in timeline.entries}) == len(timeline.entries)
    assert len(timeline.entries) <= 60
    assert build(scenes.incident(alerts), scenes.evidence(deployments=shuffled)) == timeline


def test_a_blamed_flag_is_told_however_old() -> None:
    cause = scenes.hypothesis(caused_by=CausedBy(kind="flag", id="new_checkout"))
    evidence = scenes.evidence(flag_changes=[FlagChange(name="new_checkout", value="on", changed_at=at(1, 0))])

    timeline = build_timeline(
        scenes.incident(),
        evidence,
        scenes.symptoms(),
        scenes.diagnosis(cause),
        responded_at=at(14, 37),
        diagnosed_at=at(14, 45),
    )

    assert lines(timeline)[0] == "01:00 Feature flag new_checkout changed to on"
