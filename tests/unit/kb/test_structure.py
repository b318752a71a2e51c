"""What foreign postmortems say of themselves is found; what they do not say stays empty."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from kb.structure import Structure, find_structure

LABELLED = """# Incident on 2024-02-03: checkout failed

- **Severity**: SEV2
- **Affected services**: checkout, payment gateway
- **Time to resolve**: 1h 20m
- **Category**: misconfiguration

**Root cause**: The pool was set to ten
connections.

**Resolution**: The value was set back.

## Action items

- [ ] Alert on waiting connections
- [x] Raise the limit
- Write a test (done)
"""
HEADED = """Mail was late
=============

## What happened

It began on 3 March 2021 and lasted 45 minutes.

## Root cause

A certificate had expired.

It had been forgotten.

## Mitigation

It was renewed.
"""
TABLE = """# Search was down

| Field | Value |
|---|---|
| Date | March 5th, 2022 |
| Duration | 90 min |
| Services | search; index |
| Severity | P1 |
"""


def test_labels() -> None:
    assert find_structure(LABELLED, "Incident on 2024-02-03: checkout failed") == Structure(
        date=datetime(2024, 2, 3, tzinfo=UTC),
        services=("checkout", "payment gateway"),
        severity="SEV2",
        category="configuration_error",
        root_cause="The pool was set to ten connections.",
        fix="The value was set back.",
        duration=timedelta(minutes=80),
        open_actions=("Alert on waiting connections",),
    )


def test_headings() -> None:
    found = find_structure(HEADED)
    assert found.date == datetime(2021, 3, 3, tzinfo=UTC)
    assert found.duration == timedelta(minutes=45)
    assert (found.root_cause, found.fix) == ("A certificate had expired.", "It was renewed.")
    assert (found.severity, found.category, found.services) == (None, None, ())


def test_a_table_of_two_columns() -> None:
    found = find_structure(TABLE)
    assert found.date == datetime(2022, 3, 5, tzinfo=UTC)
    assert (found.duration, found.services, found.severity) == (timedelta(minutes=90), ("search", "index"), "P1")


def test_labels_within_a_line_and_times_that_say_how_long() -> None:
    found = find_structure("Writes failed. Cause: a full disk. Mitigation: old files were removed.")
    assert (found.root_cause, found.fix) == ("a full disk.", "old files were removed.")
    spans = find_structure("Start: 2024-05-01 10:15 UTC\nEnd: 2024-05-01 12:00 UTC\n")
    assert spans.duration == timedelta(minutes=105)


@pytest.mark.parametrize(
    "text",
    ["", "# Disk is full\n\nFree some space.", "The category is cats.", "- [ ] buy beans", "Date: soon"],
)
def test_what_is_not_said_stays_empty(text: str) -> None:
    assert find_structure(text) == Structure()


@pytest.mark.parametrize("bomb", ["**", "| ", "a: ", "Root cause: ", "- ", "# ", "1. "])
def test_a_bomb_ends(bomb: str) -> None:
    """What were not linear in the text's length would run into the time limit of tests."""
    found = find_structure(bomb * 100_000)
    assert (found.date, found.services, found.duration) == (None, (), None)
