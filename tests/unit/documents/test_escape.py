"""Text from outside only reads: whatever it holds, Markdown shows exactly that text and does nothing else."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from incident_pipeline.documents.escape import WORD_JOINER, as_plain, clean, code, markdown

PARSER = MarkdownIt("gfm-like")
assert PARSER.linkify is not None
# bare names such as example.com, and //example.com, are a link nowhere but in this library
PARSER.linkify.set({"fuzzy_link": False})
PARSER.linkify.add("//", None)

HOSTILE = (
    "[click](http://evil.example/)",
    "![x](http://evil.example/x.png)",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<http://evil.example>",
    "<!channel> and <!here> and <@U123>",
    "[a]: http://evil.example",
    "[a][b]",
    "[^1]: note",
    "# heading",
    "## heading ##",
    "text\n# heading",
    "a\n===",
    "===",
    "---",
    "***",
    "> quote",
    "- item",
    "+ item",
    "12. item",
    "12) item",
    "```\ncode",
    "~~~ code",
    "~~gone~~",
    "~gone~",
    "**bold** *it* __bold__ _it_",
    "`code` ``",
    "a | b\n--|--\n1 | 2",
    "https://evil.example/a and www.evil.example",
    "mail me@evil.example or mailto:me@evil.example",
    "@here @channel @everyone @team/sre",
    "&lt;script&gt; &#60;b&#62; &amp;",
    "back\\slash \\[x](y) \\",
    "\x1b[31mred\x1b[0m \x1b]8;;http://evil.example\x07link\x1b]8;;\x07",
    "\u202egnp.exe\u202c \u200b\ufeffinvisible",
    "{{ 7*7 }} {% for x in y %} ${HOME} $(reboot) `reboot`",
    "'; drop table alerts; --",
    "    indented",
    "\tindented",
    "[ ] task",
    "!",
    "a*b*c 2 * 3 * 4 snake_case _x __init__",
    "http:",
    "nul\x00 bell\x07 \x9b31m",
    "\ud800 lone",
    "::: note",
)
PIECES = st.sampled_from(
    [*"[]()<>!#*_`~|\\&:;@{}=+-.$/ \n\t\"'ax1", "http://e.x/", "www.e.x", "](", "&amp;", "@here", "<b>"]
)
ANYTHING = st.one_of(st.text(max_size=80), st.lists(PIECES, max_size=25).map("".join))
PLACES = (
    "{}",
    "- {}",
    "1. ⚡ **Recommended**: {}",
    "- 14:32 - {}",
    "🚨 **Incident Update: {}**",
    "### Summary\n{}\n\n### Next",
)


def visible(tokens: list[Token]) -> str:
    """What a reader sees of inline tokens, failing on any that is more than text."""
    shown = ""
    for token in tokens:
        assert token.type == "text", f"{token.type} in {token.content!r}"
        shown += token.content
    return shown.replace(WORD_JOINER, "")


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("place", ["{}", "- {}"])
def test_hostile_text_is_shown_and_nothing_more(text: str, place: str) -> None:
    blocks = PARSER.parse(place.format(markdown(text)))

    assert {b.type for b in blocks} <= {
        *("paragraph_open", "paragraph_close", "inline"),
        *("bullet_list_open", "bullet_list_close", "list_item_open", "list_item_close"),
    }
    inline = next(block for block in blocks if block.type == "inline")
    assert visible(inline.children or []).strip() == clean(text).strip()


@given(ANYTHING, st.sampled_from(["{}", "- {}"]))
@example("1.", "- {}")
@example("_\\_", "{}")
def test_any_text_reads_as_itself(text: str, place: str) -> None:
    escaped = markdown(text)
    if not escaped:
        return
    blocks = PARSER.parse(place.format(escaped))
    inlines = [block for block in blocks if block.type == "inline"]

    assert len(inlines) == 1
    assert not {b.type for b in blocks} & {"heading_open", "fence", "code_block", "html_block", "table_open", "hr"}
    assert visible(inlines[0].children or []) == clean(text)


@given(ANYTHING, ANYTHING, st.sampled_from(PLACES))
def test_two_texts_side_by_side_never_act_together(one: str, other: str, place: str) -> None:
    blocks = PARSER.parse(place.format(f"{markdown(one)}{markdown(other)}"))

    for block in blocks:
        assert block.type not in {"html_block", "fence", "code_block", "table_open"}
        for token in block.children or []:
            assert token.type not in {"link_open", "image", "html_inline"}


@given(ANYTHING)
def test_code_spans_hold_their_text(text: str) -> None:
    span = code(text)
    if not span:
        return
    inline = PARSER.parse(f"- {span}")[3]

    assert [token.type for token in inline.children or []] == ["code_inline"]


@given(st.text(max_size=500), st.integers(min_value=1, max_value=60))
def test_clean_is_one_short_line_without_controls(text: str, limit: int) -> None:
    line = clean(text, limit)

    assert len(line) <= limit
    assert not any(ord(ch) < 32 or 127 <= ord(ch) < 160 or 0xD800 <= ord(ch) < 0xE000 for ch in line)
    line.encode("utf-8")


@pytest.mark.parametrize(
    "text",
    [
        "Payment API returning 500 errors for ~15% of requests since 14:32 UTC.",
        "Payment Processing Errors",
        "[FIRING:2] HighLatency (payments) p99 > 2 s, cpu < 40 %",
        "payment_validation_code failed: 3 * 4 - 2 + 1 = 11; see step 2.",
        "'NoneType' object has no attribute 'country' (payments/validation.py:87)",
        "deploy-abc123 & v2.3.4",
    ],
)
def test_ordinary_titles_stay_as_they_are(text: str) -> None:
    assert markdown(text) == text


def test_mentions_reach_nobody() -> None:
    assert "@here" not in markdown("@here")
    assert "<!channel>" not in markdown("<!channel>")
    assert "<!channel>" not in code("<!channel>")


def test_a_huge_text_is_cut_quickly() -> None:
    assert len(clean("\x1b[31m" * 2_000_000 + "x", 300)) <= 300


@given(st.text(max_size=80))
def test_without_a_renderer_people_read_what_was_escaped(text: str) -> None:
    assert as_plain(markdown(text)).replace(WORD_JOINER, "") == clean(text)


def test_code_is_read_as_it_is() -> None:
    document = "say `\\$HOME` or\n\n```sh\ngrep '\\*' log\n```\n\\*so\\*"
    assert as_plain(document) == "say `\\$HOME` or\n\n```sh\ngrep '\\*' log\n```\n*so*"
