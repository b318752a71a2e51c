"""Local commands: from the allow-list alone, word by word, within their time."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from incident_pipeline.config import Scenario
from incident_pipeline.errors import PermanentSourceError
from incident_pipeline.models import ActionCall
from incident_pipeline.remediation.executors.base import Effect, Executor
from incident_pipeline.remediation.executors.registry import executor_named

NOW = datetime.now(UTC)
PRINT = [
    sys.executable,
    "-c",
    "import sys; print(sys.argv[1:])",
    "{{ service }}",
    "--to={{ version }}",
    "{{ execution }}",
]


def made(**execution: Any) -> Executor:
    return executor_named("command", Scenario.model_validate({"remediation": {"execution": execution}}))


def call(**parameters: str) -> ActionCall:
    given = {key.replace("value_", "value."): value for key, value in parameters.items()}
    return ActionCall(executor="command", operation="restart", parameters=given)


def test_a_command_gets_its_words_as_they_are() -> None:
    what = call(command="print", value_service="payments", value_version="v1.2")
    outcome = made(commands={"print": PRINT}).execute(what, made(commands={"print": PRINT}).plan(what), "INC-1.a.1")
    assert (outcome.output, outcome.exit_status) == ("['payments', '--to=v1.2', 'INC-1.a.1']", 0)


@pytest.mark.parametrize("service", ["$(id)", "a b", "a;b", "-rf", "../x", "a\nb", "`id`", "a'b", "", "{{ version }}"])
def test_a_value_that_could_act_is_not_filled_in(service: str) -> None:
    with pytest.raises(PermanentSourceError, match=r"not a plain name|not known for this action"):
        made(commands={"print": PRINT}).plan(call(command="print", value_service=service, value_version="v1"))


def test_only_what_is_allowed_runs() -> None:
    with pytest.raises(PermanentSourceError, match=r"'rm' is not in remediation.execution.commands; there are: print"):
        made(commands={"print": PRINT}).plan(call(command="rm"))


def test_names_that_are_not_of_the_list_are_refused() -> None:
    with pytest.raises(PermanentSourceError, match="home }} is not known"):
        made(commands={"x": ["echo", "{{ home }}"]}).plan(call(command="x"))


def test_it_sees_none_of_our_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAGER_SECRET_KEY", "hush-hush-1234")
    show = [sys.executable, "-c", "import os; print(sorted(os.environ))"]
    outcome = made(commands={"show": show}).execute(
        call(command="show"), made(commands={"show": show}).plan(call(command="show")), "m"
    )
    assert "PAGER_SECRET_KEY" not in outcome.output


def test_what_takes_too_long_is_ended_and_uncertain() -> None:
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    executor, what = made(commands={"sleep": sleep}, time_limit="0.2s"), call(command="sleep")
    outcome = executor.execute(what, executor.plan(what), "m")
    assert (outcome.succeeded, outcome.uncertain) == (False, True)


@pytest.mark.parametrize(
    ("status", "effect"), [(0, Effect.HAPPENED), (1, Effect.NOT_HAPPENED), (3, Effect.CANNOT_TELL)]
)
def test_a_check_tells_by_its_status(status: int, effect: Effect) -> None:
    commands = {"do": ["true"], "check": [sys.executable, "-c", f"raise SystemExit({status})"], "back": ["true"]}
    executor, what = made(commands=commands), call(command="do", check="check", undo="back")
    planned = executor.plan(what)
    assert executor.verify(what, planned, "m", NOW).effect is effect
    undo = executor.undo(what, planned)
    assert undo is not None
    assert undo.parameters == {"command": "back"}
    assert executor.verify(call(command="do"), planned, "m", NOW).effect is Effect.CANNOT_TELL


def test_its_output_is_redacted() -> None:
    said = "password=hunter2-hunter2"
    executor, what = made(commands={"say": ["echo", said]}), call(command="say")
    assert "hunter2" not in executor.execute(what, executor.plan(what), "m").output


def test_a_dry_run_is_another_command(tmp_path: Path) -> None:
    executor = made(commands={"do": ["touch", str(tmp_path / "done")], "dry": ["echo", "would touch"]})
    what = call(command="do", dry_run="dry")
    dry = executor.dry_run(what, executor.plan(what))
    assert dry is not None
    assert dry.output == "would touch"
    assert not (tmp_path / "done").exists()
