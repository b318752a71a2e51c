"""Fits the weights in `kb/ranking.py` on labelled queries, and says what they are worth by cross-validation.

    python benchmarks/fit_ranking.py KNOWLEDGE_BASE.duckdb ../shared/data/knowledge/dev

The knowledge base must hold the corpora that the queries ask (`incident-pipeline kb index ...`). Queries that share a
`split_key` are always in the same fold. Printed: the figures of held-out folds, as means of ten ways to divide (one way
alone moves an error of calibration by 0.01), then the weights of all queries together, to be pasted.

Ranking: conditional logit over the candidates of each query. Probability: logistic regression on the first answer of
each query, as its calibration is judged (with the second and third answers the error of the first ones rises by 0.02).
So that a probability also knows when nothing fits, alerts are asked of the reports and incidents of the runbooks, too,
as questions that nothing answers; where the kind of document is not asked for, these weigh more. And all questions are
asked of small memories drawn from the large one, where the answer to about every second one is missing.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from kb import KnowledgeBase
from kb.contents import Contents, Searchable
from kb.evaluation import calibration_error
from kb.lexical import build_index
from kb.merging import part
from kb.ranking import Chance, Signals, Weights, evidence, logistic, utilities
from kb.search import Searcher
from kb.store import read as stored

FOLDS = 5
DIVISIONS = 10
RIDGE = 3e-3
FOREIGN = {"runbook": 0.05, "postmortem": 0.01}
"""How much a question of the other kind weighs beside one of the own kind: they are many."""
OF_ANY = 0.25
"""The same for searches among all kinds, all questions of the other kinds together beside all of the own one."""
SMALL = {15: 14, 50: 40, 200: 100}
"""Documents of a small memory, and how many questions are asked of each that is drawn."""
OF_SMALL = 0.2
"""How much the questions to small memories weigh, all together beside all of the own kind."""
RUNBOOK_SETS = ("alert_runbook", "alert_runbook_named", "alert_runbook_promql", "alert_unmatched")
REPORT_SETS = ("same_incident", "report_summary")
USED = {
    "runbook": ("words", "title", "title_found", "title_share", "pairs", "title_pairs", "meaning"),
    "postmortem": ("words", "meaning"),
}
"""Signals that earned their place; the others get weight 0."""


NOTHING = Chance(*[0] * len(Chance._fields))


class Asked(NamedTuple):
    """One query with its candidates."""

    set_name: str
    key: str
    """Queries of one key stand or fall together."""
    signals: Signals
    right: np.ndarray
    size: int
    """Documents of the kind that there are."""


def read(folder: Path, name: str) -> list[dict]:
    with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def ask(kb: KnowledgeBase, folder: Path, kind: str) -> list[Asked]:
    own, foreign = (RUNBOOK_SETS, REPORT_SETS) if kind == "runbook" else (REPORT_SETS, RUNBOOK_SETS[:2])
    asked: list[Asked] = []
    size = sum(document.kind == kind for document in kb.documents)
    for name in (*own, *foreign):
        for query in read(folder, name):
            ids, signals = kb._searcher.signals(query["query"], kind)
            relevant = set(query["relevant"]) if name in own else set()
            right = np.array([identity in relevant for identity in ids])
            label = name if name in own else "foreign"
            asked.append(Asked(label, query["split_key"], signals, right, size))
    return asked


def ask_small(kb: KnowledgeBase, folder: Path, kind: str) -> list[Asked]:
    """The same of small memories that hold the answers of half of the questions, as far as there is room."""
    sets = RUNBOOK_SETS[:3] if kind == "runbook" else REPORT_SETS
    queries = [query for name in sets for query in read(folder, name)]
    whole, draw = stored(kb.path), np.random.default_rng(0)
    of_kind = [row for row, document in enumerate(whole.documents) if document.kind == kind]
    rows = {whole.documents[row].id: row for row in of_kind}
    asked: list[Asked] = []
    for size, at_once in SMALL.items():
        draw.shuffle(queries)
        for start in range(0, len(queries), at_once):
            some = queries[start : start + at_once]
            answered = some[: min(at_once, size) // 2]
            chosen = {rows[draw.choice(query["relevant"])] for query in answered}
            others = [row for row in of_kind if row not in chosen]
            chosen.update(map(int, draw.choice(others, size - len(chosen), replace=False)))
            searcher = Searcher(part_of(whole, sorted(chosen)), kb._embed)
            for query in some:
                ids, signals = searcher.signals(query["query"], kind)
                right = np.array([identity in query["relevant"] for identity in ids], dtype=bool)
                asked.append(Asked(f"among {size}", query["split_key"], signals, right, size))
    return asked


def part_of(whole: Contents, rows: list[int]) -> Searchable:
    """A memory of some documents."""
    documents = tuple(whole.documents[row] for row in rows)
    bounds = np.searchsorted([chunk.document_row for chunk in whole.chunks], [*rows, *(row + 1 for row in rows)])
    starts, ends = bounds[: len(rows)], bounds[len(rows) :]
    return Searchable(
        documents,
        np.concatenate(([0], np.cumsum(ends - starts))),
        np.concatenate([whole.vectors[start:end] for start, end in zip(starts, ends, strict=True)]),
        build_index([part(document) for document in documents]),
    )


def fold_of(asked: Asked, division: int) -> int:
    key = f"{division or ''}{asked.key}"
    return int(hashlib.md5(key.encode(), usedforsecurity=False).hexdigest(), 16) % FOLDS


def fit_rank(asked: list[Asked], used: tuple[str, ...]) -> tuple[float, ...]:
    """Conditional logit, ridge on standardised signals."""
    groups = [a for a in asked if a.right.any()]
    columns = [np.stack([getattr(a.signals, name) for name in used], axis=1) for a in groups]
    stacked = np.concatenate(columns)
    scale = stacked.std(axis=0) + 1e-9
    x, right = stacked / scale, np.concatenate([a.right for a in groups])
    sizes = np.array([len(a.right) for a in groups])
    starts = np.cumsum(sizes) - sizes

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        z = x @ weights
        e = np.exp(z - np.repeat(np.maximum.reduceat(z, starts), sizes))
        every, hit = np.add.reduceat(e, starts), np.add.reduceat(e * right, starts)
        gradient = (np.repeat(1 / hit, sizes) * e * right - np.repeat(1 / every, sizes) * e) @ x
        value = -np.log(hit / every).mean() + RIDGE * weights @ weights / 2
        return value, -gradient / len(groups) + RIDGE * weights

    fitted = minimize(loss, np.zeros(len(used)), jac=True, method="L-BFGS-B").x / scale
    named = dict(zip(used, fitted, strict=True))
    return tuple(round(float(named.get(name, 0.0)), 2) for name in Signals._fields[:7])


def answers(asked: list[Asked], weights: Weights) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Inputs of the probability for the first answer of each query, whether it is right, its set."""
    inputs, right, names = [], [], []
    for a in asked:
        if not len(a.right):
            continue
        utility = utilities(a.signals, weights)
        at = int(np.argmax(utility))
        inputs.append(evidence(utility, a.signals, a.size)[at])
        right.append(bool(a.right[at]))
        names.append(a.set_name)
    return np.array(inputs), np.array(right), names


