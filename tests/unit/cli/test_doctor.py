import json
from pathlib import Path

import pytest

from tests.unit.cli.runner import call


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
