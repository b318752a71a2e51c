import io
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident_pipeline.cli import output
from incident_pipeline.models import Gap, Severity


def test_json_has_no_value_that_other_parsers_refuse() -> None:
    value = {
        "nan": float("nan"),
        "at": datetime(2026, 11, 23, 14, 35, tzinfo=UTC),
        "for": timedelta(seconds=90),
        "severity": Severity.P1,
        "path": Path("a/b"),
        "gap": Gap(kind="logs", source="elastic", reason="time-out"),
        "several": (1, frozenset({2})),
    }
    assert json.loads(output.json_text(value)) == {
        "nan": None,
        "at": "2026-11-23T14:35:00Z",
        "for": 90.0,
        "severity": "P1",
        "path": "a/b",
        "gap": {"kind": "logs", "source": "elastic", "reason": "time-out", "could_have_told": ""},
        "several": [1, [2]],
    }


def test_what_has_no_form_in_json_is_refused() -> None:
    with pytest.raises(TypeError, match="object has no form in JSON"):
        output.json_text(object())


@given(st.text())
def test_text_from_outside_cannot_move_the_cursor(text: str) -> None:
    shown = output.safe(text)
    assert len(shown) == len(text)
    assert shown.isprintable()


def test_a_table_nobody_looks_at_is_aligned_and_never_cut(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(["id", "title"], [["INC-1", "x" * 300], ["INC-22", None], ["\x1b[2J", ["a", "b"]]])
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["id      title", "INC-1   " + "x" * 300, "INC-22  -", "\N{REPLACEMENT CHARACTER}[2J    a, b"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_the_table_is_drawn_and_markup_stays_text(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    output.print_table(["title"], [["[red]down[/red]"]])
    assert "[red]down[/red]" in terminal.getvalue()


def test_progress_is_silent_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with output.progress("working", total=2) as advance:
        advance(text="more")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_progress_moves_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with output.progress("working", total=2) as advance:
        advance(text="half")
    assert "half" in terminal.getvalue()