def fit_chance(inputs: np.ndarray, right: np.ndarray, weight: np.ndarray, with_vectors: bool) -> Chance:
    of_meaning = {Chance._fields.index(name) for name in ("meaning", "meaning_by_size")}
    used = [at for at in range(inputs.shape[1]) if with_vectors or at not in of_meaning]
    model = LogisticRegression(C=10.0, max_iter=5000).fit(inputs[:, used], right, sample_weight=weight)
    coefficients = dict(zip(used, model.coef_[0], strict=True))
    fitted = [coefficients.get(at, 0.0) for at in range(inputs.shape[1])]
    return Chance(*(round(float(value), 2) for value in (*fitted, model.intercept_[0])))


def fit(asked: list[Asked], kind: str, with_vectors: bool) -> Weights:
    used = tuple(name for name in USED[kind] if with_vectors or name != "meaning")
    large = [a for a in asked if not a.set_name.startswith("among")]
    weights = Weights(fit_rank(large, used), NOTHING, NOTHING)
    inputs, right, names = answers(asked, weights)
    foreign = np.array([name == "foreign" for name in names])
    small = np.array([name.startswith("among") for name in names])
    own = (~foreign & ~small).sum()
    weight = np.where(small, OF_SMALL * own / max(small.sum(), 1), 1.0)
    as_many = OF_ANY * own / max(foreign.sum(), 1)
    of_kind, of_any = (
        fit_chance(inputs, right, np.where(foreign, share, weight), with_vectors) for share in (FOREIGN[kind], as_many)
    )
    return Weights(weights.rank, of_kind, of_any)


