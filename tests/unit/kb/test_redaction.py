"""What is hidden, what stays, and how fast."""

from __future__ import annotations

import pytest

from kb.redaction import PLACEHOLDER, is_sensitive_key, redact, redact_value

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dBjftJeZ4CVPmB92K27uhbUJU1p1rwW1gFWFOEjXk"
SECRETS = [
    ("password=hunter2 host=db-1", "hunter2"),
    ("DB_PASSWORD: 's3cr;et, value'", "s3cr;et, value"),
    ('{"api_key": "abc\\"def", "n": 1}', "def"),
    ('msg="{\\"token\\":\\"q1w2e3\\"}"', "q1w2e3"),
    ("Authorization: Bearer abcdef123456", "abcdef123456"),
    ("authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
    ("Authorization: Token token=y_NbAkKc66ryYTWUXYEu", "y_NbAkKc66ryYTWUXYEu"),
    ("Authorization: GenieKey eb243592-faa2-4ba2-a551q", "eb243592"),
    ("curl -H 'X-Api-Key: 9f8e7d' https://api.example.com", "9f8e7d"),
    ("got bearer 2YotnFZFEjr1zCsicMWpAA from client", "2YotnFZFEjr1zCsicMWpAA"),
    ("using AKIAIOSFODNN7EXAMPLE for upload", "AKIAIOSFODNN7EXAMPLE"),
    ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalrXUtnFEMI"),
    ("push with ghp_16C7e42F292c6912E7710c838347Ae178B4a", "ghp_16C7"),
    ("slack xoxb-123456789012-abcdefGHIJKL", "xoxb-1234"),
    ("https://hooks.slack.com/services/T0000/B0000/XXXXabcd", "B0000"),
    ("routing_key=0123456789abcdef0123456789abcdef", "0123456789abcdef"),
    (f"jwt {JWT} sent", "dBjftJeZ4CVPmB92K27"),
    ("postgresql://app:pa55@db.internal:5432/orders", "pa55"),
    ("amqp://user:p@ss@mq:5672/", "p@ss"),
    ("https://0123456789abcdef0123456789abcdef@sentry.example.com/2", "0123456789abcdef"),
    ("Server=db;User Id=sa;Password=Yukon900;Encrypt=yes", "Yukon900"),
    ("AccountKey=Zm9vYmFyYmF6cXV4==;EndpointSuffix=core", "Zm9vYmFyYmF6cXV4"),
    ("mysql -h db -u root -pTopSecret1 orders", "TopSecret1"),
    ("redis-cli -h r -a Tops3cret PING", "Tops3cret"),
    ("curl -u admin:pa55w0rd https://x", "pa55w0rd"),
    ("vault login --token s.AbCdEf123", "s.AbCdEf123"),
    ("Cookie: session=abc123; theme=dark", "abc123"),
    ("GET /blob?sv=2020&sig=abc%2Bdef%3D HTTP/1.1", "abc%2Bdef"),
    ("-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nabc\n-----END RSA PRIVATE KEY-----", "MIIEow"),
    ("-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg", "MIIEvQIBADANBg"),
    ("user carol.smith+test@mail.example.org logged in", "carol.smith"),
    ("shadow: $6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9", "qFmFH"),
    ("glpat-AbCdEfGhIjKlMnOpQrSt in remote", "glpat-AbCd"),
    ("stripe sk_live_4eC39HqLyjWDarjtT1zdp7dc", "4eC39HqLyjWDarjtT1zdp7dc"),
]
HARMLESS = [
    "commit 1110a243fdf4706b3f48f1d95db1a4f5529b4d41 deployed by argocd",
    "trace_id=4bf92f3577b34da6a3ce929d0e0e4736 span_id=00f067aa0ba902b7",
    "request 123e4567-e89b-12d3-a456-426614174000 failed after 30s",
    'http_requests_total{status="500",service="checkout"} 42',
    "token_requests_total increased; max_tokens=4096, tokens: 512",
    "password authentication failed for user payments",
    "The token: if it is expired, request another one",
    "password: must be at least twelve characters",
    "invalid token: expired",
    'unexpected token: "}" at position 3',
    "psql --password=$PGPASSWORD -h db",
    "export TOKEN=${CI_TOKEN}",
    "image registry/payments@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "getty@tty1.service entered failed state",
    "git@github.com:example/payments.git",
    "lodash@4.17.21 has a known problem",
    "java.lang.Object@6f2b958e",
    "bearer authentication is required",
    "Basic authentication failed",
    "PWD=/var/lib/payments",
    "-----BEGIN CERTIFICATE-----\nMIIBhTCC\n-----END CERTIFICATE-----",
    "http://payments.svc:8080/health?ready=1",
    "docker run -u 1000:1000 payments",
    "secretName: payments-tls",
    "partition_key=42 cache_key=user:17 primary key violated",
    "kubectl get pods -n payments -o wide",
]


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_secret_is_hidden(text: str, secret: str) -> None:
    hidden = redact(text)
    assert secret not in hidden
    assert PLACEHOLDER in hidden
    assert redact(hidden) == hidden


@pytest.mark.parametrize("text", HARMLESS)
def test_ordinary_text_stays(text: str) -> None:
    assert redact(text) == text


def test_the_rest_of_a_line_stays() -> None:
    assert redact("login password=hunter2 host=db-1 failed") == "login password=[redacted] host=db-1 failed"
    assert redact('{"token": "a1b2c3", "service": "checkout"}') == '{"token": "[redacted]", "service": "checkout"}'
    assert redact("postgresql://app:pa55@db:5432/orders") == "postgresql://app:[redacted]@db:5432/orders"
    assert redact("call(token=abc123)") == "call(token=[redacted])"


def test_values_keep_their_shape() -> None:
    value = {
        "user": "mail dave@example.org",
        "password": "x1",
        "nested": [{"apiKey": 17, "ok": True, "retries": 3}, ("Bearer abcdef123456",)],
        "token": None,
        "X-Api-Key": "${API_KEY}",
    }
    assert redact_value(value) == {
        "user": "mail [redacted]",
        "password": "[redacted]",
        "nested": [{"apiKey": "[redacted]", "ok": True, "retries": 3}, ("Bearer [redacted]",)],
        "token": None,
        "X-Api-Key": "${API_KEY}",
    }


def test_kubernetes_shapes() -> None:
    secret = {"kind": "Secret", "metadata": {"name": "db"}, "data": {"user": "YXBw", "ca.crt": "TUlJ"}}
    assert redact_value(secret)["data"] == {"user": PLACEHOLDER, "ca.crt": PLACEHOLDER}
    assert redact_value(secret)["metadata"] == {"name": "db"}
    assert redact_value({"name": "DB_PASSWORD", "value": "x1"}) == {"name": "DB_PASSWORD", "value": PLACEHOLDER}
    assert redact_value({"name": "LOG_LEVEL", "value": "info"}) == {"name": "LOG_LEVEL", "value": "info"}


def test_keys_that_become_equal_both_stay() -> None:
    assert len(redact_value({"a@example.org": 1, "b@example.org": 2})) == 2


def test_which_names_hold_secrets() -> None:
    secret = ("DB_PASSWORD", "apiKey", "X-Api-Key", "Authorization", "client_secret", "githubToken", "password2")
    assert all(is_sensitive_key(name) for name in secret)
    plain = ("token_count", "max_tokens", "secret_name", "key", "author", "keyspace", "passed", "cache_key")
    assert not any(is_sensitive_key(name) for name in plain)


@pytest.mark.parametrize(
    "text",
    [
        "password=" * 20_000,
        'token="' * 20_000,
        "a" * 200_000 + "@",
        "://" * 50_000,
        "a.b" * 60_000 + "@b",
        "-u a:" * 30_000,
    ],
    ids=["pairs", "open quotes", "long word", "slashes", "dotted", "flags"],
)
@pytest.mark.timeout(60)
def test_hostile_text_ends(text: str) -> None:
    assert redact(redact(text)) == redact(text)
