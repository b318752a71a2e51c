"""Markdown as Slack's blocks: text and style apart, nothing from outside acts, nothing is longer than Slack takes."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from examples.message_gallery import SCENES, texts
from incident_pipeline.communication.rich_text import (
    LONGEST_MESSAGE,
    LONGEST_TEXT,
    plain_text,
    readable,
    rich_text,
    slack_escaped,
)
from incident_pipeline.communication.slack_message import reply
from incident_pipeline.documents.escape import WORD_JOINER, clean, code, markdown

KINDS = {"rich_text", "divider", "actions"}


def walk(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        return [value, *(found for inner in value.values() for found in walk(inner))]
    return [found for inner in value for found in walk(inner)] if isinstance(value, list) else []


def parts(blocks: list[Any]) -> list[dict[str, Any]]:
    return [part for part in walk(blocks) if part.get("type") in ("text", "link") and "elements" not in part]


def test_a_heading_stands_close_to_its_paragraph_and_apart_from_what_is_before() -> None:
    text = "first\n\n### Head\nbelow\n\n- a\n  - b\n- c\n\n1. x\n\n### Alone\n\n```\ncode *x*\n```\n---\nlast `y`"
    assert readable(text) == "first\n\nHead\nbelow\n• a\n  • b\n• c\n1. x\n\nAlone\ncode *x*\n\nlast y"
    blocks = rich_text(text)
    assert [block["type"] for block in blocks] == ["rich_text", "divider", "rich_text"]
    styles = [element.get("style") for element in blocks[0]["elements"]]
    assert styles == [None, None, "bullet", "bullet", "bullet", "ordered", None, None]
    assert {"type": "text", "text": "y", "style": {"code": True}} in parts(blocks)


@given(st.text(max_size=300))
def test_text_from_outside_is_literal_and_calls_nobody(text: str) -> None:
    blocks = rich_text(f"**Title**: {markdown(text)}\n\n- {markdown(text)}\n- {code(text)}\n")
    assert all(part["type"] == "text" for part in parts(blocks))
    shown = "".join(part["text"] for part in parts(blocks)).replace(WORD_JOINER, "")
    assert clean(text).replace(WORD_JOINER, "") in shown
    everything = json.dumps(blocks, ensure_ascii=False) + plain_text(f"- {markdown(text)}\n- {code(text)}")
    for call in ("<!channel", "<!here", "<!everyone", "<@U", "<#C", "@channel", "@here", "@everyone"):
        assert call not in everything


@given(st.text(alphabet="<>&*_~`@!|[]()ab \n", max_size=60))
def test_the_plain_text_holds_nothing_that_slack_reads(text: str) -> None:
    escaped = slack_escaped(text)
    assert not set("<>") & set(escaped)
    assert escaped.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").replace(WORD_JOINER, "") == text


def test_only_links_to_the_web_are_links() -> None:
    blocks = rich_text("[ok](https://a.example/x) [no](javascript:alert) [mail](mailto:a@b.c) ![img](http://x.example)")
    assert [part["url"] for part in parts(blocks) if part["type"] == "link"] == ["https://a.example/x"]


def test_what_is_too_long_is_cut_and_says_so() -> None:
    blocks = rich_text("\n\n".join(f"paragraph {n} " + "x" * 900 for n in range(40)))
    assert sum(len(part["text"]) for part in parts(blocks)) < LONGEST_MESSAGE + 200
    assert "cut" in parts(blocks)[-1]["text"]
    assert max(len(json.dumps(block)) for block in blocks) < 6_000
    assert len(blocks) < 50
    assert len(plain_text("x " * 5_000)) <= LONGEST_TEXT


def test_ten_incidents_of_different_kinds() -> None:
    assert len(SCENES) == 10
    for scene in SCENES:
        header, update = texts(scene)
        content = reply(update, "status update")
        for shown in (header, content):
            assert {block["type"] for block in shown["blocks"]} <= KINDS
            assert shown["text"]
            assert len(shown["blocks"]) <= 50
            everything = json.dumps(shown, ensure_ascii=False)
            assert "<!channel>" not in everything
            assert "\x1b" not in everything
        buttons = [
            one["action_id"] for block in header["blocks"] for one in block.get("elements", ()) if "value" in one
        ]
        assert ("resolve" in buttons) is (scene.status != "resolved"), scene.name
