"""Slack's blocks as a page, close to how Slack shows them, so that messages can be looked at without a workspace.

Belongs here: the kinds of blocks that this application sends. It is a likeness for review, not Slack.
"""

from __future__ import annotations

from html import escape
from typing import Any

STYLE = """
.slack{font:15px/1.46 Lato,"DejaVu Sans","Noto Color Emoji",sans-serif;color:#1d1c1d;background:#fff}
.slack{padding:14px 18px;border:1px solid #ddd;border-radius:8px;margin:0 0 14px}
.slack.reply{margin-left:40px;background:#fafafa}
.slack .who{font-weight:900}
.slack .app{background:#e8e8e8;border-radius:2px;font-size:10px;padding:1px 3px;margin:0 6px;color:#616061}
.slack .text{white-space:pre-wrap;overflow-wrap:anywhere}
.slack hr{border:0;border-top:1px solid #ddd;margin:8px 0}
.slack code{font:12px "DejaVu Sans Mono",monospace;color:#c01343;background:#f8f8f8}
.slack code{border:1px solid #ddd;border-radius:3px;padding:1px 3px;overflow-wrap:anywhere}
.slack ul,.slack ol{margin:2px 0;padding-left:26px}
.slack .button{display:inline-block;border:1px solid #bbb;border-radius:4px;padding:4px 12px;margin:6px 8px 6px 0}
.slack .button{font-weight:700;font-size:13px}
.slack .primary{background:#007a5a;color:#fff;border-color:#007a5a}
"""


def message(content: dict[str, Any], reply: bool = False) -> str:
    """One message as HTML."""
    body = "".join(map(_block, content["blocks"]))
    kind = "slack reply" if reply else "slack"
    who = '<span class="who">Incident Responder</span><span class="app">APP</span>'
    return f'<div class="{kind}">{who}{body}</div>'


def _block(block: dict[str, Any]) -> str:
    match block["type"]:
        case "divider":
            return "<hr>"
        case "actions":
            return "<div>" + "".join(map(_button, block["elements"])) + "</div>"
        case "rich_text":
            return "".join(map(_element, block["elements"]))
        case other:
            raise ValueError(f"a block of the kind {other} is not sent by this application")


def _button(button: dict[str, Any]) -> str:
    kind = "button primary" if button.get("style") == "primary" else "button"
    return f'<span class="{kind}">{escape(button["text"]["text"])}</span>'


def _element(element: dict[str, Any]) -> str:
    inner = "".join(map(_inline, element["elements"])) if element["type"] != "rich_text_list" else ""
    match element["type"]:
        case "rich_text_section":
            return f'<div class="text">{inner}</div>'
        case "rich_text_preformatted":
            return f"<pre>{inner}</pre>"
        case "rich_text_list":
            tag = "ol" if element["style"] == "ordered" else "ul"
            items = "".join(f"<li>{''.join(map(_inline, item['elements']))}</li>" for item in element["elements"])
            return f"<{tag}>{items}</{tag}>"
        case other:
            raise ValueError(f"an element of the kind {other} is not sent by this application")


def _inline(part: dict[str, Any]) -> str:
    text = escape(part["text"])
    for style, tag in (("code", "code"), ("bold", "b"), ("italic", "i"), ("strike", "s")):
        if part.get("style", {}).get(style):
            text = f"<{tag}>{text}</{tag}>"
    return f'<a href="{escape(part["url"])}">{text}</a>' if part["type"] == "link" else text
