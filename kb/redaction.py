"""Secrets and e-mail addresses are taken out of text and values before anything is stored or sent.

Belongs here: what a secret looks like. Every store and every message goes through `redact` or `redact_value`.
Does not belong here: where it is called from, and what is done with the rest.

The rules prefer a hidden word too many to a leaked secret, except where an engineer needs the text: git hashes, UUIDs,
trace ids, metric names, placeholders such as `$PASSWORD` and prose about passwords stay as they are. Each rule has a
literal that must occur in the text before its expression runs, so that ordinary log lines cost ten microseconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

PLACEHOLDER = "[redacted]"
_MOST_PASSES = 8
"""What one rule hides can lay bare what another one knows; two passes settle all but made-up text."""

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
_SENSITIVE_KEY = re.compile(
    r"(?:passw(?:or)?d|passphrase|pwd|secret|token|authorization|proxyauthorization|credentials?|apikey|appkey|"
    r"applicationkey|accesskey|accountkey|privatekey|routingkey|integrationkey|servicekey|signingkey|encryptionkey|"
    r"cookie|setcookie|(?:^|[a-z])dsn|connectionstring|webhookurl)(?:b64|base64|hash)?\d{0,2}$"
)
_HARMLESS_WORDS = """
    true false null none nil empty missing invalid expired required unset undefined unknown optional yes no ok set not
    is was the a an if in of or and for to from redacted hidden masked revoked rejected error failed denied