def held_out(kind: str, asked: list[Asked], with_vectors: bool, division: int) -> dict[str, np.ndarray]:
    """For each set and query: rank of the right answer, probabilities of the first one, whether it is right."""
    found: dict[str, list[tuple[float, ...]]] = {}
    folds = [fold_of(a, division) for a in asked]
    for fold in range(FOLDS):
        weights = fit([a for a, at in zip(asked, folds, strict=True) if at != fold], kind, with_vectors)
        for a, at in zip(asked, folds, strict=True):
            if at != fold or not len(a.right):
                continue
            hits = np.nonzero(a.right[np.argsort(-utilities(a.signals, weights), kind="stable")])[0]
            inputs, right, _ = answers([a], weights)
            either = (float(logistic(inputs, chance)[0]) for chance in (weights.of_kind, weights.of_any))
            found.setdefault(a.set_name, []).append((hits[0] if len(hits) else 99, *either, right[0]))
    return {name: np.array(rows) for name, rows in found.items()}


def figures(rows: np.ndarray) -> list[float]:
    """R@1, R@5, ECE, share said with 0.7 or more, of right ones, of wrong ones, of searches among all kinds."""
    ranks, p, of_any, right = rows.T
    error = calibration_error(list(zip(p, right > 0, strict=True)))
    confident = (p[right > 0] >= 0.7).mean() if right.any() else float("nan")
    wrong = (p[right == 0] >= 0.7).mean() if not right.all() else float("nan")
    return [(ranks < 1).mean(), (ranks < 5).mean(), error, (p >= 0.7).mean(), confident, wrong, (of_any >= 0.7).mean()]


def report(kind: str, asked: list[Asked], with_vectors: bool) -> None:
    """Figures of folds that were not fitted on."""
    divided = [held_out(kind, asked, with_vectors, division) for division in range(DIVISIONS)]
    for name in divided[0]:
        every = np.array([figures(one[name]) for one in divided])
        r1, r5, error, sure, confident, wrong, of_any = every.mean(axis=0)
        print(
            f"{kind:10} vectors={with_vectors!s:5} {name:22} R@1 {r1:.3f} R@5 {r5:.3f} ECE {error:.3f} "
            f"({every[:, 2].min():.3f} to {every[:, 2].max():.3f}) said>=.7 {sure:.3f} right said>=.7 {confident:.3f} "
            f"wrong said>=.7 {wrong:.3f} any kind: said>=.7 {of_any:.3f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("knowledge_base", type=Path)
    parser.add_argument("queries", type=Path)
    arguments = parser.parse_args()
    kb = KnowledgeBase.open(arguments.knowledge_base)
    for kind in USED:
        seen = ask(kb, arguments.queries, kind) + ask_small(kb, arguments.queries, kind)
        blind = [a._replace(signals=a.signals._replace(meaning=np.zeros_like(a.signals.meaning))) for a in seen]
        for with_vectors, asked in ((True, seen), (False, blind)):
            report(kind, asked, with_vectors)
            print(kind, with_vectors, fit(asked, kind, with_vectors), "\n")


if __name__ == "__main__":
    main()
