"""How good the diagnosis is on labelled incidents, beside simple rules in the same run, and how long it takes.

    python -m benchmarks.diagnosis [FOLDER]

The weights were fitted on the very folders of the default: see `benchmarks.fit_weights` for what to expect elsewhere.
"""

from __future__ import annotations

import random
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from benchmarks.labelled import DEFAULT, Labelled, labelled
from incident_pipeline.backtest.folder_diagnosis import diagnose_folder, diagnosis_record
from incident_pipeline.backtest.scores import by_dataset, figures, score
from incident_pipeline.config import Scenario
from incident_pipeline.diagnosis.engine import diagnose
from incident_pipeline.diagnosis.series import points_of
from incident_pipeline.models import (
    Alert,
    CodeChange,
    Deployment,
    Envelope,
    Evidence,
    EvidenceKind,
    Gathered,
    Incident,
    LogEntry,
    MetricSeries,
)

Rule = Callable[[Labelled], list[str]]
CUT = 120.0
"""The simple rules cut so many seconds before the alert."""


def by_strength(strength: Callable[[np.ndarray, np.ndarray], float]) -> Rule:
    """A rule that ranks services by the strongest of their series."""

    def rank(one: Labelled) -> list[str]:
        cut = one.folder.incident.started_at.timestamp() - CUT
        scores: dict[str, float] = defaultdict(float)
        for series in one.folder.evidence.metrics.rows:
            points = points_of(series)
            before, after = points.between(-np.inf, cut), points.between(cut, np.inf)
            if series.service and len(before) > 2 and len(after):
                scores[series.service] = max(scores[series.service], strength(before, after))
        known = {s.name for s in one.folder.evidence.service_graph.rows} | set(scores)
        return sorted(known, key=lambda name: (-scores[name], name))

    return rank


def n_sigma(before: np.ndarray, after: np.ndarray) -> float:
    return float(np.max(np.abs(after - before.mean())) / (before.std() + 1e-9 + 0.01 * abs(before.mean())))


def baro(before: np.ndarray, after: np.ndarray) -> float:
    low, middle, high = np.quantile(before, (0.25, 0.5, 0.75))
    return float(np.max(after - middle) / (high - low + 1e-9 + 0.01 * abs(middle)))


def shift(before: np.ndarray, after: np.ndarray) -> float:
    middle = np.median(before)
    spread = 1.4826 * np.median(np.abs(before - middle)) + 0.01 * abs(middle) + 1e-9
    return float(abs(np.median(after) - middle) / spread)


RULES: dict[str, Rule] = {"n-sigma": by_strength(n_sigma), "BARO-style": by_strength(baro), "shift": by_strength(shift)}


def places(rule: Rule, incidents: Iterable[Labelled]) -> str:
    ranks = []
    for one in incidents:
        ranked = rule(one)
        true = one.truth.root_cause_service
        ranks.append(ranked.index(true) + 1 if true in ranked else 999)
    hits = [float(np.mean([r <= k for r in ranks])) for k in range(1, 6)]
    return f"{hits[0]:.2f} / {hits[2]:.2f} / {np.mean(hits):.2f}"


def latest_deployment(one: Labelled) -> str | None:
    """The commit of the last deployment before the alert."""
    alert = one.folder.incident.started_at
    released = [d for d in one.folder.evidence.deployments.rows if d.at and d.at <= alert and d.commit_sha]
    return max(released, key=lambda d: d.at or alert).commit_sha if released else None


def latest_release(one: Labelled) -> str | None:
    """The last release that had started before the alert."""
    alert = one.folder.incident.started_at
    started = [(d.started_at or d.finished_at, d.id) for d in one.folder.evidence.deployments.rows]
    before = [(at, name) for at, name in started if at is not None and at <= alert]
    return max(before)[1] if before else None


def report_rules(incidents: Sequence[Labelled]) -> None:
    print("\nservices, AC@1 / AC@3 / Avg@5, simple rules that cut two minutes before the alert")
    for name in sorted({one.dataset for one in incidents}):
        own = [one for one in incidents if one.dataset == name]
        print(f"  {name:16}" + "   ".join(f"{title} {places(rule, own)}" for title, rule in RULES.items()))
    asked = [one for one in incidents if one.truth.root_cause_change]
    if asked:
        guesses = [latest_deployment(one) for one in asked]
        right = sum(g == one.truth.root_cause_change for g, one in zip(guesses, asked, strict=True))
        decoys = sum(g in one.truth.decoys for g, one in zip(guesses, asked, strict=True))
        none = sum(one.truth.root_cause_change == "none" for one in asked)
        print(f"change: latest deployment {right} of {len(asked)}, {decoys} decoys; always none {none} of {len(asked)}")
    released = [one for one in incidents if one.truth.root_cause_deployment and not one.truth.root_cause_change]
    if released:
        right = sum(latest_release(one) == one.truth.root_cause_deployment for one in released)
        print(f"release: the latest {right} of {len(released)}")


