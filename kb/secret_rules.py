"""What a secret looks like in text.

Belongs here: expressions, and what replaces a match. They are applied in `redaction.py`.

The rules prefer a hidden word too many to a leaked secret, except where an engineer needs the text: git hashes, UUIDs,
trace ids, metric names, placeholders such as `$PASSWORD` and prose about passwords stay as they are. Each rule has a
literal that must occur in the text before its expression runs, so that ordinary log lines cost ten microseconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

PLACEHOLDER = "[redacted]"

_KEY_NAMES = (
    r"passw(?:or)?d|passphrase|pwd|secret|token|authorization|credentials?|"
    r"(?:api|app|application|access|account|shared|private|secret|routing|integration|service|signing|encryption|"
    r"master|license|ingest)[_-]?key|(?<=[_-])pass|j?sessid|jsessionid|x-amz-(?:signature|credential)|connect\.sid"
)
_PAIR = re.compile(
    rf"(?P<head>(?:{_KEY_NAMES})(?:_?(?:b64|base64|hash))?\d{{0,2}}\\{{0,4}}[\"'`]?"
    r"[ \t]{0,8}(?:=>|:=|==?|:)[ \t]{0,8})"
    r"(?P<value>"
    r'"(?:[^"\\\n]|\\.){0,4096}"|'
    r"'(?:[^'\\\n]|\\.){0,4096}'|"
    r"(?P<escape>\\{1,4}[\"'])[^\n]{0,4096}?(?P=escape)|"
    r"(?:(?:bearer|basic|token|digest|negotiate|apikey|genie\s?key|token\s+token[=:])[ \t]+)?[^\s\"'&;,]{1,4096})"
    r"(?P<prose>(?=[ \t]+[a-z']+(?:[ \t.,]|$)))?",
    re.IGNORECASE | re.ASCII | re.MULTILINE,
)
_FLAG = re.compile(
    r"(?P<head>(?<!\S)--?[\w-]{0,40}(?:password|passwd|token|secret|api-?key|access-?key)[ \t]+)"
    r"(?P<value>[^\s-]\S{2,})",
    re.IGNORECASE | re.ASCII,
)
_HARMLESS_WORDS = """
    true false null none nil empty missing invalid expired required unset undefined unknown optional yes no ok set not
    is was the a an if in of or and for to from redacted hidden masked revoked rejected error failed denied
