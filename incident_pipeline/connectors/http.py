"""HTTP for every connector: the only module that knows which library speaks it.

Belongs here: one client with time-outs, retries within a deadline, a cap on the size of answers, redirects that never
carry credentials to another host, and failures as one sentence without a secret in it.
Does not belong here: anything about one vendor; see its file, and `answers.py` for what answers mean.

The library is imported at the first request: whoever only reads the configuration does not pay for it.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from incident_pipeline.config import Connection
from incident_pipeline.connectors import limits
from incident_pipeline.connectors.answers import Answer, Dialect, RateLimitedError
from incident_pipeline.connectors.deadline import Deadline
from incident_pipeline.connectors.observation import saw
from incident_pipeline.connectors.urls import bare, below, redirected
from incident_pipeline.errors import ConfigurationError, PermanentSourceError, SourceError, TransientSourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

MAX_BYTES = 32 * 1024 * 1024
"""Size of one answer, unpacked."""
MAX_REDIRECTS = 5
SHORTEST_WAIT = 0.05
LONGEST_PAUSE = 3.0
ATTEMPTS = 4
USER_AGENT = "incident-pipeline"

Params = Mapping[str, Any] | Sequence[tuple[str, Any]]


class HttpClient:
    """One system's HTTP interface."""

    def __init__(
        self,
        source: str,
        base_url: str,
        connection: Connection | None = None,
        *,
        headers: Mapping[str, str | SecretStr] | None = None,
        dialect: Dialect | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        max_bytes: int = MAX_BYTES,
        tls: ssl.SSLContext | None = None,
        now: Callable[[], float] = time.time,
        address_of: Callable[[str, int], str] | None = None,
    ) -> None:
        """Prepare; nothing is opened before the first request.

        Args:
            source: the system's name in the configuration and in sentences.
            base_url: where its interface begins.
            connection: certificate authority, proxy, time-out and further headers.
            headers: credentials and whatever else every request carries.
            dialect: how the vendor words failure.
            transport: replaces the network, for tests.
            max_bytes: the largest answer that is read.
            tls: whom to trust and by which certificate to be known, in place of the connection's own.
            now: seconds since 1970, for vendors that say when to come back.
            address_of: decides which address stands for a host and port, and may refuse; no proxy is used then.

        Raises:
            ConfigurationError: the URL is none, or a header cannot be sent.
        """
        connection = connection or Connection()
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError(f"connections.{source}.url: {base_url!r} is not an http or https URL")
        self.source = source
        self.base_url = base_url.rstrip("/")
        self._connection = connection
        self._headers = {**connection.headers, **(headers or {})}
        self._check_headers()
        self._dialect = dialect or Dialect()
        self._transport = transport
        self._max_bytes = max_bytes
        self._own_tls = tls
        self._now = now
        self._address_of = address_of
        self._client: httpx.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def get(self, path: str, params: Params | None = None, *, deadline: Deadline | None = None) -> Answer:
        """GET a path below the base URL, or a whole URL of the same host.

        Raises:
            SourceError: no good answer came.
        """
        return await self.request("GET", path, params=params, deadline=deadline)

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        json: Any = None,
        form: Mapping[str, Any] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        deadline: Deadline | None = None,
        retry: bool | None = None,
    ) -> Answer:
        """Send one request and read its answer.

        Args:
            method: GET, POST, ...
            path: below the base URL, or a whole URL of the same host.
            params: the query.
            json: the body as JSON.
            form: the body as a form.
            content: the body as it is.
            headers: of this request alone.
            deadline: after it nothing is waited for or tried again.
            retry: whether a failure that passes is tried again; by default for GET only. Say True for a POST that
                only reads, never for one that may have happened.

        Raises:
            TransientSourceError: it may work a moment later.
            PermanentSourceError: it will not work until someone acts.
        """
        import stamina
        from stamina.instrumentation import set_on_retry_hooks

        set_on_retry_hooks(())  # where structlog is installed, each retry would print a line on stdout

        url = below(self.source, self.base_url, path)
        deadline = deadline or Deadline(self._connection.timeout.total_seconds() * 3)
        again = method == "GET" if retry is None else retry
        sending = {"params": params, "json": json, "data": form, "content": content, "headers": headers}
        attempts = stamina.retry_context(
            on=_pause(deadline),
            attempts=ATTEMPTS if again else 1,
            timeout=max(deadline.left(), 0.01),
            wait_initial=0.2,
            wait_max=LONGEST_PAUSE,
            wait_jitter=0.2,
        )
        last: TransientSourceError | None = None
        async for attempt in attempts:
            with attempt:
                try:
                    answer = await self._in_turn(method, url, deadline, sending)
                except TransientSourceError as error:
                    # what the source said counts for more than that time ran out while it was asked again
                    last = last if last is not None and deadline.passed else error
                    raise last from None
        return answer

    async def close(self) -> None:
        """Let go of connections."""
        client, self._client = self._client, None
        if client is not None and self._loop is asyncio.get_running_loop():
            await client.aclose()

    async def _in_turn(self, method: str, url: str, deadline: Deadline, sending: Mapping[str, Any]) -> Answer:
        """Send when it is this run's turn; a pause that the source asks for is told to all runs."""
        limiter = limits.current()
        if limiter is None or deadline.passed:
            return await self._send(method, url, deadline, sending)
        await limiter.turn(self.source, self._dialect.rate, deadline)
        try:
            return await self._send(method, url, deadline, sending)
        except RateLimitedError as error:
            await limiter.told_to_wait(self.source, error.wait)
            raise

    async def _send(self, method: str, url: str, deadline: Deadline, sending: Mapping[str, Any]) -> Answer:
        if deadline.passed:
            raise TransientSourceError(f"{self.source} was not asked {method} {bare(url)}: the deadline had passed")
        for _ in range(MAX_REDIRECTS + 1):
            answer, location = await self._exchange(method, url, deadline, sending)
            if location is None:
                return answer
            url = redirected(self.source, method, url, location)
            sending = {**sending, "params": None}
        raise PermanentSourceError(f"{self.source} redirects in a circle at {bare(url)}")

    async def _exchange(
        self, method: str, url: str, deadline: Deadline, sending: Mapping[str, Any]
    ) -> tuple[Answer, str | None]:
        import httpx

        seconds = min(self._connection.timeout.total_seconds(), deadline.left())
        given = {name: value for name, value in sending.items() if value is not None}
        to, given = self._addressed(url, given)
        with self._failures(method, url, seconds):
            async with (
                asyncio.timeout(deadline.left()),
                self._opened().stream(method, to, timeout=httpx.Timeout(seconds), **given) as response,
            ):
                location = response.headers.get("location")
                if response.is_redirect and location:
                    return self._answer(method, url, response, b""), location
                body = await self._body(response, url)
        answer = self._answer(method, url, response, body)
        saw(answer, self._now())
        if response.status_code >= 300:
            raise self._dialect.failure(answer, self._now(), self._secrets())
        return answer, None

    def _addressed(self, url: str, given: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """The request for the address that was checked, in the name of its host."""
        if self._address_of is None:
            return url, given
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or {"http": 80, "https": 443}[parts.scheme]
        address = self._address_of(host, port)
        shown = f"[{address}]" if ":" in address else address
        headers = {**(given.get("headers") or {}), "Host": parts.netloc.rpartition("@")[2]}
        extensions = {"sni_hostname": host}
        return parts._replace(netloc=f"{shown}:{port}").geturl(), {
            **given,
            "headers": headers,
            "extensions": extensions,
        }

    async def _body(self, response: httpx.Response, url: str) -> bytes:
        chunks, size = [], 0
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            if size > self._max_bytes:
                limit = f"{self._max_bytes / 1024**2:g} MiB"
                raise PermanentSourceError(f"{self.source} answered more than {limit} at {bare(url)}; ask for less")
            chunks.append(chunk)
        return b"".join(chunks)

    def _answer(self, method: str, url: str, response: httpx.Response, body: bytes) -> Answer:
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(self.source, method, bare(url), response.status_code, headers, body)

    def _opened(self) -> httpx.AsyncClient:
        import httpx

        # its own log tells whole URLs, and a query can hold a secret
        logging.getLogger("httpx").setLevel(logging.WARNING)
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            proxy = self._connection.proxy
            local = urlsplit(self.base_url).hostname in ("127.0.0.1", "localhost", "::1")
            headers = {"User-Agent": USER_AGENT, **{name: _plain(value) for name, value in self._headers.items()}}
            self._loop = loop
            self._client = httpx.AsyncClient(
                headers=headers,
                auth=self._basic(),
                verify=self._tls(),
                proxy=None if self._transport or self._address_of else proxy,
                transport=self._transport,
                trust_env=not local and self._address_of is None,
                follow_redirects=False,
            )
        return self._client

    def _basic(self) -> tuple[str, str] | None:
        username, password = self._connection.username, self._connection.password
        return (username, _plain(password or "")) if username else None

    def _tls(self) -> ssl.SSLContext | bool:
        if self._transport is not None or self.base_url.startswith("http://"):
            return False
        if self._own_tls is not None:
            return self._own_tls
        return trusted(self.source, self._connection.ca)

    def _secrets(self) -> list[str]:
        """What was sent as a secret, which an answer may echo: whole, and without the word before it."""
        values = [value for value in (*self._headers.values(), self._connection.password) if value is not None]
        texts = {part for value in values for part in (_plain(value), _plain(value).rpartition(" ")[2])}
        return sorted((text for text in texts if len(text) >= 4), key=len, reverse=True)

    def _check_headers(self) -> None:
        for name, value in self._headers.items():
            text = _plain(value)
            if not (name.isascii() and text.isascii() and text.isprintable() and text == text.strip()):
                raise ConfigurationError(
                    f"connections.{self.source}: the value for the header {name!r} has blanks, line ends or other "
                    "characters that a header cannot have; check the variable it comes from"
                )

    @contextmanager
    def _failures(self, method: str, url: str, seconds: float) -> Iterator[None]:
        import httpx

        where = f"{method} {bare(url)}"
        try:
            yield
        except SourceError:
            raise
        except (httpx.TimeoutException, TimeoutError) as error:
            raise TransientSourceError(f"{self.source} did not answer {where} within {seconds:.3g} s") from error
        except httpx.ConnectError as error:
            if "CERTIFICATE" in str(error).upper():
                hint = f"set connections.{self.source}.ca to its authority"
                raise PermanentSourceError(
                    f"the certificate of {self.source} is not trusted at {where}; {hint}"
                ) from None
            raise TransientSourceError(f"{self.source} cannot be reached at {bare(url)}") from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            # the library's own words can hold header values: only the kind of failure is told
            raise TransientSourceError(f"{self.source} broke off {where} ({type(error).__name__})") from None
        except ssl.SSLError as error:
            # with TLS 1.3 a server refuses a client after the handshake, as it is read: the library lets that through
            why = str(error.reason or "no reason given").replace("_", " ").lower()
            raise PermanentSourceError(f"{self.source} ended the TLS connection at {bare(url)}: {why}") from None


def trusted(source: str, ca: Path | None) -> ssl.SSLContext:
    """The authorities that a connection trusts: the usual ones, and its own.

    Raises:
        PermanentSourceError: its own are not readable.
    """
    import certifi

    context = ssl.create_default_context()
    # a slim image may have no authorities of its own
    context.load_verify_locations(certifi.where())
    if ca is not None:
        try:
            context.load_verify_locations(ca)
        except (OSError, ssl.SSLError) as error:
            raise PermanentSourceError(f"connections.{source}.ca: {ca} is not a readable PEM file") from error
    return context


def load_libraries() -> None:
    """Import what requests need, ahead of the first one; for a process that others are forked from."""
    for name in ("anyio._backends._asyncio", "certifi", "httpcore", "httpx", "stamina"):
        import_module(name)


def bearer(token: SecretStr | None) -> dict[str, SecretStr]:
    """The usual header for a token; empty without one."""
    return {"Authorization": SecretStr(f"Bearer {token.get_secret_value()}")} if token else {}


def post_json(url: str, body: Any, timeout: timedelta, headers: Mapping[str, str] | None = None) -> Any:
    """POST JSON once, without retries, and read the JSON answer; for our own services on the same host or network.

    Raises:
        TransientSourceError: not reached, or a failure that passes.
        PermanentSourceError: refused, or the answer is not JSON.
    """

    async def send() -> Any:
        client = HttpClient(urlsplit(url).netloc, url, Connection(timeout=timeout))
        try:
            answer = await client.request(
                "POST", "", json=body, headers=headers, deadline=Deadline(timeout.total_seconds())
            )
            return answer.json()
        finally:
            await client.close()

    return asyncio.run(send())


def answers(url: str, timeout: timedelta) -> bool:
    """Whether a URL answers with success, asked once; for our own services on this machine."""

    async def ask() -> bool:
        client = HttpClient(urlsplit(url).netloc, url, Connection(timeout=timeout))
        try:
            await client.request("GET", "", deadline=Deadline(timeout.total_seconds()), retry=False)
        except SourceError:
            return False
        finally:
            await client.close()
        return True

    return asyncio.run(ask())


def _pause(deadline: Deadline) -> Callable[[Exception], bool | float]:
    """Whether to try again, and after how long where the vendor said so."""

    def decide(error: Exception) -> bool | float:
        if not isinstance(error, TransientSourceError):
            return False
        wait = error.wait if isinstance(error, RateLimitedError) else None
        if wait is None:
            return not deadline.passed
        wait = max(wait, SHORTEST_WAIT)
        return wait if wait < deadline.left() else False

    return decide


def _plain(value: str | SecretStr) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else value
