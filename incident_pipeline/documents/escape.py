"""Text from outside becomes text that only reads: no link, no HTML, no heading, no mention, no terminal code.

Belongs here: everything that keeps an alert's title or a log line from acting in Markdown (CommonMark and GitHub's),
in a chat that reads the same text, or in a terminal. Only what acts is escaped, so that titles stay readable.
Does not belong here: Slack's own markup, and HTML pages.
"""

from __future__ import annotations

import re

ELLIPSIS = "…"
WORD_JOINER = "\u2060"
"""Invisible; after an @ it keeps a chat or a forge from seeing a mention."""

_TERMINAL_CODES = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # operating system commands: titles, hyperlinks
    r"|\x1b[PX^_][^\x1b]*(?:\x1b\\)?"  # device control and other strings
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # colours, cursor
    r"|\x1b[ -/]*[0-~]?"
)
_SPACE = re.compile(r"[\s\x1c-\x1f\x85\u2028\u2029]+")
_INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
_SURROGATE = re.compile("[\ud800-\udfff]")

_PUNCTUATION = re.escape("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
_ACTS = re.compile(
    rf"(?P<backslash>\\(?=[{_PUNCTUATION}]|$))"
    r"|(?P<entity>&(?=\#?\w+;|$))"
    r"|(?P<tag><(?=\S|$))"
    r"|(?P<scheme>(?<=\w):(?=//|$))"
    r"|(?P<mail>\b(?:mailto|xmpp):(?=\S))"
    r"|(?P<www>\bwww\.)"
    r"|(?P<mention>@(?=\w|$))"
    r"|(?P<mark>`"
    r"|\](?=[(:\[]|$)"
    r"|(?<=!)\[|\[(?=\^)"
    r"|\*(?!(?<=\s\*)\s)"
    r"|_(?!(?<=[^\W_]_)[^\W_])(?!(?<=\s_)\s)"
    r"|~(?=~)|(?<=\S)~"
    r"|(?<![^\s])\|(?=\s*:?-)"
    r")",
    re.IGNORECASE,
)
_CALLS_PEOPLE = re.compile(r"(?<=<)(?=[!@#])|(?<=@)(?=here|channel|everyone)", re.IGNORECASE)
"""What a chat reads as a mention even within code."""
_STARTS_A_BLOCK = re.compile(r"(?P<list>\d{1,9})(?=[.)](?:\s|$))|[#>+=\-]|:(?=[ ~])|\[(?=[ xX]\])|\|")

_ESCAPED = re.compile(
    r"(?s)(?P<code>(?P<fence>(?<!\\)`+).*?(?<!`)(?P=fence)(?!`))"
    rf"|\\(?P<mark>[{_PUNCTUATION}])"
    r"|&(?:amp|lt);"
)


def clean(text: str, limit: int = 300) -> str:
    """One line of plain text: no control characters, no terminal codes, no invisible or direction-turning ones.

    Args:
        text: anything.
        limit: characters at most; what is cut off is marked with an ellipsis.
    """
    head = text[: limit * 8 + 1000]
    line = _SURROGATE.sub("\ufffd", _TERMINAL_CODES.sub("", head))
    line = _INVISIBLE.sub("", _SPACE.sub(" ", line)).strip()
    line = _SPACE.sub(" ", line)
    if len(line) > limit or len(head) < len(text):
        line = line[: limit - 1].rstrip() + ELLIPSIS
    return line


def markdown(text: str, limit: int = 300) -> str:
    """Text from outside as inline Markdown that shows exactly that text, on one line, and does nothing else."""
    line = clean(text, limit)
    if not line:
        return ""
    start = _STARTS_A_BLOCK.match(line)
    if start is None:
        return _ACTS.sub(_escaped, line)
    if start["list"]:
        return start["list"] + "\\" + line[start.end()] + _ACTS.sub(_escaped, line[start.end() + 1 :])
    return "\\" + line[0] + _ACTS.sub(_escaped, line[1:])


def as_plain(text: str) -> str:
    """Markdown as a person reads it who has no renderer: without the escapes, code left as it is."""
    return _ESCAPED.sub(_unescaped, text)


def code(text: str, limit: int = 1000) -> str:
    """Text from outside as a Markdown code span: nothing in it acts."""
    line = _CALLS_PEOPLE.sub(WORD_JOINER, clean(text, limit))
    if not line:
        return ""
    longest = max((len(run) for run in re.findall(r"`+", line)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def fenced(text: str, language: str = "") -> str:
    """Text from outside as a Markdown code block, its lines as they are: nothing in it acts or ends the block."""
    lines = [_INVISIBLE.sub("", _TERMINAL_CODES.sub("", _SURROGATE.sub("\ufffd", line))) for line in text.split("\n")]
    body = _CALLS_PEOPLE.sub(WORD_JOINER, "\n".join(lines).rstrip("\n"))
    longest = max((len(run) for run in re.findall(r"`+", body)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{body}\n{fence}"


def _escaped(match: re.Match[str]) -> str:
    found = match.group()
    match match.lastgroup:
        case "entity":
            return "&amp;"
        case "tag":
            return "&lt;"
        case "mention":
            return "@" + WORD_JOINER
        case "scheme" | "mail":
            return found[:-1] + "\\:"
        case "www":
            return found[:-1] + "\\."
        case _:
            return "\\" + found


def _unescaped(match: re.Match[str]) -> str:
    if match["mark"]:
        return match["mark"]
    return {"&amp;": "&", "&lt;": "<"}.get(match.group(), match.group())
