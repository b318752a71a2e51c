import json
from pathlib import Path

import pytest

from incident_pipeline.storage.inbox import Inbox
from tests.unit.cli.runner import call
from tests.unit.intake.builders import NOW, alert


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_sources_there_is_nothing_to_ask() -> None:
    result = call("doctor")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith("No source is configured")


def test_each_source_says_whether_it_answers(place: Path) -> None:
    (place / "services.yaml").write_text("- name: payments\n")
    (place / "incident.yaml").write_text(
        "scenario:\n  connections: {alertmanager: {url: 'http://127.0.0.1:9'}}\n"
        "  context:\n    related_alerts: {sources: [alertmanager]}\n    metrics: {provider: absent}\n"
    )
    result = call("doctor", "--json")
    assert result.exit_code == 1
    answers = {each["source"]: each for each in json.loads(result.stdout)}
    assert (answers["catalogue"]["status"], answers["catalogue"]["rows"]) == ("ok", 1)
    assert (answers["alertmanager"]["status"], answers["alertmanager"]["kind"]) == ("unavailable", "related_alerts")
    assert "cannot be reached" in answers["alertmanager"]["error"]
    assert "no connector 'absent'" in answers["absent"]["error"]
    assert "unavailable" in call("doctor").stdout


def own(*words: str) -> dict[str, dict[str, str]]:
    return {each["source"]: each for each in json.loads(call("doctor", "--all", "--json", *words).stdout)}


def test_the_installation_itself_is_asked_too(place: Path) -> None:
    call("alert", "--title", "errors", "--service", "payments", "--data-dir", "data")
    answers = own()
    assert {name: each["status"] for name, each in answers.items() if name not in ("open files", "file system")} == {
        "configuration": "ok",
        "data directory": "ok",
        "inbox": "ok",
        "incidents": "ok",
        "knowledge base": "warning",
        "receiver": "warning",
        "daemon": "warning",
        "waiting": "ok",
    }
    assert {each["kind"] for each in answers.values()} == {"own"}
    assert "1 accepted" in answers["inbox"]["error"]
    assert "has never run here" in call("doctor", "--all").stdout


def test_what_is_broken_is_said_and_the_rest_is_asked(place: Path) -> None:
    data = place / "data"
    (data / "incidents").mkdir(parents=True)
    inbox = Inbox.open(data / "inbox.sqlite")
    inbox.accept([alert("a")], NOW)
    inbox.heartbeat("daemon", NOW)
    inbox.close()
    (data / "incidents" / "INC-1.duckdb").write_bytes(b"damaged" * 5000)
    answers = own()
    assert call("doctor", "--all").exit_code == 1
    assert "may be damaged" in answers["incidents"]["error"]
    assert answers["daemon"]["status"] == "unavailable"
    assert "logs/daemon.log" in answers["daemon"]["error"]
    assert "nobody diagnoses it" in answers["waiting"]["error"]
    assert answers["inbox"]["status"] == "ok"


def test_a_damaged_inbox_is_an_answer(place: Path) -> None:
    (place / "data").mkdir()
    (place / "data" / "inbox.sqlite").write_bytes(b"damaged" * 5000)
    answers = own()
    assert "not a database" in answers["inbox"]["error"]
    assert answers["data directory"]["status"] == "ok"
