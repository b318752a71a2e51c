"""Any HTTP interface: one request.

Parameters: `url`, `method` (default POST), `body` (JSON), `connection` (whose headers and token are sent),
`dry_run_url`, `check_url` with `check` (a JMESPath expression that is true once it has happened), `undo_url` with
`undo_body`.
Private, loopback and link-local addresses are refused unless `remediation.execution.hosts` names the host; the address
that was checked is the one that is connected to, and redirects to other hosts are not followed.
"""

from __future__ import annotations

import json
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import jmespath
from jmespath.exceptions import JMESPathError

from incident_pipeline.connectors.addresses import checked_address
from incident_pipeline.connectors.http import bearer
from incident_pipeline.errors import PermanentSourceError
from incident_pipeline.models import ActionCall
from incident_pipeline.remediation.executors.base import Effect, ExecutorSettings, Outcome, Seen
from incident_pipeline.remediation.executors.requests import Requests, connection_of, marked
from incident_pipeline.remediation.records import Planned

METHODS = ("POST", "PUT", "PATCH", "DELETE")


class HttpCall:
    """Requests to wherever the configuration says."""

    def __init__(self, settings: ExecutorSettings) -> None:
        self._settings = settings

    def plan(self, call: ActionCall) -> Planned:
        """Check the address and the body; ask whether it has happened already where that can be asked."""
        method = _method(call)
        url = call.parameters.get("url", "")
        _body(call, "body")
        self._checked(url)
        already = self._happened(call)
        if already is True:
            raise PermanentSourceError(f"http: {call.parameters.get('check')} holds already, so there is nothing to do")
        return Planned(steps=(f"{method} {url} {call.parameters.get('body', '')}".strip(),))

    def dry_run(self, call: ActionCall, planned: Planned) -> Outcome | None:
        """The request to `dry_run_url`; nothing where there is none."""
        url = call.parameters.get("dry_run_url")
        return self._send(call, url, "body", "dry-run") if url else None

    def execute(self, call: ActionCall, planned: Planned, mark: str) -> Outcome:
        """The request, with the execution's name as Idempotency-Key."""
        return self._send(call, call.parameters.get("url", ""), "body", mark)

    def verify(self, call: ActionCall, planned: Planned, mark: str, since: datetime) -> Seen:
        """Ask `check_url`; without one nobody can tell."""
        happened = self._happened(call)
        if happened is None:
            return Seen(Effect.CANNOT_TELL, "no check_url is configured")
        said = f"{call.parameters.get('check')} at {call.parameters.get('check_url')}"
        return Seen(Effect.HAPPENED if happened else Effect.NOT_HAPPENED, f"{said} is {str(happened).lower()}")

    def undo(self, call: ActionCall, planned: Planned) -> ActionCall | None:
        """The request to `undo_url`; nothing where there is none."""
        url = call.parameters.get("undo_url")
        if not url:
            return None
        kept = {name: value for name, value in call.parameters.items() if name in ("method", "connection")}
        body = {"body": call.parameters["undo_body"]} if "undo_body" in call.parameters else {}
        return call.model_copy(update={"parameters": {**kept, "url": url, **body}})

    def _send(self, call: ActionCall, url: str, body: str, mark: str) -> Outcome:
        given = call.model_copy(update={"parameters": marked(call.parameters, mark)})
        headers = {"Idempotency-Key": mark}
        return self._requests(call, url).write(_method(call), url, json=_body(given, body), headers=headers)

    def _happened(self, call: ActionCall) -> bool | None:
        url, expression = call.parameters.get("check_url"), call.parameters.get("check")
        if not url or not expression:
            return None
        try:
            return jmespath.search(expression, self._requests(call, url).read(url).json()) is True
        except JMESPathError as error:
            raise PermanentSourceError(f"http: check is not a JMESPath expression: {error}") from error

    def _requests(self, call: ActionCall, url: str) -> Requests:
        connection = connection_of(call.parameters.get("connection", ""), self._settings.scenario)
        base = self._checked(url)
        theirs = urlsplit(connection.url).netloc if connection.url else None
        if theirs is not None and theirs != urlsplit(url).netloc:
            raise PermanentSourceError(f"http: the credentials of {theirs} are not for {urlsplit(url).netloc}")
        return Requests("http", base, connection, self._settings, bearer(connection.token), self._address_of)

    @property
    def _address_of(self) -> Any:
        return partial(checked_address, allowed=self._settings.scenario.remediation.execution.hosts)

    def _checked(self, url: str) -> str:
        """Scheme and host of a URL that may be reached."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
        except ValueError as error:
            raise PermanentSourceError("http: the URL cannot be read") from error
        if parts.scheme not in ("http", "https") or not host or port is None or parts.username is not None:
            raise PermanentSourceError("http: the parameter url is not an http or https URL without a user name")
        self._address_of(host, port)
        return f"{parts.scheme}://{parts.netloc}"


def build(settings: ExecutorSettings) -> HttpCall:
    """Any HTTP interface."""
    return HttpCall(settings)


def _method(call: ActionCall) -> str:
    method = call.parameters.get("method", "POST").upper()
    if method not in METHODS:
        raise PermanentSourceError(f"http: the method {method!r} is none of {', '.join(METHODS)}")
    return method


def _body(call: ActionCall, name: str) -> Any:
    text = call.parameters.get(name)
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise PermanentSourceError(f"http: the parameter {name} is not JSON") from error
