"""A runbook's steps as actions that people approve one by one; pure.

A step is a numbered item below a heading such as Steps; what is fenced within it are its commands, one a line, with
`{{ service }}` and its siblings filled in. A command that only a shell understands is done by hand.

Belongs here: from Markdown to actions. Does not belong here: running them (`executors/runbook.py`).
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from incident_pipeline.errors import PermanentSourceError
from incident_pipeline.models import ActionCall, ActionType, RemediationAction, Risk, SuggestedRunbook
from incident_pipeline.remediation.placeholders import fill

EXECUTOR = "runbook"
MOST_STEPS = 12
_HEADING = re.compile(r"#{1,6}\s+(.*?)\s*#*$")
_ABOUT_STEPS = re.compile(
    r"\b(steps?|fix|mitigat\w*|remediat\w*|resol\w*|actions?|what to do|procedure)\b", re.IGNORECASE
)
_ITEM = re.compile(r"\s{0,3}(\d{1,3})[.)]\s+(.*)$")
_FENCE = re.compile(r"\s*(```+|~~~+)")
_FOR_A_SHELL = re.compile(r"[;&|<>$`()*?~\\!#]|\n")
_BRACES = re.compile(r"\{\{[^{}]*\}\}")


class Step(NamedTuple):
    """One numbered item of a runbook."""

    number: str
    text: str
    commands: tuple[str, ...]


def steps_of(markdown: str) -> list[Step]:
    """The numbered items that tell what to do, each with the commands fenced within it."""
    items = list(_items(markdown))
    told = [step for about, step in items if about] or [step for _, step in items]
    return told[:MOST_STEPS]


def step_actions(runbook: SuggestedRunbook, markdown: str, values: Mapping[str, str]) -> Iterator[RemediationAction]:
    """One action for each command of each step; nothing for a runbook without fenced commands.

    Args:
        runbook: which one.
        markdown: its text.
        values: what stands for the placeholders.
    """
    for step in steps_of(markdown):
        for position, line in enumerate(step.commands, start=1):
            which = f"step {step.number}" + (f".{position}" if len(step.commands) > 1 else "")
            yield _action(runbook, f"{which}: {step.text}", line, values)


def _action(runbook: SuggestedRunbook, said: str, line: str, values: Mapping[str, str]) -> RemediationAction:
    words, missing = _words(line, values)
    return RemediationAction(
        action_id="",
        type=ActionType.RUNBOOK_STEP,
        title=f"Runbook {runbook.title}, {said}",
        why=runbook.why,
        target=values.get("service"),
        command=shlex.join(words) if words else line,
        risk=Risk.MEDIUM,
        risk_reasons=("what a runbook's command does is not known here",),
        expected_effect="As the runbook says.",
        verification="As the runbook says; its output is kept.",
        undo="As the runbook says.",
        missing=missing,
        needs=("the executor runbook",) if words else ("a person: the command needs a shell",),
        call=ActionCall(executor=EXECUTOR, operation="run", parameters={"words": json.dumps(words)}) if words else None,
    )


def _words(line: str, values: Mapping[str, str]) -> tuple[list[str], str]:
    """The words of a command, filled in one by one, and what is missing; no words where it needs a shell."""
    if _FOR_A_SHELL.search(_BRACES.sub("x", line)):
        return [], ""
    try:
        # braces are kept together, whatever blanks are within
        parts = shlex.split(_BRACES.sub(lambda found: found[0].replace(" ", ""), line))
        return [fill(part, values, "the runbook") for part in parts], ""
    except ValueError:
        return [], ""
    except PermanentSourceError as error:
        return [], str(error)


def _items(markdown: str) -> Iterator[tuple[bool, Step]]:
    """Every numbered item, and whether it stands below a heading about what to do."""
    about, number, text, commands = False, "", "", []
    fence = ""
    for line in markdown.splitlines():
        opened = _FENCE.match(line)
        if fence:
            if opened and opened[1].startswith(fence):
                fence = ""
            elif number and line.strip() and not line.strip().startswith("#"):
                commands.append(line.strip().removeprefix("$ "))
            continue
        if opened:
            fence = opened[1]
            continue
        heading, item = _HEADING.match(line), _ITEM.match(line)
        if (heading or item) and number:
            yield about, Step(number, text, tuple(commands))
            number, commands = "", []
        if heading:
            about = bool(_ABOUT_STEPS.search(heading[1]))
        elif item:
            number, text = item[1], item[2].strip()
    if number:
        yield about, Step(number, text, tuple(commands))
