"""People's edits survive a document's regeneration, whatever the three texts are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from incident_pipeline.documents.edits import keep_edits

LINES = st.lists(st.sampled_from(["a\n", "b\n", "c\n", "d\n", "\n"]), max_size=8)


@given(LINES, LINES)
def test_without_edits_the_document_is_what_is_generated(before: list[str], now: list[str]) -> None:
    text, generated = "".join(before), "".join(now)
    assert keep_edits(text, text, generated) == (generated, "")


@given(LINES, LINES)
def test_where_nothing_new_is_generated_the_document_is_what_people_wrote(before: list[str], edited: list[str]) -> None:
    text, written = "".join(before), "".join(edited)
    assert keep_edits(text, written, text) == (written, "")


@given(LINES, LINES)
def test_who_writes_the_same_is_in_no_conflict(before: list[str], both: list[str]) -> None:
    text = "".join(both)
    assert keep_edits("".join(before), text, text) == (text, "")


@given(LINES, st.text("xyz", min_size=1, max_size=5), LINES)
def test_a_line_that_people_added_is_kept(before: list[str], added: str, now: list[str]) -> None:
    merged = keep_edits("".join(before), "".join([*before, f"{added}!\n"]), "".join(now))
    assert f"{added}!\n" in merged.text
