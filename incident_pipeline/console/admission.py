"""Who may send a webhook.

Belongs here: tokens, and what holds without one. Does not belong here: what is sent.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping

from pydantic import SecretStr
from starlette.requests import Request

_LOCAL_NAMES = frozenset({"localhost", "localhost.localdomain"})


class Refused(Exception):  # noqa: N818 - an answer, not an error of ours
    """The request is not let in: an HTTP status and one sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


def admit(request: Request, source: str, tokens: Mapping[str, SecretStr]) -> None:
    """Let a request in, or say why not.

    With a token for the source: whoever has it. Without: only this machine, and no web page that a browser on this
    machine happens to show (those send an Origin, or a Host that is not this machine's name).

    Raises:
        Refused: 401 or 403.
    """
    token = tokens.get(source)
    if token is not None:
        given = _bearer(request.headers.get("authorization", ""))
        if not hmac.compare_digest(given, token.get_secret_value().encode()):
            raise Refused(401, f"the token of source {source} is missing or wrong; send Authorization: Bearer TOKEN")
        return
    local = _is_loopback(request.client.host if request.client else "")
    if not local or "origin" in request.headers or not _names_this_machine(request.headers.get("host", "")):
        raise Refused(403, f"source {source} has no token, so only this machine may send; set receiver.tokens.{source}")


def _bearer(header: str) -> bytes:
    scheme, _, credentials = header.partition(" ")
    return credentials.strip().encode("utf-8", "replace") if scheme.lower() in ("bearer", "token") else b""


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _names_this_machine(host: str) -> bool:
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return name.casefold() in _LOCAL_NAMES or _is_loopback(name)
