"""Whether a webhook comes from whom it says: signatures and tokens, compared in constant time.

Belongs here: one function for each scheme. All take the raw bytes as they came, and the secrets that may be in use
(several while one is replaced). No secret at all refuses: an HMAC with an empty secret verifies for anyone.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping

from pydantic import SecretStr

LATEST = 300
"""Seconds that a signed time may be off."""

Headers = Mapping[str, str]
Secrets = Iterable[SecretStr]


def pagerduty(headers: Headers, body: bytes, secrets: Secrets) -> bool:
    """`X-PagerDuty-Signature: v1=hex[,v1=hex...]`, HMAC-SHA256 of the body; any of them may fit."""
    given = [part.strip().removeprefix("v1=") for part in headers.get("x-pagerduty-signature", "").split(",")]
    return any(_same(signature, _hmac(secret, body)) for secret in _usable(secrets) for signature in given)


def slack(headers: Headers, body: bytes, secrets: Secrets, now: float) -> bool:
    """`X-Slack-Signature: v0=hex`, HMAC-SHA256 of `v0:timestamp:body`, at most five minutes old."""
    stamp = headers.get("x-slack-request-timestamp", "")
    if not _recent(stamp, now):
        return False
    signed = b"v0:" + stamp.encode() + b":" + body
    given = headers.get("x-slack-signature", "").removeprefix("v0=")
    return any(_same(given, _hmac(secret, signed)) for secret in _usable(secrets))


def github(headers: Headers, body: bytes, secrets: Secrets) -> bool:
    """`X-Hub-Signature-256: sha256=hex`, HMAC-SHA256 of the body."""
    given = headers.get("x-hub-signature-256", "").removeprefix("sha256=")
    return any(_same(given, _hmac(secret, body)) for secret in _usable(secrets))


def gitlab(headers: Headers, _body: bytes, secrets: Secrets) -> bool:
    """`X-Gitlab-Token` is the secret itself."""
    return any(_same(headers.get("x-gitlab-token", ""), secret) for secret in _usable(secrets))


def timestamped(headers: Headers, body: bytes, secrets: Secrets, now: float) -> bool:
    """Our own scheme: `X-Signature: sha256=hex` of `timestamp.body`, with `X-Timestamp` at most five minutes off."""
    stamp = headers.get("x-timestamp", "")
    if not _recent(stamp, now):
        return False
    given = headers.get("x-signature", "").removeprefix("sha256=")
    return any(_same(given, _hmac(secret, stamp.encode() + b"." + body)) for secret in _usable(secrets))


def _usable(secrets: Secrets) -> list[str]:
    return [text for secret in secrets if (text := secret.get_secret_value().strip())]


def _hmac(secret: str, message: bytes) -> str:
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def _same(given: str, expected: str) -> bool:
    # as bytes: comparing texts raises on what is not ASCII
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


def _recent(stamp: str, now: float) -> bool:
    return stamp.isascii() and stamp.isdigit() and len(stamp) < 20 and abs(now - int(stamp)) <= LATEST
