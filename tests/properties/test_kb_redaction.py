"""Properties of redaction: it settles at once, hides what was planted, and leaves identifiers alone."""

from __future__ import annotations

import string

from hypothesis import given, settings
from hypothesis import strategies as st

from kb.redaction import redact, redact_value
from tests.examples import examples

PIECES = st.sampled_from(
    [
        "password",
        "token",
        "api_key",
        "secret",
        "Authorization",
        "=",
        ":",
        ": ",
        "=>",
        '"',
        "'",
        "\\",
        '\\"',
        " ",
        "\n",
        "\t",
        "[redacted]",
        "[",
        "]",
        "(",
        ")",
        "{",
        "}",
        "<",
        ">",
        "$",
        "@",
        "://",
        "/",
        "a@b.org",
        "user",
        "Bearer ",
        "basic ",
        "Token ",
        "token=",
        "abc123",
        "s3cret!",
        "eyJhbGciOi.eyJzdWIiOi.x",
        "AKIAIOSFODNN7EXAMPLE",
        "-u ",
        "-p",
        "mysql ",
        "redis-cli ",
        " -a ",
        "--password ",
        "&sig=",
        "?",
        "&",
        ";",
        ",",
        "cookie: ",
        "a=b",
        "-----BEGIN PRIVATE KEY-----",
        "-----END PRIVATE KEY-----",
        "hooks.slack.com/services/",
        "$6$",
        '"auth":"',
        "PWD=",
        "_pass=",
        "the",
        ".",
        "1",
    ]
)
TEXTS = st.one_of(st.text(max_size=200), st.lists(PIECES, max_size=14).map("".join))
WORD = st.text(string.ascii_letters + string.digits, min_size=8, max_size=24).filter(
    lambda word: any(c.isdigit() for c in word) and any(c.isalpha() for c in word) and set(word.lower()) != {"x"}
)
VALUES = st.recursive(
    st.one_of(TEXTS, st.integers(), st.none(), st.booleans()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=12,
)


@settings(max_examples=examples(200))
@given(TEXTS)
def test_redacting_twice_changes_nothing(text: str) -> None:
    once = redact(text)
    assert redact(once) == once


@given(VALUES)
def test_values_settle_too(value: object) -> None:
    once = redact_value(value)
    assert redact_value(once) == once


@given(
    st.sampled_from(["password", "DB_PASSWORD", "token", "api_key", "apiKey", "client_secret", "access-key"]),
    st.sampled_from(["=", ": ", ":", " = ", "=>"]),
    st.sampled_from(["", '"', "'"]),
    WORD,
)
def test_a_planted_secret_never_survives(key: str, separator: str, quote: str, secret: str) -> None:
    assert secret not in redact(f"start {key}{separator}{quote}{secret}{quote} end")
    assert secret not in str(redact_value({"outer": [{key: secret}]}))


@given(st.text("0123456789abcdef", min_size=7, max_size=64), st.uuids())
def test_hashes_and_uuids_stay(sha: str, uuid: object) -> None:
    text = f"commit {sha} trace_id={sha} request {uuid} image@sha256:{sha} http_requests_total"
    assert redact(text) == text


@given(st.emails(domains=st.sampled_from(["example.org", "mail.example.com"])))
def test_addresses_are_hidden(address: str) -> None:
    local = address.rpartition("@")[0]
    if local == "git" or not all(c.isalnum() or c in "._%+-" for c in local):
        return
    assert address not in redact(f"mail from {address} bounced")