"""
_HARMLESS = frozenset(_HARMLESS_WORDS.split())
_VARIABLE = re.compile(
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
    if lowered in _HARMLESS or _VARIABLE.match(core) or not any(c.isalnum() for c in core):
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


class _Rule(NamedTuple):
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
_COMPOUND_KEY = re.compile(r"key(?:(?<=[degnipst]key)|(?<=[degnipst][_-]key))")
_RULES: tuple[_Rule, ...] = (
    _Rule(
        ("private key",),
        re.compile(
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
            r"(?:(?:(?!-----)[\s\S]){0,20000}-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|[A-Za-z0-9+/=\s\\]*)"
        ),
        PLACEHOLDER,
    ),
    _Rule(("://",), re.compile(r"://(?P<user>[^\s/?#\"'<>@]{1,512}(?:@[^\s/?#\"'<>@]{1,256})?)@"), _hide_user_info),
    _Rule(
        ("hooks.slack.com", "discord.com/api/webhooks", "discordapp.com/api/webhooks", "webhook.office.com"),
        re.compile(
            r"(?:hooks\.slack\.com/(?:services|workflows|triggers)|discord(?:app)?\.com/api/webhooks|webhook\.office\.com/\w+)"
            r"/[^\s\"'<>)\]]+",
            re.I,
        ),
        lambda match: f"{match.group().partition('/')[0]}/{PLACEHOLDER}",
    ),
    _Rule(("",), _KNOWN_TOKENS, PLACEHOLDER),
    _Rule(
        ("cookie",),
        re.compile(
            r"(?P<head>\b(?:set-)?cookie\\?[\"']?[ \t]*[:=][ \t]*\\?[\"']?)(?P<value>[^\r\n\"'\\]*=[^\r\n\"'\\]+)", re.I
        ),
        rf"\g<head>{PLACEHOLDER}",
    ),
    _Rule(
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
    _Rule(("-password", "-passwd", "-token", "-secret", "key"), _FLAG, _hide_flag),
    _Rule(
        ("bearer", "basic"),
        re.compile(r"(?P<head>\b(?:bearer|basic)[ \t]+)(?P<value>[A-Za-z0-9._~+/=-]{8,})", re.I),
        _hide_scheme,
    ),
    _Rule(
        (" -u", " --user", "-a ", "-p"),
        re.compile(r"(?P<head>(?<=\s)(?:-u|--user)[ =]?[^\s:\[\]\"']{1,64}:)(?P<password>[^\s\[\]\"']+)"),
        _hide_login,
    ),
    _Rule(
        ("mysql", "mariadb", "redis-cli"),
        re.compile(
            r"(?P<head>\b(?:(?:mysql|mariadb)[\w-]*\b[^\n|;]{0,200}?\s-p|redis-cli\b[^\n|;]{0,200}?\s-a\s+))(?=[^\s\[$<-])\S+"
        ),
        rf"\g<head>{PLACEHOLDER}",
    ),
    _Rule(
        ("sig=", '"auth"', "$2", "$5$", "$6$", "$y$", "$argon2"),
        re.compile(
            r"(?P<head>[?&]sig=|\"auth\"\s{0,4}:\s{0,4}\"|)(?P<value>(?<=[?&]sig=)[\w%+/=-]+|(?<=\")[A-Za-z0-9+/=]{12,}(?=\")|"
            r"\$(?:2[abxy]|5|6|y|argon2id?)\$[\w./$=,+-]{16,})"
        ),
        lambda match: f"{match['head']}{PLACEHOLDER}" if match["head"] or match["value"][0] == "$" else match.group(),
    ),
    _Rule(
        ("@",),
        re.compile(
            r"(?<![\w.%+-])(?P<local>[\w.%+-]+)@(?P<domain>[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,24})(?![\w-])"
        ),
        _hide_address,
    ),
)


def redact(text: str) -> str:
    """The text with every secret and e-mail address replaced by `[redacted]`; applying it again changes nothing."""
    if len(text) < 6:
        return text
    for _ in range(_MOST_PASSES):
        hidden = _redact_once(text)
        if hidden == text:
            break
        text = hidden
    return text


def _redact_once(text: str) -> str:
    lowered = text.lower()
    for literals, pattern, replace in _RULES:
        for literal in literals:
            if literal in lowered and (literal != "key" or _COMPOUND_KEY.search(lowered)):
                text = pattern.sub(replace, text)
                break
    return text


def is_sensitive_key(name: str) -> bool:
    """Whether a field of this name holds a secret: `DB_PASSWORD`, `apiKey`, `X-Api-Key`, `Authorization`."""
    return _SENSITIVE_KEY.search(re.sub(r"[^a-z0-9]", "", name.lower())) is not None


def redact_value(obj: Any) -> Any:
    """The value with every string redacted and every field with a secret's name hidden; shape and types are kept.

    Mappings become dicts. Kubernetes' own shapes are known: the data of a `Secret`, and `{name: TOKEN, value: ...}`.
    """
    if isinstance(obj, str):
        return redact(obj)
    if isinstance(obj, Mapping):
        return _redact_mapping(obj)
    if isinstance(obj, list | tuple):
        items: Iterable[Any] = (redact_value(item) for item in obj)
        return list(items) if isinstance(obj, list) else tuple(items)
    return obj


def _redact_mapping(obj: Mapping[Any, Any]) -> dict[Any, Any]:
    named = obj.get("name", obj.get("key"))
    hidden = {"data", "stringData"} if obj.get("kind") == "Secret" else set()
    if isinstance(named, str) and is_sensitive_key(named):
        hidden.add("value")
    result: dict[Any, Any] = {}
    for key, value in obj.items():
        if isinstance(key, str):
            shown = redact(key)
            sensitive = key in hidden or is_sensitive_key(shown)
            result[_free_key(shown, result)] = _hide_leaves(value) if sensitive else redact_value(value)
        else:
            result[key] = redact_value(value)
    return result


def _free_key(key: str, taken: Mapping[Any, Any]) -> str:
    """Two keys that read the same once redacted both stay."""
    if key not in taken:
        return key
    number = 2
    while f"{key}#{number}" in taken:
        number += 1
    return f"{key}#{number}"


def _hide_leaves(value: Any) -> Any:
    if isinstance(value, Mapping):
        hidden: dict[Any, Any] = {}
        for key, item in value.items():
            hidden[_free_key(redact(key), hidden) if isinstance(key, str) else key] = _hide_leaves(item)
        return hidden
    if isinstance(value, list | tuple):
        return [_hide_leaves(item) for item in value] if isinstance(value, list) else tuple(map(_hide_leaves, value))
    if value is None or isinstance(value, bool) or value == "":
        return value
    if isinstance(value, str) and _VARIABLE.match(value):
        return value
    return PLACEHOLDER
