"""Learn the weights of the diagnosis from labelled incidents and write `incident_pipeline/diagnosis/weights.json`.

    python -m benchmarks.fit_weights [FOLDER] [--write]

Two small models, both regularised, no weight for anything but what speaks for a service:

- the ranking of services: a conditional logit over the features of `service_evidence`, each data set with the same
  total weight, no negative weights;
- the confidence of the first hypothesis: a logistic regression on its lead over the next and on the number of series.

Printed: how good each is on data sets that it was not fitted on (leave one data set out), and on incidents that it was
not fitted on (five folds within each data set, beside the other data sets). Only the second says what to expect of
systems like those; the first of systems like none of them.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.labelled import DEFAULT, Labelled, labelled
from incident_pipeline.backtest.folder_diagnosis import diagnose_folder, diagnosis_record
from incident_pipeline.backtest.measure import labelled_folders
from incident_pipeline.backtest.scores import score
from incident_pipeline.config import Scenario
from incident_pipeline.diagnosis.calibration import INPUTS, gap_offset, inputs_of, most
from incident_pipeline.diagnosis.engine import find_hypotheses
from incident_pipeline.diagnosis.graph import service_graph
from incident_pipeline.diagnosis.log_symptoms import errors_by_service, log_symptoms
from incident_pipeline.diagnosis.measurement import measure
from incident_pipeline.diagnosis.ranking import ABSOLUTE, merge_features
from incident_pipeline.diagnosis.service_evidence import service_evidence
from incident_pipeline.diagnosis.service_features import relative
from incident_pipeline.diagnosis.symptoms import find_symptoms
from incident_pipeline.diagnosis.synthesis import merge
from incident_pipeline.diagnosis.vocabulary import words
from incident_pipeline.diagnosis.weights import weights
from incident_pipeline.incident_folder.truth import load_truth

TARGET = Path(__file__).resolve().parents[1] / "incident_pipeline" / "diagnosis" / "weights.json"
FEATURES = tuple(
    sorted(
        words(
            "latency latency_own errors errors_own resource memory setting complaint chain trace_wire trace_errors "
            "edge_in edge_out edge_below released canary_errors canary_latency version_silent log_errors alerted"
        )
    )
)
L2 = 1.0
SHY = 20.0
"""How much harder the alerted service's own weight is held at zero: data sets differ most in who alerts."""
FOLDS, DRAWS = 5, 20
"""Folds that are left out in turn, and how often they are drawn: a draw moves the errors by hundredths."""
CLUSTERS = frozenset({"cloudopsbench"})
"""Snapshots of clusters have a diagnosis of their own."""


@dataclass(frozen=True)
class Choice:
    """One incident: its services, their features, which is the true one."""

    name: str
    dataset: str
    services: list[str]
    features: np.ndarray
    true: int
    weight: float = 1.0


def choice_of(one: Labelled) -> Choice | None:
    """The choice among the services of one incident; None where the truth names none of them."""
    incident, evidence = one.folder.incident, one.folder.evidence
    measured = measure(incident, evidence)
    found = service_evidence(incident, evidence, measured, service_graph(evidence))
    found = merge_features([found, errors_by_service(log_symptoms(evidence.logs.rows, measured.onset))])
    shares = relative(found, [name for name in FEATURES if name not in ABSOLUTE])
    services = sorted(found)
    if one.truth.root_cause_service not in services:
        return None
    rows = [[found[s].get(n, 0.0) if n in ABSOLUTE else shares[s][n] for n in FEATURES] for s in services]
    return Choice(
        one.folder.path.name, one.dataset, services, np.asarray(rows), services.index(one.truth.root_cause_service)
    )


def fit_ranking(choices: Sequence[Choice]) -> np.ndarray:
    """The weights of the conditional logit, by Newton's method, none below zero."""
    penalty = np.asarray([SHY if name == "alerted" else 1.0 for name in FEATURES]) * L2
    counts: dict[str, int] = defaultdict(int)
    for choice in choices:
        counts[choice.dataset] += 1
    found = np.zeros(len(FEATURES))
    for _ in range(100):
        gradient, curvature = -penalty * found, np.diag(penalty)
        for choice in choices:
            share = 20.0 / counts[choice.dataset]
            odds = choice.features @ found
            chance = np.exp(odds - odds.max())
            chance /= chance.sum()
            mean = chance @ choice.features
            gradient = gradient + share * (choice.features[choice.true] - mean)
            spread = (choice.features * chance[:, None]).T @ choice.features - np.outer(mean, mean)
            curvature = curvature + share * spread
        step = np.linalg.solve(curvature, gradient)
        found = np.maximum(found + step, 0.0)
        if np.abs(step).max() < 1e-6:
            break
    return found


