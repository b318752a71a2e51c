"""How good would the diagnosis have been? Every folder below one that has a truth.json, diagnosed and scored.

Belongs here: finding the folders, diagnosing them in parallel, taking up where an earlier run stopped.
Does not belong here: the figures (`scores`), the report (`report`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from incident_pipeline.backtest.folder_diagnosis import diagnose_folder, diagnosis_record
from incident_pipeline.backtest.scores import Score, by_dataset, figures, score
from incident_pipeline.config import Scenario
from incident_pipeline.diagnosis.engine import ENGINE_VERSION
from incident_pipeline.diagnosis.weights import weights
from incident_pipeline.errors import InputError, NotFoundError
from incident_pipeline.incident_folder.truth import load_truth

_TRUTH = ("truth.json", "truth.json.gz")


@dataclass(frozen=True)
class Outcome:
    """One folder: its diagnosis as printed and its score, or the problem that there was."""

    folder: str
    fingerprint: str
    record: dict[str, Any] | None = None
    score: Score | None = None
    problem: str | None = None


def labelled_folders(root: Path) -> list[Path]:
    """Every folder at or below `root` with a truth.json, in order.

    Raises:
        NotFoundError: there is none.
    """
    if not root.is_dir():
        raise InputError(f"{root} is not a folder; give a folder with incident folders below it")
    found = sorted({path.parent for name in _TRUTH for path in root.rglob(name)})
    if not found:
        raise NotFoundError(
            f"{root} holds no incident folder with a truth.json; export confirmed incidents there first"
        )
    return found


def backtest(
    folders: Sequence[Path],
    settings: Scenario,
    *,
    workers: int = 1,
    known: dict[str, Outcome] | None = None,
    done: Callable[[Outcome], None] = lambda _: None,
) -> list[Outcome]:
    """Diagnose and score folders, in the order given.

    Args:
        folders: incident folders with a truth.json.
        settings: as the diagnosis would use them.
        workers: processes; 1 stays in this one.
        known: outcomes of an earlier run by folder; taken where folder and engine are the same.
        done: told of every outcome as it comes.
    """
    earlier = known or {}
    prints = {folder: fingerprint(folder) for folder in folders}
    todo = [f for f in folders if str(f) not in earlier or earlier[str(f)].fingerprint != prints[f]]
    made: dict[str, Outcome] = {str(f): earlier[str(f)] for f in folders if f not in set(todo)}
    for outcome in _run(todo, settings, workers):
        made[outcome.folder] = outcome
        done(outcome)
    return [made[str(folder)] for folder in folders]


def _run(folders: Sequence[Path], settings: Scenario, workers: int) -> Iterator[Outcome]:
    work = partial(diagnose_and_score, settings=settings)
    if workers <= 1 or len(folders) < 2:
        yield from map(work, folders)
        return
    with ProcessPoolExecutor(max_workers=min(workers, len(folders))) as pool:
        yield from pool.map(work, folders, chunksize=4)


def diagnose_and_score(folder: Path, settings: Scenario) -> Outcome:
    """Diagnose one folder and compare it with its truth; a folder that cannot be read is an outcome too."""
    try:
        truth = load_truth(folder)
        record = diagnosis_record(diagnose_folder(folder, settings))
    except InputError as error:
        return Outcome(str(folder), fingerprint(folder), problem=str(error))
    if truth is None:
        return Outcome(str(folder), fingerprint(folder), record=record, problem=f"{folder} has no truth.json")
    return Outcome(str(folder), fingerprint(folder), record, score(record, truth))


def fingerprint(folder: Path) -> str:
    """Changes when a file of the folder, the engine or its weights do."""
    digest = hashlib.sha256(f"{ENGINE_VERSION} {json.dumps(weights(), sort_keys=True)}".encode())
    for path in sorted(folder.iterdir()):
        if path.is_file():
            state = path.stat()
            digest.update(f"{path.name}\0{state.st_size}\0{state.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The figures of each data set and of all, and what could not be read."""
    scores = [o.score for o in outcomes if o.score is not None]
    return {
        "engine_version": ENGINE_VERSION,
        "datasets": by_dataset(scores),
        "all": figures(scores),
        "problems": [{"folder": o.folder, "problem": o.problem} for o in outcomes if o.problem],
    }


def read_outcomes(path: Path) -> dict[str, Outcome]:
    """The outcomes that an earlier run left in a JSONL file; a line that was cut off is left out."""
    if not path.exists():
        return {}
    found = {}
    for line in path.read_text("utf-8").splitlines():
        try:
            row = json.loads(line)
            made = Score(**row["score"]) if row.get("score") else None
            found[row["folder"]] = Outcome(
                row["folder"], row["fingerprint"], row.get("record"), made, row.get("problem")
            )
        except (ValueError, KeyError, TypeError):
            continue
    return found


def outcome_line(outcome: Outcome) -> str:
    """One outcome as a line of JSON."""
    made = outcome.score.as_dict() if outcome.score else None
    row = {**outcome.__dict__, "score": made}
    return json.dumps(row, ensure_ascii=False)


def usual_workers() -> int:
    """As many processes as there are processors to use, at most eight."""
    return max(1, min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 8))
