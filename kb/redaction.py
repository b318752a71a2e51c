"""Secrets and e-mail addresses are taken out of text and values before anything is stored or sent.

Belongs here: what is applied to a text, and to a value of any shape. Every store and every message goes through
`redact` or `redact_value`. What a secret looks like is in `secret_rules.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from kb.secret_rules import COMPOUND_KEY, PLACEHOLDER, RULES, VARIABLE

__all__ = ["PLACEHOLDER", "is_sensitive_key", "redact", "redact_value"]

_MOST_PASSES = 8
"""What one rule hides can lay bare what another one knows; two passes settle all but made-up text."""
_SENSITIVE_KEY = re.compile(
    r"(?:passw(?:or)?d|passphrase|pwd|secret|token|authorization|proxyauthorization|credentials?|apikey|appkey|"
    r"applicationkey|accesskey|accountkey|privatekey|routingkey|integrationkey|servicekey|signingkey|encryptionkey|"
    r"cookie|setcookie|(?:^|[a-z])dsn|connectionstring|webhookurl)(?:b64|base64|hash)?\d{0,2}$"
)


_REFERENCE = frozenset({"secretName", "name", "key", "optional", "items", "defaultMode"})


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
    for literals, pattern, replace in RULES:
        for literal in literals:
            if literal in lowered and (literal != "key" or COMPOUND_KEY.search(lowered)):
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
            sensitive = key in hidden or (is_sensitive_key(shown) and not _names_a_secret(value))
            result[_free_key(shown, result)] = _hide_leaves(value) if sensitive else redact_value(value)
        else:
            result[key] = redact_value(value)
    return result


def _names_a_secret(value: Any) -> bool:
    """Whether it is Kubernetes' reference to a secret, a volume's or a variable's: the name of one is none."""
    return isinstance(value, Mapping) and bool(value) and value.keys() <= _REFERENCE


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
    if isinstance(value, str) and VARIABLE.match(value):
        return value
    return PLACEHOLDER