def place(choice: Choice, found: np.ndarray) -> int:
    """The place of the true service, from 1."""
    order = np.argsort(-(choice.features @ found), kind="stable")
    return int(np.flatnonzero(order == choice.true)[0]) + 1


def quality(places: Sequence[int]) -> str:
    """AC@1 / AC@3 / Avg@5."""
    hits = [float(np.mean([p <= k for p in places])) for k in range(1, 6)]
    return f"{hits[0]:.2f} / {hits[2]:.2f} / {np.mean(hits):.2f}"


def report_ranking(choices: Sequence[Choice]) -> np.ndarray:
    """Print the cross-validated quality; return the weights from all incidents."""
    everywhere = fit_ranking(choices)
    print("service ranking, AC@1 / AC@3 / Avg@5")
    for name in sorted({c.dataset for c in choices}):
        own = [c for c in choices if c.dataset == name]
        others = [c for c in choices if c.dataset != name]
        held_out = fit_ranking(others)
        folded = []
        for fold in range(FOLDS):
            learned = fit_ranking([*others, *(c for i, c in enumerate(own) if i % FOLDS != fold)])
            folded += [place(c, learned) for i, c in enumerate(own) if i % FOLDS == fold]
        print(
            f"  {name:15} n={len(own):3}  data set left out {quality([place(c, held_out) for c in own])}   "
            f"five folds {quality(folded)}   fitted {quality([place(c, everywhere) for c in own])}"
        )
    return everywhere


class Row(NamedTuple):
    """One incident's first hypothesis, as its confidence is learned from it."""

    dataset: str
    inputs: np.ndarray
    right: bool
    gap: float
    """What missing evidence adds to the log-odds."""
    most: float
    """What its probability may not exceed."""


def calibration_rows(incidents: Sequence[Labelled]) -> list[Row]:
    """One row for the first hypothesis of every incident."""
    settings = Scenario()
    rows = []
    for one in incidents:
        incident, evidence = one.folder.incident, one.folder.evidence
        symptoms = find_symptoms(incident, evidence)
        merged = merge(find_hypotheses(incident, evidence, symptoms, settings))
        if not merged:
            continue
        first = merged[0]
        blamed = {one.truth.root_cause_change, one.truth.root_cause_deployment} - {None}
        right = first.service == one.truth.root_cause_service or first.caused_by.id in blamed
        inputs = np.asarray([1.0, *inputs_of(merged, symptoms.looked_at["measured"])])
        rows.append(Row(one.dataset, inputs, bool(right), gap_offset(evidence.gaps), most(merged, evidence.gaps)))
    return rows


def fit_logistic(rows: Sequence[Row], l2: float = 0.3) -> np.ndarray:
    """Logistic regression by Newton's method; the intercept is not held back."""
    x = np.asarray([row.inputs for row in rows])
    y = np.asarray([row.right for row in rows], dtype=float)
    offset = np.asarray([row.gap for row in rows])
    penalty = np.diag([1e-6, *[l2] * (x.shape[1] - 1)])
    found = np.zeros(x.shape[1])
    for _ in range(50):
        p = 1.0 / (1.0 + np.exp(-(x @ found + offset)))
        gradient = x.T @ (y - p) - penalty @ found
        curvature = (x * (p * (1 - p))[:, None]).T @ x + penalty
        found = found + np.linalg.solve(curvature, gradient)
    return found


Pair = tuple[float, bool]
"""What was said, and whether it was right."""


