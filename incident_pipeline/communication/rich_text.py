"""Markdown as Slack's blocks, and as the plain text beside them.

Belongs here: the two renderings of one parsed text. Slack's `rich_text` carries text and style apart, so nothing in the
text is read as markup: no mention, no link, no bold that somebody else wrote. The plain text is for notifications,
where Slack does read `<`, `>` and `&`.
Does not belong here: what is said (the templates).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from incident_pipeline.documents.escape import ELLIPSIS, WORD_JOINER

Block = dict[str, Any]

LONGEST_BLOCK = 2_500
"""Characters of one block; Slack refuses sections above 3,000."""
LONGEST_MESSAGE = 10_000
LONGEST_TEXT = 3_500
"""Characters of the plain text; Slack cuts at 4,000."""
CUT = f"{ELLIPSIS} (cut; all of it is in the Dagster UI)"
_STYLES = {"strong": "bold", "em": "italic", "s": "strike"}
_CALLS = re.compile(r"(?<=<)(?=[!@#])|(?<=@)(?=here\b|channel\b|everyone\b)")
"""Literal in rich text as it is; a client that copies the text elsewhere shall not call anybody either."""
_WEB = re.compile(r"https?://[^\s<>|]{3,2000}")


def rich_text(markdown: str) -> list[Block]:
    """The blocks of a Markdown text; what is longer than a message can be is cut, and says so."""
    elements = list(_elements(_parsed(markdown)))
    blocks: list[Block] = []
    size = total = 0
    for element in elements:
        if element == _DIVIDER:
            blocks.append({"type": "divider"})
            size = 0
            continue
        length = _length(element)
        if total + length > LONGEST_MESSAGE:
            blocks.append({"type": "rich_text", "elements": [_section([_text(CUT)])]})
            return blocks
        if not blocks or blocks[-1]["type"] != "rich_text" or size + length > LONGEST_BLOCK:
            blocks.append({"type": "rich_text", "elements": []})
            size = 0
        blocks[-1]["elements"].append(_apart(element) if blocks[-1]["elements"] else element)
        size, total = size + length, total + length
    return blocks


def plain_text(markdown: str, limit: int = LONGEST_TEXT) -> str:
    """A Markdown text without its marks, for notifications and screen readers: nothing in it acts in Slack."""
    text = readable(markdown)
    return slack_escaped(text if len(text) <= limit else text[: limit - len(CUT)] + CUT)


def readable(markdown: str) -> str:
    """A Markdown text without its marks, as it is read."""
    return "\n".join(_line(_apart(e)) for e in _elements(_parsed(markdown)) if e != _DIVIDER).strip()


def slack_escaped(text: str) -> str:
    """Text that Slack shows as it is wherever it reads its own markup: no link, no mention, no style."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"(?<=@)(?=here\b|channel\b|everyone\b)", WORD_JOINER, text)
    return re.sub(r"(?<![^\s(])([*_~`])(?=\S)", rf"{WORD_JOINER}\1{WORD_JOINER}", text)


_DIVIDER: Block = {"type": "divider"}


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("strikethrough")


def _parsed(markdown: str) -> Sequence[Token]:
    return _parser().parse(markdown)


def _elements(tokens: Sequence[Token]) -> Iterator[Block]:
    """The elements of a rich text, in order; a heading and the paragraph below it are one section."""
    lists: list[str] = []
    items: list[Block] = []
    heading: list[Block] = []
    is_heading = False
    for token in tokens:
        match token.type:
            case "bullet_list_open" | "ordered_list_open":
                yield from _headed(heading)
                yield from _joined(items, lists)
                lists.append("ordered" if token.type.startswith("ordered") else "bullet")
            case "bullet_list_close" | "ordered_list_close":
                yield from _joined(items, lists)
                lists.pop()
            case "heading_open":
                yield from _headed(heading)
                is_heading = True
            case "inline":
                inner = list(_inline(token.children or (), bold=is_heading))
                if is_heading:
                    heading, is_heading = [*inner, _text("\n")], False
                elif lists:
                    items.append(_section(inner))
                else:
                    yield _section([*heading, *inner])
                    heading = []
            case "fence" | "code_block" | "hr":
                yield from _headed(heading)
                heading = []
                yield _block_of(token)
            case _:
                pass
        if token.type.endswith("list_open"):
            heading = []
    yield from _headed(heading)


def _headed(heading: Sequence[Block]) -> Iterator[Block]:
    """A heading with no paragraph below it."""
    if heading:
        yield _section(list(heading[:-1]))


def _block_of(token: Token) -> Block:
    if token.type == "hr":
        return _DIVIDER
    return {"type": "rich_text_preformatted", "elements": [_text(token.content.rstrip("\n") or " ")]}


def _joined(items: list[Block], lists: Sequence[str]) -> Iterator[Block]:
    if items:
        yield {"type": "rich_text_list", "style": lists[-1], "indent": len(lists) - 1, "elements": list(items)}
        items.clear()


def _inline(tokens: Iterable[Token], bold: bool) -> Iterator[Block]:
    styles: list[str] = ["bold"] if bold else []
    link: str | None = None
    for token in tokens:
        name = token.type.removesuffix("_open").removesuffix("_close")
        if name in _STYLES:
            if token.nesting == 1:
                styles.append(_STYLES[name])
            else:
                styles.remove(_STYLES[name])
        elif name == "link":
            href = str(token.attrGet("href") or "")
            link = href if token.nesting == 1 and _WEB.fullmatch(href) else None
        elif token.type in ("softbreak", "hardbreak"):
            yield _text("\n")
        elif token.type == "code_inline":
            yield _text(token.content, ["code"])
        elif token.content:
            yield _linked(token.content, link, styles) if link else _text(token.content, styles)


def _text(text: str, styles: Sequence[str] = ()) -> Block:
    element: Block = {"type": "text", "text": _CALLS.sub(WORD_JOINER, text)}
    return element | ({"style": dict.fromkeys(styles, True)} if styles else {})


def _linked(text: str, url: str, styles: Sequence[str]) -> Block:
    return {**_text(text, styles), "type": "link", "url": url}


def _section(elements: list[Block]) -> Block:
    return {"type": "rich_text_section", "elements": elements or [_text(" ")]}


def _apart(element: Block) -> Block:
    """A paragraph with an empty line before it: Slack sets sections of one block close together."""
    if element["type"] != "rich_text_section":
        return element
    return {**element, "elements": [_text("\n"), *element["elements"]]}


def _length(element: Block) -> int:
    inner = element.get("elements", ())
    return len(element.get("text", "")) + len(element.get("url", "")) + sum(map(_length, inner)) + 1


def _line(element: Block) -> str:
    if element["type"] == "rich_text_list":
        pad = "  " * int(element["indent"])
        marks = (f"{n}. " if element["style"] == "ordered" else "• " for n in range(1, len(element["elements"]) + 1))
        return "\n".join(pad + mark + _line(item) for mark, item in zip(marks, element["elements"], strict=True))
    return "".join(str(inner.get("text", "")) for inner in element["elements"])
