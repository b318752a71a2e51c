"""The table of webhooks: every reader is there, and no signature is let through that is none."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from incident_pipeline.connectors import signatures
from incident_pipeline.connectors.webhooks import READERS, SIGNED, is_genuine, reader
from incident_pipeline.errors import InputError
from tests.connectors.questions import AROUND

SECRET = (SecretStr("s3cr3t"),)
NOW = AROUND.timestamp()
BODY = b'{"event": {}}'

json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
FIELDS = "event alert alerts data type id alertId event_type title text ts channel status labels startsAt createdAt"
nested = st.recursive(
    json_values, lambda inner: st.dictionaries(st.sampled_from(FIELDS.split()), inner, max_size=6), max_leaves=20
)


@pytest.mark.parametrize("source", sorted(READERS))
@given(body=nested)
def test_whatever_arrives_is_alerts_or_one_sentence(source: str, body: object) -> None:
    read = reader(source)
    assert read is not None
    try:
        alerts = read(body, received_at=AROUND)
    except InputError as error:
        alerts, sentence = [], str(error)
    else:
        sentence = ""
    assert "\n" not in sentence
    for alert in alerts:
        alert.model_dump_json()


def signed(message: bytes) -> str:
    return hmac.new(b"s3cr3t", message, hashlib.sha256).hexdigest()


GOOD = {
    "pagerduty": {"x-pagerduty-signature": f"v1={signed(BODY)}"},
    "github": {"x-hub-signature-256": f"sha256={signed(BODY)}"},
    "gitlab": {"x-gitlab-token": "s3cr3t"},
    "slack": {
        "x-slack-request-timestamp": str(int(NOW)),
        "x-slack-signature": f"v0={signed(f'v0:{int(NOW)}:'.encode() + BODY)}",
    },
}


@pytest.mark.parametrize("source", sorted(SIGNED))
def test_signed_sources(source: str) -> None:
    assert is_genuine(source, GOOD[source], BODY, SECRET, NOW) is True
    assert is_genuine(source, GOOD[source], BODY, (SecretStr("other"), *SECRET), NOW) is True
    assert is_genuine(source, GOOD[source], BODY, (), NOW) is False
    assert is_genuine(source, GOOD[source], BODY, (SecretStr(""), SecretStr("  ")), NOW) is False
    assert is_genuine(source, {}, BODY, SECRET, NOW) is False
    assert is_genuine(source, dict.fromkeys(GOOD[source], ""), BODY, SECRET, NOW) is False
    if source != "gitlab":
        assert is_genuine(source, GOOD[source], BODY + b" ", SECRET, NOW) is False


def test_sources_without_a_signature_leave_it_to_their_token() -> None:
    assert {is_genuine(source, {}, BODY, SECRET, NOW) for source in set(READERS) - SIGNED} == {None}
    assert reader("nowhere") is None


def test_our_own_scheme_refuses_what_is_old() -> None:
    stamp = str(int(NOW))
    headers = {"x-timestamp": stamp, "x-signature": f"sha256={signed(stamp.encode() + b'.' + BODY)}"}
    assert signatures.timestamped(headers, BODY, SECRET, NOW + 300)
    assert not signatures.timestamped(headers, BODY, SECRET, NOW + 302)
    assert not signatures.timestamped({**headers, "x-timestamp": "-1"}, BODY, SECRET, NOW)
    assert not signatures.timestamped({**headers, "x-timestamp": "٣"}, BODY, SECRET, NOW)
