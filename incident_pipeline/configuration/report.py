"""What `config check` says of each key: its value, who set it, and what keeps it from working.

Belongs here: one configuration, looked at key by key. Does not belong here: reading it (`file.py`) or trying
whether a source answers (`doctor` does). Values of the environment are never shown, only the names of variables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from incident_pipeline.config import MissingVariable, Scenario, Section
from incident_pipeline.configuration.activity import Facts, judge
from incident_pipeline.configuration.file import LoadedScenario
from incident_pipeline.configuration.mistakes import Location, key_path
from incident_pipeline.durations import format_duration

_USER_INFO = re.compile(r"(?<=://)[^/@\s]+@")


class Origin(StrEnum):
    """Who chose a value."""

    DEFAULT = "default"
    FILE = "file"
    COMMAND_LINE = "command line"


@dataclass(frozen=True)
class KeyReport:
    """One key and what it does now."""

    key: str
    value: Any
    """As JSON; secrets only by the name of their variable."""
    origin: Origin
    state: str
    """active, off (switched off by its value), incomplete (lacks something), inactive (nothing uses it yet)."""
    does: str
    """What the key is for."""
    why: str = ""
    """What is lacking, where the state is not active."""


@dataclass(frozen=True)
class Leaf:
    """One key with a value of its own."""

    where: Location
    value: Any
    does: str
    written: Any = None
    """As the file has it; None: the file does not."""


@dataclass(frozen=True)
class Report:
    """Every key of one configuration."""

    file: str | None
    keys: tuple[KeyReport, ...]
    missing: tuple[MissingVariable, ...] = ()

    @property
    def concerns(self) -> tuple[KeyReport, ...]:
        """The keys that somebody set and that do not do what they say."""
        wrong = ("incomplete", "inactive")
        return tuple(key for key in self.keys if key.state in wrong and key.origin is not Origin.DEFAULT)


def report(loaded: LoadedScenario, facts: Facts, overridden: frozenset[str] = frozenset()) -> Report:
    """Look at every key.

    Args:
        loaded: the configuration.
        facts: what this installation can talk to.
        overridden: keys that the command line or the environment replaced.
    """
    absent = {m.key: m for m in loaded.missing}
    keys = []
    for leaf in leaves(loaded.scenario, loaded.written):
        path = key_path(leaf.where)
        missing = absent.pop(path, None)
        state, why = _lacking(missing) if missing else judge(leaf.where, leaf.value, loaded.scenario, facts)
        why = why or _literal_secret(leaf)
        keys.append(KeyReport(path, _shown(leaf), _origin(leaf, path, overridden), state, leaf.does, why))
    for path, missing in absent.items():  # entries of lists and of names that were left out altogether
        state, why = _lacking(missing)
        keys.append(KeyReport(path, f"${{{missing.variable}}}", Origin.FILE, state, "", why))
    return Report(str(loaded.path) if loaded.path else None, tuple(keys), loaded.missing)


def _lacking(missing: MissingVariable) -> tuple[str, str]:
    return "incomplete", missing.sentence.removeprefix(f"{missing.key}: ")


def leaves(section: Section, written: Any, where: Location = ()) -> Iterator[Leaf]:
    """Every key below a section that has a value of its own, in the order of the models."""
    for name, info in type(section).model_fields.items():
        if isinstance(section, Scenario) and name == "missing":
            continue
        value = getattr(section, name)
        text = _at(written, name)
        yield from _leaves_of(value, text, (*where, name), info.description or "")


def _leaves_of(value: Any, written: Any, where: Location, does: str) -> Iterator[Leaf]:
    if isinstance(value, Section):
        yield from leaves(value, written, where)
    elif isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _leaves_of(inner, _entry(written, name), (*where, name), does)
    else:
        yield Leaf(where, value, does, written)


def _at(written: Any, key: str | int) -> Any:
    return written.get(key) if isinstance(written, Mapping) else None


def _entry(written: Any, name: str) -> Any:
    """An entry by its name, or by the name with hyphens that means the same."""
    found = _at(written, name)
    return found if found is not None else _at(written, name.replace("_", "-"))


def _origin(leaf: Leaf, path: str, overridden: frozenset[str]) -> Origin:
    if path in overridden:
        return Origin.COMMAND_LINE
    return Origin.DEFAULT if leaf.written is None else Origin.FILE


def _shown(leaf: Leaf) -> Any:
    """The value as JSON; what came from the environment as the file names it."""
    if isinstance(leaf.written, str) and "${" in leaf.written:
        return leaf.written
    return _plain(leaf.value)


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return "(hidden)"
    if isinstance(value, Section):
        return value.model_dump(mode="json")
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, (Path, StrEnum)):
        return str(value)
    return _USER_INFO.sub("(hidden)@", value) if isinstance(value, str) else value


def _literal_secret(leaf: Leaf) -> str:
    in_file = isinstance(leaf.value, SecretStr) and "${" not in str(leaf.written)
    return "the secret itself stands in the file; write ${NAME} and set NAME in the environment" if in_file else ""