def judged(name: str, draws: Sequence[Sequence[Pair]]) -> None:
    """Print the Brier score beside the base rate's, and the calibration error, each the mean over draws."""
    briers, bases, errors = [], [], []
    for pairs in draws:
        p, y = np.asarray([said for said, _ in pairs]), np.asarray([right for _, right in pairs], dtype=float)
        bins = np.minimum((p * 10).astype(int), 9)
        gaps = [np.sum(bins == b) * abs(p[bins == b].mean() - y[bins == b].mean()) for b in set(bins.tolist())]
        briers.append(float(((p - y) ** 2).mean()))
        bases.append(float(y.mean() * (1 - y.mean())))
        errors.append(float(sum(gaps) / len(p)))
    brier, base = np.mean(briers), np.mean(bases)
    low, high = np.percentile(errors, [5, 95])
    print(
        f"  {name:34} Brier {brier:.3f}, base rate {base:.3f} ({1 - brier / base:+.0%}), "
        f"ECE {np.mean(errors):.3f} ({low:.3f} to {high:.3f})"
    )


def report_calibration(rows: Sequence[Row], clusters: Sequence[Pair]) -> np.ndarray:
    """Print the cross-validated Brier score and calibration error; return the weights from all incidents.

    Args:
        rows: what the weights are learned from.
        clusters: what is said of snapshots of clusters, whose confidence is not learned here.
    """

    def chance(row: Row, found: np.ndarray) -> Pair:
        return min(float(1.0 / (1.0 + np.exp(-(row.inputs @ found + row.gap)))), row.most), row.right

    everywhere = fit_logistic(rows)
    left_out: list[Pair] = []
    for name in sorted({row.dataset for row in rows}):
        held_out = fit_logistic([row for row in rows if row.dataset != name])
        left_out += [chance(row, held_out) for row in rows if row.dataset == name]
    draws = [_folded(rows, draw, chance) for draw in range(DRAWS)]
    print("confidence of the first hypothesis")
    judged("data set left out", [left_out])
    judged(f"five folds, {DRAWS} draws", draws)
    judged("fitted", [[chance(row, everywhere) for row in rows]])
    if clusters:
        judged("five folds and clusters", [[*draw, *clusters] for draw in draws])
        judged("data set left out, and clusters", [[*left_out, *clusters]])
    return everywhere


def _folded(rows: Sequence[Row], draw: int, chance: Callable[[Row, np.ndarray], Pair]) -> list[Pair]:
    order = np.random.default_rng(draw).permutation(len(rows))
    found: list[Pair] = []
    for fold in range(FOLDS):
        held = {int(at) for at in order[fold::FOLDS]}
        learned = fit_logistic([row for at, row in enumerate(rows) if at not in held])
        found += [chance(rows[at], learned) for at in sorted(held)]
    return found


def cluster_pairs(root: Path) -> list[Pair]:
    """What is said of the snapshots of clusters: the first hypothesis names the object or the service."""
    found = []
    for name in sorted(CLUSTERS):
        for path in labelled_folders(root / name):
            truth = load_truth(path)
            if truth is not None:
                one = score(diagnosis_record(diagnose_folder(path, Scenario())), truth)
                found.append((one.confidence, one.right))
    return found


def main(arguments: Sequence[str]) -> None:
    folders = [Path(a) for a in arguments if not a.startswith("--")]
    root = folders[0] if folders else DEFAULT
    incidents = labelled(root, CLUSTERS)
    choices = [c for c in map(choice_of, incidents) if c is not None]
    ranking = report_ranking(choices)
    made: dict[str, Any] = {
        "made_by": "benchmarks/fit_weights.py",
        "incidents": len(incidents),
        "service_ranking": {n: round(float(w), 3) for n, w in zip(FEATURES, ranking, strict=True) if w > 0.005},
        "calibration": weights().get("calibration", {}),
    }
    if "--write" in arguments:
        write(made)
    fitted = report_calibration(calibration_rows(incidents), cluster_pairs(root))
    made["calibration"] = {n: round(float(w), 3) for n, w in zip(("intercept", *INPUTS), fitted, strict=True)}
    if "--write" in arguments:
        write(made)
        print(f"written: {TARGET}")


def write(made: dict[str, Any]) -> None:
    """Write the weights and make this process use them."""
    TARGET.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    weights.cache_clear()


if __name__ == "__main__":
    main(sys.argv[1:])
