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


@pytest.mark.parametrize("days", ["2026-03-12", "March 12th, 2026", "12 Mar 2026", "12th of March 2026"])
def test_a_day_is_one_term_however_it_is_written(days: str) -> None:
    assert {"day0312", "day20260312"} <= set(terms(f"on {days} it failed"))
    assert "day0312" in terms("Mar 12")
    assert not [term for term in terms("it may 99 times") if term.startswith("day")]


@pytest.mark.parametrize(
    "text",
    ["a" + "." * 500_000, "may" + " " * 500_000, "1 " * 300_000, "1" + " " * 500_000, "a." * 300_000],
)
@pytest.mark.timeout(60)
def test_hostile_text_ends(text: str) -> None:
    assert len(terms(text)) <= len(text)
