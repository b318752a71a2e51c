"""How good a search is, on queries whose answers are known.

Belongs here: the measures. recall@k is the share of queries with a relevant document among the first k; MRR@10 the mean
of 1/rank of the first one; calibration compares the probability of the first answer with how often it is right.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kb.documents import SearchResult
from kb.errors import UnreadableError

CUTS = (1, 3, 5, 10)
_BINS = 10


@dataclass(frozen=True, slots=True)
class Query:
    """A question and the ids that answer it; none where nothing does."""

    text: str
    relevant: frozenset[str]


@dataclass(frozen=True, slots=True)
class Ranking:
    """What a search answered, best first."""

    query: Query
    ids: tuple[str, ...]
    probabilities: tuple[float, ...]
    seconds: float

    @property
    def rank(self) -> int | None:
        """The place of the first relevant document, counted from 1."""
        return next((place for place, found in enumerate(self.ids, 1) if found in self.query.relevant), None)


@dataclass(frozen=True, slots=True)
class Bin:
    """First answers of about one probability, and how many of them were right."""

    low: float
    high: float
    count: int
    said: float
    right: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The measures of one set of queries."""

    queries: int
    scored: int
    """Queries that have a relevant document."""
    recall: dict[int, float]
    mrr: float
    milliseconds: float
    calibration_error: float
    reliability: tuple[Bin, ...]
    confident_right: float
    """Of right first answers, the share said with 0.7 or more."""
    confident_unmatched: float | None
    """Of queries that nothing answers, the share answered with 0.7 or more; None without such queries."""

    def as_json(self) -> dict[str, Any]:
        """The record that `kb evaluate --json` prints."""
        return {
            "queries": self.queries,
            "scored": self.scored,
            **{f"recall@{cut}": round(value, 4) for cut, value in self.recall.items()},
            "mrr@10": round(self.mrr, 4),
            "milliseconds_per_query": round(self.milliseconds, 2),
            "expected_calibration_error": round(self.calibration_error, 4),
            "confident_right": round(self.confident_right, 4),
            "confident_unmatched": None if self.confident_unmatched is None else round(self.confident_unmatched, 4),
            "reliability": [
                {"low": b.low, "high": b.high, "count": b.count, "said": round(b.said, 4), "right": round(b.right, 4)}
                for b in self.reliability
            ],
        }


def starter_questions() -> Path:
    """Questions about the starter corpus, as `read_queries` reads them; of some of them nothing there speaks."""
    return Path(__file__).with_name("starter_questions.jsonl")


def read_queries(path: Path) -> list[Query]:
    """Read JSON lines of {query, relevant}; gzipped where the name ends in `.gz`.

    Raises:
        UnreadableError: a line is not such a record.
    """
    queries = []
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
                queries.append(Query(str(record["query"]), frozenset(map(str, record.get("relevant") or ()))))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise UnreadableError(f"{path}:{number} is not a record of query and relevant ids") from error
    return queries


def rank(
    queries: Iterable[Query],
    search: Callable[[str], Sequence[SearchResult]],
    clock: Callable[[], float] = time.perf_counter,
) -> list[Ranking]:
    """Ask every query."""
    rankings = []
    for query in queries:
        started = clock()
        found = search(query.text)
        ids, probabilities = tuple(r.id for r in found), tuple(r.probability for r in found)
        rankings.append(Ranking(query, ids, probabilities, clock() - started))
    return rankings


def evaluate(rankings: Sequence[Ranking]) -> Evaluation:
    """The measures of some rankings; queries without a relevant id count for calibration only."""
    scored = [ranking for ranking in rankings if ranking.query.relevant]
    ranks = [ranking.rank for ranking in scored]
    firsts = [(r.probabilities[0] if r.probabilities else 0.0, r.rank == 1) for r in rankings]
    right = [probability for probability, is_right in firsts if is_right]
    unmatched = [r.probabilities[0] if r.probabilities else 0.0 for r in rankings if not r.query.relevant]
    return Evaluation(
        queries=len(rankings),
        scored=len(scored),
        recall={cut: _share(place is not None and place <= cut for place in ranks) for cut in CUTS},
        mrr=sum(1 / place for place in ranks if place is not None and place <= 10) / max(len(ranks), 1),
        milliseconds=1000 * sum(r.seconds for r in rankings) / max(len(rankings), 1),
        calibration_error=calibration_error(firsts),
        reliability=reliability(firsts),
        confident_right=_share(probability >= 0.7 for probability in right),
        confident_unmatched=_share(probability >= 0.7 for probability in unmatched) if unmatched else None,
    )


def calibration_error(answers: Sequence[tuple[float, bool]]) -> float:
    """How far what was said is from what was right, in the mean of all answers (expected calibration error)."""
    return sum(b.count * abs(b.said - b.right) for b in reliability(answers)) / max(len(answers), 1)


def reliability(answers: Sequence[tuple[float, bool]]) -> tuple[Bin, ...]:
    """Answers by what was said of them: (probability, was right)."""
    bins = []
    for number in range(_BINS):
        low, high = number / _BINS, (number + 1) / _BINS
        inside = [a for a in answers if low <= a[0] < high or (number == _BINS - 1 and a[0] == 1.0)]
        if inside:
            said = sum(probability for probability, _ in inside) / len(inside)
            bins.append(Bin(low, high, len(inside), said, _share(is_right for _, is_right in inside)))
    return tuple(bins)


def _share(values: Iterable[bool]) -> float:
    found = list(values)
    return sum(found) / len(found) if found else 0.0
