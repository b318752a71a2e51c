"""What the executors that speak HTTP share: one request at a time, never repeated, and its answer as an outcome.

Belongs here: asking, and what a failure means for whether it happened. Does not belong here: anything about one system.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from pydantic import SecretStr

from incident_pipeline.config import Connection, Scenario
from incident_pipeline.connectors.answers import Answer, Dialect
from incident_pipeline.connectors.deadline import Deadline
from incident_pipeline.connectors.http import HttpClient, Params, bearer
from incident_pipeline.errors import ConfigurationError, SourceError, TransientSourceError
from incident_pipeline.json_text import clean
from incident_pipeline.remediation.executors.base import EXECUTION_MARK, ExecutorSettings, Outcome
from kb.redaction import redact

SHOWN = 2_000


class Requests:
    """One system's HTTP interface, asked synchronously."""

    def __init__(
        self,
        name: str,
        url: str,
        connection: Connection,
        settings: ExecutorSettings,
        headers: Mapping[str, str | SecretStr] | None = None,
        address_of: Callable[[str, int], str] | None = None,
    ) -> None:
        self.name = name
        self.base_url = url.rstrip("/")
        self._limit: timedelta = settings.scenario.remediation.execution.time_limit
        self._client = HttpClient(
            name,
            url,
            connection.model_copy(update={"timeout": self._limit}),
            headers=headers,
            dialect=Dialect(),
            transport=settings.transport,
            address_of=address_of,
        )

    def read(self, path: str, params: Params | None = None) -> Answer:
        """GET.

        Raises:
            SourceError: no good answer came.
        """
        return self._ask("GET", path, {"params": params})

    def write(self, method: str, path: str, **sending: Any) -> Outcome:
        """One request that changes something, sent once; the arguments are those of `HttpClient.request`."""
        try:
            answer = self._ask(method, path, {**sending, "retry": False})
        except SourceError as error:
            return Outcome(False, redact(str(error)), uncertain=isinstance(error, TransientSourceError))
        body = redact(clean(answer.body[: SHOWN * 4].decode("utf-8", "replace")))[:SHOWN]
        return Outcome(True, f"{method} {answer.url}: {answer.status}\n{body}".strip(), answer.status)

    def _ask(self, method: str, path: str, sending: Mapping[str, Any]) -> Answer:
        async def once() -> Answer:
            try:
                return await self._client.request(
                    method, path, deadline=Deadline(self._limit.total_seconds()), **sending
                )
            finally:
                await self._client.close()

        return asyncio.run(once())


def connected(
    name: str,
    settings: ExecutorSettings,
    default_url: str | None = None,
    headers: Callable[[Connection], Mapping[str, str | SecretStr]] = lambda connection: bearer(connection.token),
) -> Requests:
    """The system at `connections.<name>`, with its credentials.

    Raises:
        ConfigurationError: it is not known where it is.
    """
    connection = connection_of(name, settings.scenario)
    url = connection.url or default_url
    if url is None:
        raise ConfigurationError(f"connections.{name}.url is not set; write where {name} is")
    return Requests(name, url, connection, settings, headers(connection))


def connection_of(name: str, scenario: Scenario) -> Connection:
    """How a system is reached; nothing is known of one that is not configured."""
    return scenario.connections.get(name, Connection())


def marked(parameters: Mapping[str, str], mark: str) -> dict[str, str]:
    """The parameters with the execution's name where they ask for it."""
    return {name: value.replace(EXECUTION_MARK, mark) for name, value in parameters.items()}


def prefixed(parameters: Mapping[str, str], prefix: str) -> dict[str, str]:
    """The parameters `inputs.version` as `version`, for a prefix `inputs.`."""
    return {name.removeprefix(prefix): value for name, value in parameters.items() if name.startswith(prefix)}
