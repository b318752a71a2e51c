"""Log templates: what belongs together, what does not, and the types of parameters."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.log_patterns import quality
from incident_pipeline.cli.log_files import joined, read_log_file
from incident_pipeline.diagnosis.templates import mask, mine, parameters
from incident_pipeline.errors import InputError
from tests.examples import examples
from tests.shared_data import shared_path


@pytest.mark.parametrize(
    ("message", "types"),
    [
        ("GET https://api.example.org/v1/users?id=3 took 35 ms", ["url", "duration"]),
        ("connection from 10.0.0.7:5432 closed", ["address"]),
        ("wrote 512 bytes (0.5 KB) to /var/lib/app/data.bin", ["size", "path"]),
        ("request 9f1c2d3e-aaaa-bbbb-cccc-0123456789ab failed", ["id"]),
        ("retry 3 of 5", ["number", "number"]),
        ("at 2026-03-04T14:35:00Z object 0xdeadbeef freed", ["time", "hex"]),
    ],
)
def test_parameters_are_typed(message: str, types: list[str]) -> None:
    assert [kind for kind, _ in parameters(message)] == types


def test_words_that_vary_much_are_a_parameter_and_two_states_are_two_events() -> None:
    users = [f"login failed for account {name} on host web" for name in ("ann", "bob", "cyd", "dee", "eve", "fay")]
    states = ["valve moved to OPEN now", "valve moved to CLOSED now"]
    mined = mine(users + states)
    assert len(set(mined.assignment[:6])) == 1
    assert mined.assignment[6] != mined.assignment[7]
    assert "<*>" in mined.templates[mined.assignment[0]]


def test_sizes_and_durations_of_any_spelling_are_one_template() -> None:
    mined = mine(
        [
            "proxy.example.org:443 close, 403 bytes sent, 4 bytes received, lifetime <1 sec",
            "proxy.example.org:443 close, 1190 bytes (1.16 KB) sent, 18600 bytes (18.1 KB) received, lifetime 00:17",
        ]
    )
    assert len(mined.templates) == 1


def test_lists_of_any_length_are_one_template() -> None:
    assert mask("delete blk_1 blk_2 blk_3") == mask("delete blk_9")


@settings(max_examples=examples(40), deadline=None)
@given(st.lists(st.text(max_size=30), max_size=30), st.randoms())
def test_any_text_is_grouped_and_order_does_not_matter(messages: list[str], order: object) -> None:
    mined = mine(messages)
    assert len(mined.assignment) == len(messages)
    assert sum(mined.counts) == len(messages)
    shuffled = sorted(range(len(messages)), key=lambda i: (messages[i][::-1], i))
    again = mine([messages[i] for i in shuffled])
    pairs = {(mined.assignment[i], again.assignment[place]) for place, i in enumerate(shuffled)}
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def test_stack_traces_stay_with_their_line() -> None:
    lines = ["ERROR boom", "java.lang.IllegalStateException: x", "\tat a.B.c(B.java:3)", "Caused by: y", "INFO fine"]
    assert list(joined(lines)) == ["ERROR boom", "\n".join(lines[1:4]), "INFO fine"]


def test_files_of_every_kind(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("one 1\n  at x\ntwo\n")
    (tmp_path / "b.jsonl").write_text('{"message": "m 1", "level": "info"}\nnot json\n{"msg": "m 2"}\n')
    with gzip.open(tmp_path / "c.csv.gz", "wt") as file:
        csv.writer(file).writerows([["line_id", "content"], ["7", 'say "hi", now']])
    assert read_log_file(str(tmp_path / "a.log")).messages == ["one 1\n  at x", "two"]
    json_lines = read_log_file(str(tmp_path / "b.jsonl"))
    assert (json_lines.messages, json_lines.skipped) == (["m 1", "m 2"], 1)
    table = read_log_file(str(tmp_path / "c.csv.gz"))
    assert (table.messages, list(table.line_ids())) == (['say "hi", now'], ["7"])


def test_what_cannot_be_read_is_one_clear_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="no column content or message"):
        read_log_file(str(tmp_path / "x.csv"))
    with pytest.raises(InputError, match="no such file"):
        read_log_file(str(tmp_path / "absent.log"))


def test_labelled_logs_are_grouped_as_people_grouped_them() -> None:
    root = shared_path("data/logs")
    coverage = []
    for path in sorted(root.glob("*.csv.gz")):
        with gzip.open(path, "rt", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        coverage.append(quality(mine([r["content"] for r in rows]).assignment, [r["event_id"] for r in rows])[0])
    assert sum(coverage) / len(coverage) >= 0.95
