"""The HTTP client: what every failure becomes, and that no secret leaves it."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
import stamina
from pydantic import SecretStr

from incident_pipeline.config import Connection
from incident_pipeline.connectors.answers import Answer, RateLimitedError, retry_after
from incident_pipeline.connectors.deadline import Deadline
from incident_pipeline.connectors.http import HttpClient, bearer, post_json
from incident_pipeline.errors import ConfigurationError, PermanentSourceError, SourceError, TransientSourceError
from tests.connectors.loopback import Loopback

TOKEN = "tok-5f8e2c91ab"  # noqa: S105
BASE = "https://metrics.example/prefix"

Handler = Callable[[httpx.Request], httpx.Response]


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=4, cap=True):
        yield


def client(handler: Handler, **options: Any) -> HttpClient:
    connection = options.pop("connection", Connection(timeout=timedelta(seconds=5)))
    headers = bearer(SecretStr(TOKEN))
    transport = httpx.MockTransport(handler)
    return HttpClient("shop", BASE, connection, headers=headers, transport=transport, **options)


def ask(one: HttpClient, path: str = "/rows", **options: Any) -> Answer:
    async def run() -> Answer:
        try:
            return await one.request(options.pop("method", "GET"), path, **options)
        finally:
            await one.close()

    return asyncio.run(run())


def test_a_good_answer_is_read_and_the_request_carries_what_it_should() -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"rows": [1]}, headers={"X-Left": "9"})

    answer = ask(client(handler), params=[("q", "a b"), ("q", "c")])
    assert answer.object() == {"rows": [1]}
    assert answer.headers["x-left"] == "9"
    (request,) = seen
    assert str(request.url).replace("%20", "+") == "https://metrics.example/prefix/rows?q=a+b&q=c"
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["user-agent"] == "incident-pipeline"


@pytest.mark.parametrize(
    ("status", "error", "calls", "words"),
    [
        (400, PermanentSourceError, 1, "400 Bad Request"),
        (401, PermanentSourceError, 1, "check connections.shop.token"),
        (403, PermanentSourceError, 1, "check what the credentials in connections.shop.token may read"),
        (404, PermanentSourceError, 1, "check connections.shop.url"),
        (429, RateLimitedError, 4, "429 Too Many Requests"),
        (500, TransientSourceError, 4, "500 Internal Server Error"),
        (503, TransientSourceError, 4, "503 Service Unavailable"),
        (799, PermanentSourceError, 1, "answered 799 to"),
    ],
)
def test_only_what_passes_is_tried_again(status: int, error: type[Exception], calls: int, words: str) -> None:
    count = 0

    def handler(request: httpx.Request) -> httpx.Response:
        nonlocal count
        count += 1
        return httpx.Response(status, json={"error": f"no, {TOKEN} password=hunter22 is\nwrong"})

    with pytest.raises(error) as raised:
        ask(client(handler), params={"token": TOKEN})
    assert count == calls
    sentence = str(raised.value)
    assert words in sentence
    assert "shop answered" in sentence
    assert "GET https://metrics.example/prefix/rows" in sentence
    assert "hunter22" not in sentence
    assert "\n" not in sentence
    assert TOKEN not in sentence


def test_a_write_is_never_repeated_unless_it_only_reads() -> None:
    count = 0

    def handler(request: httpx.Request) -> httpx.Response:
        nonlocal count
        count += 1
        return httpx.Response(503 if count < 3 else 200, json=json.loads(request.content))

    with pytest.raises(TransientSourceError):
        ask(client(handler), method="POST", json={"a": 1})
    assert count == 1
    assert ask(client(handler), method="POST", json={"a": 1}, retry=True).json() == {"a": 1}
    assert count == 3


def test_a_wait_longer_than_the_deadline_is_given_up_at_once() -> None:
    count = 0

    def handler(request: httpx.Request) -> httpx.Response:
        nonlocal count
        count += 1
        return httpx.Response(429, headers={"Retry-After": "3600"})

    with pytest.raises(RateLimitedError) as raised:
        ask(client(handler), deadline=Deadline(5))
    assert raised.value.wait == 3600
    assert count == 1


def test_after_the_deadline_nothing_is_sent() -> None:
    with pytest.raises(TransientSourceError, match="the deadline had passed"):
        ask(client(lambda _: httpx.Response(200)), deadline=Deadline(0))


def test_retry_after_is_read_in_both_forms() -> None:
    def answer(value: str) -> Answer:
        return Answer("shop", "GET", BASE, 429, {"retry-after": value})

    assert retry_after(answer("7"), 0) == 7
    assert retry_after(answer("Mon, 23 Nov 2026 14:35:10 GMT"), 1795444500) == pytest.approx(10)
    assert retry_after(answer("soon"), 0) is None
    assert retry_after(Answer("shop", "GET", BASE, 429), 0) is None


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("https://evil.example/rows", "redirects to https://evil.example, which is not followed"),
        ("http://metrics.example/rows", "redirects to http://metrics.example, which is not followed"),
        ("https://metrics.example:8443/rows", "which is not followed"),
        ("//evil.example/rows", "redirects to https://evil.example"),
        ("/prefix/rows", "redirects in a circle"),
    ],
)
def test_redirects_never_carry_the_token_away(location: str, words: str) -> None:
    hosts: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        hosts.append(f"{request.url.scheme}://{request.url.netloc.decode()}")
        return httpx.Response(302, headers={"Location": location})

    with pytest.raises(PermanentSourceError, match="redirects") as raised:
        ask(client(handler))
    assert words in str(raised.value)
    assert set(hosts) == {"https://metrics.example"}


def test_a_redirect_on_the_same_host_is_followed_for_reads_alone() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/prefix/rows":
            return httpx.Response(301, headers={"Location": "/prefix/rows/"})
        return httpx.Response(200, json=[])

    assert ask(client(handler)).list() == []
    with pytest.raises(PermanentSourceError, match="redirects a POST"):
        ask(client(handler), method="POST", json={}, retry=True)


def test_whole_urls_of_another_host_are_refused() -> None:
    with pytest.raises(PermanentSourceError, match=r"points to another host \(evil.example\)"):
        ask(client(lambda _: httpx.Response(200)), "https://evil.example/next?cursor=1")


def test_a_next_link_of_the_same_host_is_followed_as_it_is() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        link = (
            '<https://metrics.example/rows?cursor=2>; rel="next", <https://metrics.example/rows?cursor=9>; rel="last"'
        )
        return httpx.Response(200, json=[str(request.url)], headers={"Link": link})

    first = ask(client(handler))
    assert first.next_link == "https://metrics.example/rows?cursor=2"
    assert ask(client(handler), first.next_link).list() == ["https://metrics.example/rows?cursor=2"]


@pytest.mark.parametrize(
    ("response", "words"),
    [
        (httpx.Response(200, html="<html>Log in</html>"), "answered a web page to GET .*is it behind a login"),
        (httpx.Response(200, content=b'{"cut": '), "something that is not JSON"),
        (httpx.Response(200, content=b""), "something that is not JSON"),
        (httpx.Response(200, json=[1]), "answered no JSON object"),
        (httpx.Response(200, content=b"[" * 50_000), "something that is not JSON"),
    ],
)
def test_an_answer_that_is_no_json_object_is_one_sentence(response: httpx.Response, words: str) -> None:
    with pytest.raises(PermanentSourceError, match=words):
        ask(client(lambda _: response)).object()


def test_large_answers_are_refused_while_they_come_also_when_packed() -> None:
    sent = 0

    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            nonlocal sent
            while True:
                sent += 1 << 16
                yield b"x" * (1 << 16)

    with pytest.raises(PermanentSourceError, match="more than 1 MiB"):
        ask(client(lambda _: httpx.Response(200, stream=Endless()), max_bytes=1 << 20))
    assert sent < 3 << 20
    bomb = gzip.compress(b"0" * (8 << 20))
    packed = httpx.Response(200, content=bomb, headers={"Content-Encoding": "gzip"})
    with pytest.raises(PermanentSourceError, match="more than 1 MiB"):
        ask(client(lambda _: packed, max_bytes=1 << 20))


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (httpx.ConnectError(f"refused {TOKEN}"), TransientSourceError, "shop cannot be reached"),
        (httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED]"), PermanentSourceError, "set connections.shop.ca"),
        (httpx.ReadTimeout("slow"), TransientSourceError, "did not answer GET"),
        (httpx.RemoteProtocolError(f"cut {TOKEN}"), TransientSourceError, "broke off GET"),
        (httpx.LocalProtocolError(f"bad header {TOKEN}"), TransientSourceError, "broke off GET"),
    ],
)
def test_failures_of_the_network_are_one_sentence_without_secrets(
    error: httpx.TransportError, kind: type[SourceError], words: str
) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise error

    with pytest.raises(kind) as raised:
        ask(client(handler), params={"key": TOKEN})
    assert words in str(raised.value)
    assert TOKEN not in str(raised.value)


@pytest.mark.parametrize("url", ["", "metrics.example", "ftp://metrics.example", "file:///etc/passwd", "https://"])
def test_a_url_that_is_none_is_a_wrong_configuration(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"connections.shop.url"):
        HttpClient("shop", url)


@pytest.mark.parametrize("token", ["two\nlines", "blank at the end ", "ümlaut", "a\x00b"])
def test_a_token_that_no_header_can_have_is_refused_without_telling_it(token: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        HttpClient("shop", BASE, headers={"X-Key": SecretStr(token)})
    assert token not in str(raised.value)


def test_an_unreadable_authority_is_one_sentence(tmp_path: Any) -> None:
    one = HttpClient("shop", "https://127.0.0.1:9", Connection(ca=tmp_path / "absent.pem"))
    with pytest.raises(PermanentSourceError, match=r"connections.shop.ca: .*absent.pem is not a readable PEM file"):
        ask(one)


def test_no_log_tells_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    answers = iter([httpx.Response(503, json={"error": TOKEN}), httpx.Response(200, json=[])])
    ask(client(lambda _: next(answers)), params={"key": TOKEN})
    assert TOKEN not in caplog.text


# --- over real sockets --------------------------------------------------------------------------


def test_one_byte_at_a_time_ends_with_the_deadline(loopback: Loopback) -> None:
    url = loopback.serve(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n", drip=b"x")
    one = HttpClient("shop", url)
    with pytest.raises(TransientSourceError, match="did not answer"):
        ask(one, deadline=Deadline(0.3))


@pytest.mark.parametrize(
    "sent",
    [
        b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"half": ',
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_broken_connections_are_transient(loopback: Loopback, sent: bytes) -> None:
    with pytest.raises(TransientSourceError, match=r"broke off GET|cannot be reached"):
        ask(HttpClient("shop", loopback.serve(sent)), deadline=Deadline(5))


def test_nobody_there_is_transient() -> None:
    with pytest.raises(TransientSourceError, match="cannot be reached"):
        ask(HttpClient("shop", "http://127.0.0.1:1"), deadline=Deadline(5))


def test_one_client_works_in_one_loop_after_another(loopback: Loopback) -> None:
    url = loopback.serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]")
    one = HttpClient("shop", url)
    assert asyncio.run(one.get("/")).json() == []
    assert asyncio.run(one.get("/")).json() == []
    asyncio.run(one.close())


def test_post_json_for_our_own_services(loopback: Loopback) -> None:
    url = loopback.serve(b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\nConnection: close\r\n\r\n{"ok":true}')
    assert post_json(url + "/graphql", {"query": "{}"}, timedelta(seconds=5)) == {"ok": True}
    (request,) = loopback.requests
    assert request.startswith(b"POST /graphql HTTP/1.1")
    with pytest.raises(TransientSourceError):
        post_json("http://127.0.0.1:1/graphql", {}, timedelta(seconds=1))


def test_reading_the_configuration_does_not_import_the_http_library() -> None:
    import subprocess
    import sys

    modules = "incident_pipeline.config, incident_pipeline.connectors.registry, incident_pipeline.connectors.http"
    code = f"import sys, {modules}; print('httpx' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
