"""The measures, on rankings small enough to count by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kb import SearchResult, UnreadableError
from kb.evaluation import Query, evaluate, rank, read_queries


def _results(*found: tuple[str, float]) -> list[SearchResult]:
    return [SearchResult(identity, "runbook", "", 0.0, p, "", "", "", None) for identity, p in found]


ANSWERS = {
    "first": _results(("a", 0.9), ("b", 0.1)),
    "second": _results(("x", 0.8), ("a", 0.2)),
    "none": _results(("x", 0.3)),
    "empty": [],
}


def test_measures_are_those_counted_by_hand() -> None:
    asked = [
        Query("first", frozenset({"a"})),
        Query("second", frozenset({"a", "c"})),
        Query("none", frozenset()),
        Query("empty", frozenset({"a"})),
    ]
    ticks = iter(range(100))
    measured = evaluate(rank(asked, lambda text: ANSWERS[text], clock=lambda: float(next(ticks))))
    assert (measured.queries, measured.scored) == (4, 3)
    assert measured.recall == {
        1: pytest.approx(1 / 3),
        3: pytest.approx(2 / 3),
        5: pytest.approx(2 / 3),
        10: pytest.approx(2 / 3),
    }
    assert measured.mrr == pytest.approx((1 + 0.5) / 3)
    assert measured.milliseconds == 1000
    assert measured.confident_right == 1.0
    assert measured.confident_unmatched == 0.0
    assert measured.calibration_error == pytest.approx((0.1 + 0.8 + 0.3 + 0.0) / 4)


def test_queries_are_read_and_bad_lines_named(tmp_path: Path) -> None:
    path = tmp_path / "queries.jsonl"
    path.write_text(json.dumps({"query": "q", "relevant": ["a"]}) + '\n\n{"query": "r"}\n')
    assert read_queries(path) == [Query("q", frozenset({"a"})), Query("r", frozenset())]
    path.write_text('{"query": "q"}\n{"question": 1}\n')
    with pytest.raises(UnreadableError, match=r"queries\.jsonl:2"):
        read_queries(path)
