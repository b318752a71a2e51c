"""Filling `$service` and `$environment` into PromQL, so that no name can change what a query means.

Belongs here: quoting for PromQL and for LogQL, which has the same matchers.
"""

from __future__ import annotations

import re

from incident_pipeline.errors import PermanentSourceError

_VARIABLE = re.compile(r"\$(service|environment)(?![A-Za-z0-9])")
_MATCHER = re.compile(
    r"""(=~|!~|!=|=)\s*("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`|\$(?:service|environment)\b)"""
)
_NAME_PART = re.compile(r"[A-Za-z0-9_:]+")
_REGEX_SPECIAL = re.compile(r"([\\.+*?()|\[\]{}^$])")


def fill(query: str, service: str | None, environment: str | None) -> str:
    """The query with its variables filled in.

    Within a label matcher a name is quoted, whether the query writes quotes around it or not, and in a regular
    expression also escaped; what is not known matches anything. Elsewhere a name may only be part of a metric's name.

    Raises:
        PermanentSourceError: a variable stands where its value cannot be quoted.
    """
    values = {"service": service, "environment": environment}
    filled: list[str] = []
    position = 0
    for match in _MATCHER.finditer(query):
        filled += [_outside(query[position : match.start()], values), _matcher(match, values)]
        position = match.end()
    return "".join([*filled, _outside(query[position:], values)])


def quote(text: str) -> str:
    """The text as a string of PromQL."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def _matcher(match: re.Match[str], values: dict[str, str | None]) -> str:
    operator, quoted = match[1], match[2]
    names = _VARIABLE.findall(quoted)
    if not names:
        return match[0]
    text = _unquoted(quoted)
    unknown = any(values[name] is None for name in names)
    if unknown and operator in ("!=", "!~"):
        raise PermanentSourceError(f"a query excludes {' and '.join(names)}, which is not known for this incident")
    if operator in ("=", "!=") and not unknown:
        return operator + quote(_VARIABLE.sub(lambda found: values[found[1]] or "", text))
    # an unknown name turns equality into a regular expression, in which the rest stays literal
    literal = operator in ("=", "!=")
    pieces = _VARIABLE.split(text)
    parts = [
        (_any_or(values[piece]) if index % 2 else _escaped(piece) if literal else piece)
        for index, piece in enumerate(pieces)
    ]
    return {"=": "=~", "!=": "!~"}.get(operator, operator) + quote("".join(parts))


def _any_or(value: str | None) -> str:
    return ".*" if value is None else _escaped(value)


def _escaped(text: str) -> str:
    return _REGEX_SPECIAL.sub(r"\\\1", text)


def _unquoted(quoted: str) -> str:
    if quoted[0] == "$":
        return quoted
    inner = quoted[1:-1]
    if quoted[0] == "`":
        return inner
    return re.sub(r"\\(.)", lambda found: {"n": "\n", "t": "\t", "r": "\r"}.get(found[1], found[1]), inner)


def _outside(text: str, values: dict[str, str | None]) -> str:
    def name(match: re.Match[str]) -> str:
        value = values[match[1]]
        if value is None or not _NAME_PART.fullmatch(value):
            shown = "is not known" if value is None else f"{value!r} is not part of a metric's name"
            raise PermanentSourceError(f"a query uses ${match[1]} outside of a label matcher, and {shown}")
        return value

    return _VARIABLE.sub(name, text)
