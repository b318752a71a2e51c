"""What a search term is."""

from __future__ import annotations

import pytest

from kb.tokens import terms


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("KubePodCrashLooping", "kube_pod_crash_looping"),
        ("KubePodCrashLooping", "kube pod crash looping"),
        ("restarts", "restarting"),
        ("restarted", "restart"),
        ("queries", "query"),
        ("nodes", "node"),
        ("caches", "cache"),
        ("stopped", "stopping"),
        ("PostgreSQLDown", "postgreSQL down"),
    ],
)
def test_ways_of_writing_share_terms(one: str, two: str) -> None:
    assert set(terms(one)) & set(terms(two))
    parts = set(terms(one)) - {one.lower().replace("_", "")}
    assert parts <= set(terms(two))


@pytest.mark.parametrize("code", ["ECONNREFUSED", "ORA-01555", "SQLSTATE-40P01", "http_requests_total", "OOMKilled"])
def test_codes_are_found_as_a_whole(code: str) -> None:
    whole = code.lower().replace("-", "").replace("_", "")
    assert whole in terms(f"it failed with {code} again") or terms(code)[0] in terms(f"failed: {code}.")


def test_stop_words_and_single_letters_are_dropped() -> None:
    assert terms("the a of is x") == []


def test_nothing_breaks_it() -> None:
    assert terms("") == []
    assert terms("\x00\ud800 \U0001f525 ___ ---") is not None
    assert len(terms("A" * 100_000)) <= 20
    assert terms("Überlastung") == terms("überlastung")