def report_engine(incidents: Sequence[Labelled]) -> None:
    settings = Scenario()
    scores = [score(diagnosis_record(diagnose_folder(one.folder.path, settings)), one.truth) for one in incidents]
    keys = ("incidents", "ac1", "ac3", "avg5", "change_accuracy", "decoys_convicted", "deployment_accuracy")
    keys += ("category_accuracy", "blast_radius", "remediation_accuracy", "brier", "brier_base", "ece", "seconds")
    print("the engine\n  " + " ".join(["data set".ljust(16), *(k[:11].rjust(11) for k in keys)]))
    for name, made in [*by_dataset(scores).items(), ("all", figures(scores))]:
        cells = [
            "-" if made[k] is None else f"{made[k]:.3f}" if isinstance(made[k], float) else str(made[k]) for k in keys
        ]
        print("  " + " ".join([name.ljust(16), *(c.rjust(11) for c in cells)]))


def large_incident() -> tuple[Incident, Evidence]:
    """10,000 log lines, 500 series of four hours, 200 changes with a diff each."""
    draw = random.Random(7)
    now = datetime(2026, 3, 4, 14, 0, tzinfo=UTC)
    start = now.timestamp() - 4 * 3600
    names = [f"service-{i}" for i in range(50)]
    series = [
        MetricSeries(
            name=kind,
            service=name,
            timestamps=tuple(start + 60 * i for i in range(240)),
            values=tuple(1 + draw.random() + (5 if name == names[3] and i > 235 else 0) for i in range(240)),
        )
        for name in names
        for kind in ("error_rate", "latency_p99", "cpu", "memory", "rps", "queue_depth", "p50", "retries", "gc", "disk")
    ]
    logs = [
        LogEntry(
            timestamp=now - timedelta(seconds=draw.random() * 7200),
            service=draw.choice(names),
            level=draw.choice(["info", "info", "warning", "error"]),
            message=f"request {draw.randrange(10**9)} to /v1/{draw.choice('abcdef')} took {draw.random() * 100:.1f} ms",
        )
        for _ in range(10_000)
    ]
    changes = [
        CodeChange(
            sha=f"{i:040x}",
            message=f"change {i}",
            files=(f"{draw.choice(names)}/src/part{i}.py",),
            diff="\n".join(
                f"{draw.choice('+- ')}    value_{draw.randrange(50)} = call({draw.randrange(9)})" for _ in range(60)
            ),
            committed_at=now - timedelta(minutes=draw.random() * 2000),
        )
        for i in range(200)
    ]
    deployments = [
        Deployment(id=f"d{i}", service=draw.choice(names), commit_sha=c.sha, finished_at=c.committed_at)
        for i, c in enumerate(changes[:60])
    ]
    alert = Alert(source="custom", source_id="1", dedup_key="1", title="slow", service=names[0], started_at=now)
    rows = {
        EvidenceKind.METRICS: series,
        EvidenceKind.LOGS: logs,
        EvidenceKind.CODE_CHANGES: changes,
        EvidenceKind.DEPLOYMENTS: deployments,
    }
    gathered = {k.value: Gathered(kind=k, envelopes=(Envelope.of("made", v),)) for k, v in rows.items()}
    incident = Incident(incident_id="made", title="slow", services=(names[0],), alerts=(alert,), started_at=now)
    return incident, Evidence(**gathered)


def report_speed() -> None:
    incident, evidence = large_incident()
    times = []
    for _ in range(3):
        began = time.process_time()
        diagnose(incident, evidence, Scenario())
        times.append(time.process_time() - began)
    print(f"\n10,000 log lines, 500 series, 200 changes: {min(times):.2f} s of processor time (fastest of three)")


def main(arguments: Sequence[str]) -> None:
    incidents = labelled(Path(arguments[0]) if arguments else DEFAULT, frozenset({"cloudopsbench"}))
    report_engine(incidents)
    report_rules(incidents)
    report_speed()


if __name__ == "__main__":
    main(sys.argv[1:])
