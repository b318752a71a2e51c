"""Our documents as HTML: for mails, and as a page that prints well.

Belongs here: Markdown to HTML. Raw HTML in the Markdown is shown as text, and a link leads to the web or nowhere.
Does not belong here: the frame of the page (the template `page.html.j2`).
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markupsafe import Markup

from incident_pipeline.documents.render import render

PAGE_TEMPLATE = "page.html.j2"
_WEB = re.compile(r"https?://", re.IGNORECASE)


class _Reader(MarkdownIt):
    """Takes links to the web alone: no `javascript:`, no `data:`, no `file:`, no mail."""

    def validateLink(self, url: str) -> bool:  # noqa: N802 - the library's name
        return _WEB.match(url) is not None


@cache
def _reader() -> MarkdownIt:
    # a line end is a line end: our documents put one fact on each line
    reader = _Reader("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])
    reader.disable("image")
    reader.core.ruler.push("addresses", _mark_addresses)
    return reader


def _mark_addresses(state: StateCore) -> None:
    """Links whose text is their address get a class: on paper the address of the others is printed beside them."""
    for token in (inner for block in state.tokens for inner in block.children or ()):
        if token.type == "link_open" and token.info == "auto":
            token.attrJoin("class", "address")


def html(markdown: str) -> str:
    """A Markdown text as a fragment of HTML in which nothing from outside acts."""
    return str(_reader().render(markdown))


def page(title: str, markdown: str, templates: Path | None, note: str = "") -> str:
    """A Markdown text as a whole page; the browser's print dialog makes a PDF of it.

    Args:
        title: the title of the page.
        markdown: its text.
        templates: the user's folder of templates.
        note: a line at the foot, such as which version this is.

    Raises:
        ConfigurationError: the user's template is wrong.
    """
    # the fragment is HTML already, and safe
    return render(PAGE_TEMPLATE, {"title": title, "body": Markup(html(markdown)), "note": note}, templates)  # noqa: S704