"""
_HARMLESS = frozenset(_HARMLESS_WORDS.split())
VARIABLE = re.compile(
    r"\$\{|\$\(|\$[A-Z_][A-Z0-9_]*$|\{\{|\{[a-z_]*\}?$|<[^<>]*>?$|%[sdv]$|%\(|\*{3,}|x{3,}$|\.{3}|…|!(?:vault|ref|sub)\b",
    re.I,
)
_MACHINE_MADE = re.compile(r"[0-9+/=_.-]|[a-z][A-Z]")
_UNIT_NAMES = "service socket timer mount target slice scope device automount swap svc path"
_UNIT_SUFFIXES = frozenset(_UNIT_NAMES.split())


def _unwrapped(value: str) -> tuple[str, str, str]:
    """Split a value into its opening quotes, itself and its closing quotes or brackets."""
    quotes = re.match(r"\\{0,4}[\"']", value)
    if quotes and value.endswith(quotes.group()) and len(value) >= 2 * len(quotes.group()):
        size = len(quotes.group())
        return value[:size], value[size:-size], value[-size:]
    core = value.rstrip(")}]>")
    return ("", core, value[len(core) :]) if core else ("", value, "")


def _is_harmless(core: str, head: str, prose: bool) -> bool:
    lowered = core.lower().rstrip(".!?:")
    if lowered in _HARMLESS or VARIABLE.match(core) or not any(c.isalnum() for c in core):
        return True
    if core.startswith("/") and head[:3].lower() == "pwd":
        return True
    return prose and head.endswith((" ", "\t")) and core.isalpha() and core == core.lower()


def _hide_pair(match: re.Match[str]) -> str:
    head, value = match["head"], match["value"]
    if value.startswith(PLACEHOLDER) and not value[len(PLACEHOLDER) :].strip(")}]>"):
        return match.group()
    opening, core, closing = _unwrapped(value)
    if _is_harmless(core, head, prose=match["prose"] is not None and not opening):
        return match.group()
    return f"{head}{opening}{PLACEHOLDER}{closing}"


def _hide_flag(match: re.Match[str]) -> str:
    return match.group() if _is_harmless(match["value"], "", False) else f"{match['head']}{PLACEHOLDER}"


def _hide_scheme(match: re.Match[str]) -> str:
    """`Bearer abc123...` is hidden, "bearer authentication" is prose."""
    made = _MACHINE_MADE.search(match["value"]) is not None or len(match["value"]) >= 24
    return f"{match['head']}{PLACEHOLDER}" if made else match.group()


def _hide_address(match: re.Match[str]) -> str:
    local, domain = match["local"], match["domain"]
    unit = domain.rpartition(".")[2].lower() in _UNIT_SUFFIXES
    if unit or local == "git" or re.match(r"v?\d+\.\d+", domain):
        return match.group()
    return PLACEHOLDER


def _hide_user_info(match: re.Match[str]) -> str:
    user, colon, password = match["user"].partition(":")
    if colon:
        return match.group() if _is_harmless(password, "", False) else f"://{user}:{PLACEHOLDER}@"
    looks_secret = len(user) >= 16 and any(c.isdigit() for c in user)
    return f"://{PLACEHOLDER}@" if looks_secret else match.group()


def _hide_login(match: re.Match[str]) -> str:
    """`-u name:password`; `-u 1000:1000` is a user and group id."""
    return match.group() if match["password"].isdigit() else f"{match['head']}{PLACEHOLDER}"


class Rule(NamedTuple):
    """An expression, the literals of which one must occur before it is tried, and what replaces a match."""

    literals: tuple[str, ...]
    pattern: re.Pattern[str]
    replace: Callable[[re.Match[str]], str] | str


_KNOWN_TOKENS = re.compile(
    r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent|imt)-[\w-]{16,}|"
    r"xox[abceoprsd](?:\.xox[abceoprsd])?-[\w-]{8,}|xapp-[\w-]{8,}|[srp]k_(?:live|test)_\w{8,}|whsec_[\w+/=]{12,}|"
    r"AIza[\w-]{30,}|ya29\.[\w-]{10,}|GOCSPX-[\w-]{16,}|sk-[A-Za-z0-9_-]{20,}|npm_[A-Za-z0-9]{30,}|pypi-[\w-]{30,}|"
    r"hf_[A-Za-z]{20,}|do[opr]_v1_[a-f0-9]{32,}|hv[sbr]\.[\w-]{20,}|SG\.[\w-]{16,}\.[\w-]{16,}|gl(?:sa|c)_[\w+/=]{20,}|"
    r"NRAK-[A-Z0-9]{20,}|ATATT3[\w=-]{20,}|pdus\+_[\w-]{10,}|(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA)[A-Z0-9]{16}\b|"
    r"eyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*){0,3})",
    re.ASCII,
)
_PAIR_LITERALS = (
    *("passw", "passp", "pwd", "secret", "token", "authorization", "credential"),
    *("_pass", "-pass", "sess", "amz", ".sid", "key"),
)
COMPOUND_KEY = re.compile(r"key(?:(?<=[degnipst]key)|(?<=[degnipst][_-]key))")
RULES: tuple[Rule, ...] = (
    Rule(
        ("private key",),
        re.compile(
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
            r"(?:(?:(?!-----)[\s\S]){0,20000}-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|[A-Za-z0-9+/=\s\\]*)"
        ),
        PLACEHOLDER,
    ),
    Rule(("://",), re.compile(r"://(?P<user>[^\s/?#\"'<>@]{1,512}(?:@[^\s/?#\"'<>@]{1,256})?)@"), _hide_user_info),
    Rule(
        ("hooks.slack.com", "discord.com/api/webhooks", "discordapp.com/api/webhooks", "webhook.office.com"),
        re.compile(
            r"(?:hooks\.slack\.com/(?:services|workflows|triggers)|discord(?:app)?\.com/api/webhooks|webhook\.office\.com/\w+)"
            r"/[^\s\"'<>)\]]+",
            re.I,
        ),
        lambda match: f"{match.group().partition('/')[0]}/{PLACEHOLDER}",
    ),
    Rule(("",), _KNOWN_TOKENS, PLACEHOLDER),
    Rule(
        ("cookie",),
        re.compile(
            r"(?P<head>\b(?:set-)?cookie\\?[\"']?[ \t]*[:=][ \t]*\\?[\"']?)(?P<value>[^\r\n\"'\\]*=[^\r\n\"'\\]+)", re.I
        ),
        rf"\g<head>{PLACEHOLDER}",
    ),
    Rule(
        (
            "passw",
            "passp",
            "pwd",
            "secret",
            "token",
            "authorization",
            "credential",
            "key",
            "_pass",
            "-pass",
            "sess",
            "amz",
            ".sid",
        ),
        _PAIR,
        _hide_pair,
    ),
    Rule(("-password", "-passwd", "-token", "-secret", "key"), _FLAG, _hide_flag),
    Rule(
        ("bearer", "basic"),
        re.compile(r"(?P<head>\b(?:bearer|basic)[ \t]+)(?P<value>[A-Za-z0-9._~+/=-]{8,})", re.I),
        _hide_scheme,
    ),
    Rule(
        (" -u", " --user", "-a ", "-p"),
        re.compile(r"(?P<head>(?<=\s)(?:-u|--user)[ =]?[^\s:\[\]\"']{1,64}:)(?P<password>[^\s\[\]\"']+)"),
        _hide_login,
    ),
    Rule(
        ("mysql", "mariadb", "redis-cli"),
        re.compile(
            r"(?P<head>\b(?:(?:mysql|mariadb)[\w-]*\b[^\n|;]{0,200}?\s-p|redis-cli\b[^\n|;]{0,200}?\s-a\s+))(?=[^\s\[$<-])\S+"
        ),
        rf"\g<head>{PLACEHOLDER}",
    ),
    Rule(
        ("sig=", '"auth"', "$2", "$5$", "$6$", "$y$", "$argon2"),
        re.compile(
            r"(?P<head>[?&]sig=|\"auth\"\s{0,4}:\s{0,4}\"|)(?P<value>(?<=[?&]sig=)[\w%+/=-]+|(?<=\")[A-Za-z0-9+/=]{12,}(?=\")|"
            r"\$(?:2[abxy]|5|6|y|argon2id?)\$[\w./$=,+-]{16,})"
        ),
        lambda match: f"{match['head']}{PLACEHOLDER}" if match["head"] or match["value"][0] == "$" else match.group(),
    ),
    Rule(
        ("@",),
        re.compile(
            r"(?<![\w.%+-])(?P<local>[\w.%+-]+)@(?P<domain>[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,24})(?![\w-])"
        ),
        _hide_address,
    ),
)
