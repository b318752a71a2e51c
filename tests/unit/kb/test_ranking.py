"""Exact scores beside a plain implementation, and what a probability may be."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kb import Document, KnowledgeBase
from kb.lexical import LexicalIndex, Part, build_index, update_index
from kb.ranking import Signals, probabilities, utilities, weights_for
from kb.tokens import terms

WORDS = st.lists(
    st.sampled_from(["pod", "disk", "node", "crash", "loop", "lag", "queue", "full", "broker", "lock"]), max_size=12
)
PARTS = st.lists(
    st.builds(lambda t, f, b: Part(" ".join(t), " ".join(f), " ".join(b)), WORDS, WORDS, WORDS), min_size=1
)


def _plain_bm25(parts: list[Part], query: list[str]) -> list[float]:
    bags = [Counter(terms(" \n ".join(part))) for part in parts]
    lengths = [max(bag.total(), 1) for bag in bags]
    average = sum(lengths) / len(lengths)
    scores = []
    for bag, length in zip(bags, lengths, strict=True):
        total = 0.0
        for term, times in Counter(query).items():
            frequency = sum(term in other for other in bags)
            idf = math.log1p((len(bags) - frequency + 0.5) / (frequency + 0.5))
            normal = 2.0 * (1 - 0.8 + 0.8 * length / average)
            total += times**0.75 * idf * bag[term] * 3.0 / (bag[term] + normal)
        scores.append(total)
    return scores


@given(PARTS, WORDS)
def test_scores_are_those_of_a_plain_implementation(parts: list[Part], words: list[str]) -> None:
    index = LexicalIndex(build_index(parts))
    query = terms(" ".join(words))
    full, _, _ = index.scores(index.query(query))
    assert full == pytest.approx(_plain_bm25(parts, query), rel=1e-4, abs=1e-5)


@given(PARTS, PARTS, st.data())
def test_an_updated_index_scores_as_one_made_anew(old: list[Part], new: list[Part], data: st.DataObject) -> None:
    kept = sorted(data.draw(st.sets(st.sampled_from(range(len(old))))))
    updated = LexicalIndex(update_index(build_index(old), kept, new))
    anew = LexicalIndex(build_index([*(old[row] for row in kept), *new]))
    query = terms("pod crash loop disk full queue")
    for ours, theirs in zip(updated.scores(updated.query(query)), anew.scores(anew.query(query)), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-6)
    rows = np.arange(updated.size)
    for ours, theirs in zip(
        updated.pairs(updated.query(query), rows), anew.pairs(anew.query(query), rows), strict=True
    ):
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-6)


def test_neighbouring_words_count_and_parts_do_not_touch() -> None:
    index = LexicalIndex(
        build_index([Part("disk full", "", "lag"), Part("full disk", "", "lag"), Part("disk", "full", "")])
    )
    in_text, in_title = index.pairs(index.query(terms("disk full")), np.arange(3))
    assert in_text[0] > 0
    assert in_title.tolist() == [1.0, 0.0, 0.0]
    assert in_text[1:].tolist() == [0.0, 0.0]


SHARES = st.lists(st.floats(0, 1, width=32), min_size=8, max_size=8)


@given(
    st.lists(SHARES, min_size=1, max_size=20),
    st.sampled_from(["runbook", "postmortem"]),
    st.booleans(),
    st.integers(1, 10**7),
)
def test_probabilities_are_probabilities(rows: list[list[float]], kind: str, with_vectors: bool, size: int) -> None:
    signals = Signals(*np.array(rows, dtype=np.float32).T)
    weights = weights_for(kind, with_vectors)
    for chance in (weights.of_kind, weights.of_any):
        found = probabilities(utilities(signals, weights), signals, chance, size)
        assert ((found >= 0) & (found <= 1)).all()


def test_an_alert_about_something_else_is_not_answered_with_confidence(tmp_path: Path) -> None:
    from kb import starter_documents

    kb = KnowledgeBase.open(tmp_path / "kb.duckdb")
    kb.add(starter_documents())
    unrelated = ["The espresso machine in the canteen is out of beans", "Quarterly report of the choir is missing"]
    for text in unrelated:
        assert all(result.probability < 0.5 for result in kb.search(text, kind="runbook"))
    sure = kb.search("PostgreSQL: sorry, too many clients already, connections exhausted", kind="runbook")[0]
    assert sure.id == "starter/postgresql-connections-exhausted"
    assert sure.probability >= 0.7


def test_who_stands_out_among_a_few_is_not_therefore_right(tmp_path: Path) -> None:
    from kb import starter_documents

    kb = KnowledgeBase.open(tmp_path / "kb.duckdb")
    kb.add(starter_documents())
    found = kb.search("pod is crash looping")
    assert found[0].id == "starter/pod-crash-looping"
    assert found[0].probability > 0.9
    assert max(result.probability for result in found if result.kind == "postmortem") < 0.5


def test_the_same_meaning_in_other_words_is_found(tmp_path: Path) -> None:
    kb = KnowledgeBase.open(tmp_path / "kb.duckdb")
    kb.add(
        [
            Document("mem", "runbook", "Container killed for memory", "The kernel ended it because of its limit."),
            Document("dns", "runbook", "Names cannot be resolved", "The resolver does not answer."),
        ]
    )
    if kb.stats()["vectors"] == 0:
        pytest.skip("the embedding model is not installed")
    assert kb.search("RAM exhausted, process terminated by OOM")[0].id == "mem"


def test_neighbours_are_found_among_more_terms_than_there_are_codes() -> None:
    words = [str(number) for number in range(100_000, 170_000)]
    first, second = words[-2:]
    bodies = [" ".join(words), f"{first} {second}", f"{second} {first}", f"{first} {words[1]} {second}"]
    index = LexicalIndex(build_index([Part("", "", body) for body in bodies]))
    assert len(index._terms) > 2**16
    in_text, in_title = index.pairs(index.query(terms(f"{first} {second}")), np.arange(4))
    assert (in_text > 0).tolist() == [True, True, False, False]
    assert not in_title.any()
