import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.runner import call

KEYS = {
    *("incident_id", "title", "severity", "status", "services", "alerts", "started_at", "received_at"),
    *("diagnosed_at", "resolved_at", "cause", "confidence", "run_ids"),
}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "incident.yaml").write_text("scenario: {receiver: {port: 9}}\n")
    return tmp_path


def incident(service: str, title: str = "errors", at: str = "2026-11-23T14:35:00Z", severity: str = "P2") -> str:
    answer = call("alert", "--title", title, "--service", service, "--started-at", at, "--severity", severity, "--json")
    return str(json.loads(answer.stdout)["incidents"][0])


def listed(*words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(call("incidents", "list", "--json", *words).stdout)
    return found


def only(incident_id: str) -> dict[str, Any]:
    return next(each for each in listed("--merged") if each["incident_id"] == incident_id)


def refused(*words: str) -> str:
    result = call(*words)
    assert result.exit_code == 1
    assert result.stdout == ""
    return result.stderr


def test_an_empty_place_lists_nothing_and_makes_nothing(place: Path) -> None:
    assert listed() == []
    assert call("incidents", "list").stderr == f"No incident in {place / 'data'}.\n"
    assert not (place / "data").exists()


def test_the_list_has_what_scripts_need_newest_first() -> None:
    first, second = incident("payments"), incident("search", severity="P1")
    found = listed()
    assert [each["incident_id"] for each in found] == [second, first]
    assert set(found[0]) >= KEYS
    assert (found[0]["severity"], found[0]["diagnosed_at"], found[0]["run_ids"]) == ("P1", None, [])
    assert found[0]["started_at"] == "2026-11-23T14:35:00Z"
    assert [each["incident_id"] for each in listed("--limit", "1")] == [second]


def test_the_table_has_one_line_for_each() -> None:
    ids = [incident("payments", "Payment errors"), incident("search", "Slow search")]
    lines = call("incidents", "list").stdout.splitlines()
    assert len(lines) == 3
    assert all(name in "\n".join(lines) for name in [*ids, "Payment errors", "Slow search", "investigating"])


def test_ack_resolve_and_reopen() -> None:
    name = incident("payments")
    assert call("ack", name).stdout == f"{name} acknowledged: errors (investigating)\n"
    assert only(name)["acknowledged_at"]
    assert json.loads(call("resolve", name, "--note", "rolled back", "--json").stdout)["status"] == "resolved"
    assert [each["status"] for each in listed("--status", "resolved")] == ["resolved"]
    assert listed("--status", "investigating") == []
    assert "opened again" in call("reopen", name, "--reason", "errors are back").stdout
    assert only(name)["status"] == "investigating"


def test_merge() -> None:
    kept, gone = incident("payments"), incident("search", "slow")
    assert f"{kept} now holds the alerts of {gone}" in call("merge", gone, kept).stdout
    assert [(each["incident_id"], each["alerts"]) for each in listed()] == [(kept, 2)]
    assert only(gone)["merged_into"] == kept
    assert f"was merged into {kept}" in refused("ack", gone)


def test_split() -> None:
    both = [
        {"title": name, "source_id": name, "service": "payments", "started_at": "2026-11-23T14:35:00Z"} for name in "ab"
    ]
    (name,) = json.loads(call("alert", "--json", stdin=json.dumps(both)).stdout)["incidents"]
    new = json.loads(call("split", name, "b", "--json").stdout)["incident_id"]
    assert {each["incident_id"]: each["alerts"] for each in listed()} == {name: 1, new: 1}
    assert "has no alert 'b'" in refused("split", name, "b")


def test_mute_says_its_number_and_can_be_ended() -> None:
    words = ["mute", "--service", "payments", "--reason", "upgrade"]
    muted = json.loads(call(*words, "--for", "2h", "--json").stdout)
    name = incident("payments")
    assert only(name)["muted_until"] == muted["until"]
    assert "investigating (muted)" in call("incidents", "list").stdout
    assert call("mute", "--end", str(muted["mute"])).stdout == f"mute {muted['mute']} has ended\n"
    assert only(name)["muted_until"] is None
    assert call(*words, "--until", "2126-01-01T00:00Z").stdout.endswith("quiet until 2126-01-01 00:00:00Z\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["ack", "INC-none"], "there is no incident 'INC-none'"),
        (["resolve", "INC-none"], "there is no incident 'INC-none'"),
        (["merge", "INC-none", "INC-none"], "there is no incident 'INC-none'"),
        (["split", "INC-none", "x"], "there is no incident 'INC-none'"),
        (["mute", "--service", "a", "--for", "1h"], "a mute needs a reason"),
        (["mute", "--for", "1h", "--reason", "x"], "a mute needs a service or a pattern"),
        (["mute", "--service", "a", "--until", "2020-01-01", "--reason", "x"], "has to end in the future"),
        (["mute", "--end", "7"], "there is no mute 7"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(words: list[str], sentence: str) -> None:
    text = refused(*words)
    assert text.startswith("incident-pipeline: ")
    assert sentence in text
    assert text.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["mute", "--service", "a", "--reason", "x"], "say how long"),
        (["mute", "--service", "a", "--for", "long", "--reason", "x"], "--for: 'long' is not a duration"),
        (["mute", "--service", "a", "--for", "99999999d", "--reason", "x"], "--for: "),
        (["mute", "--service", "a", "--until", "soon", "--reason", "x"], "--until: 'soon' is not a moment"),
        (["incidents", "list", "--status", "gone"], "--status"),
        (["incidents", "list", "--limit", "0"], "--limit"),
        (["ack"], "ID"),
    ],
)
def test_wrong_usage(words: list[str], sentence: str) -> None:
    result = call(*words)
    assert result.exit_code == 2
    assert sentence in result.stderr


def test_reopen_only_what_has_ended() -> None:
    assert "only an ended one can be reopened" in refused("reopen", incident("payments"))


def test_who_did_it_is_on_record() -> None:
    from incident_pipeline.cli import context

    name = incident("payments")
    call("ack", name, "--by", "on-call")
    application = context.Invocation().application
    whos = [event.who for event in application.inbox.events(name) if event.kind == "incident_acknowledged"]
    application.close()
    assert whos == ["on-call"]
