"""HTML to text with Markdown headings; scripts, styles and markup are dropped, nothing is executed or fetched."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_BLOCKS = frozenset(
    ("p", "div", "br", "li", "ul", "ol", "tr", "table", "section", "article", "header", "footer", "blockquote", "hr")
)
_DROPPED = frozenset(("script", "style", "noscript", "template", "svg", "head", "iframe", "object"))
_HEADINGS = {f"h{level}": "#" * level for level in range(1, 7)}


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._dropped: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        if tag in _DROPPED:
            self._dropped.append(tag)
        elif self._dropped:
            return
        elif tag in _HEADINGS:
            self.parts.append(f"\n\n{_HEADINGS[tag]} ")
        elif tag == "li":
            self.parts.append("\n- ")
        elif tag == "pre":
            self.parts.append("\n\n```\n")
        elif tag in _BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in _DROPPED and tag in self._dropped:
            del self._dropped[self._dropped.index(tag) :]
        elif self._dropped:
            return
        elif tag == "pre":
            self.parts.append("\n```\n\n")
        elif tag in _HEADINGS or tag in _BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._dropped:
            self.parts.append(data)


def html_to_text(html: str) -> str:
    """What a reader of the page sees, headings as Markdown; the page's title is the first heading."""
    parser = _Text()
    parser.feed(html)
    parser.close()
    text = re.sub(r"[ \t]+\n", "\n", "".join(parser.parts))
    text = re.sub(r"\n{3,}", "\n\n", text).strip()
    title = re.search(r"<title[^>]{0,200}>([^<]{1,300})</title>", html[:20_000], re.I)
    if title and not text.startswith("# "):
        text = f"# {' '.join(title[1].split())}\n\n{text}"
    return text
