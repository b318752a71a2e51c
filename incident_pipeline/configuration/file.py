"""From `incident.yaml` and the environment to a `Scenario`.

Belongs here: finding the file, filling in `${NAME}`, saying what is missing.
Does not belong here: what the keys are (`config.py`), what each does now (`report.py`).

A value that names a variable which nobody has set is left out, as if its line were not there: its source is then
unavailable and says so, and everything else works.
"""

from __future__ import annotations

import io
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dotenv.parser import parse_stream
from pydantic import ValidationError

from incident_pipeline.config import MissingVariable, Scenario
from incident_pipeline.configuration.mistakes import Location, key_path, keys_of, section_at, sentences, unknown_key
from incident_pipeline.configuration.yaml_text import read_yaml
from incident_pipeline.errors import ConfigurationError

__all__ = ["DEFAULT_FILE", "LoadedScenario", "MissingVariable", "load_scenario"]

DEFAULT_FILE = Path("incident.yaml")

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_LEFT_OUT = object()


@dataclass(frozen=True)
class LoadedScenario:
    """A configuration and where it came from."""

    scenario: Scenario
    path: Path | None
    """The file; None: the built-in defaults."""
    missing: tuple[MissingVariable, ...] = ()
    written: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What stands below `scenario` in the file, before `${NAME}` was filled in."""

    @property
    def name(self) -> str:
        """How sentences call it."""
        return str(self.path) if self.path else "the built-in defaults"


def load_scenario(
    path: Path | None = None, data_dir: Path | None = None, environ: Mapping[str, str] | None = None
) -> LoadedScenario:
    """Read the configuration.

    Args:
        path: the file; None: `incident.yaml` here where there is one, else the defaults.
        data_dir: replaces the file's; None: the file's, else `./data`.
        environ: where `${NAME}` is looked up before `.env` beside the file; None: this process's environment.

    Paths in the file are relative to the file; those nobody names are relative to the working directory.

    Raises:
        ConfigurationError: the file is missing or wrong; one sentence for each thing that is.
    """
    environ = os.environ if environ is None else environ
    path = path or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)
    written = _below_scenario(read_yaml(path), str(path)) if path else {}
    variables = _variables(path.parent if path else Path(), environ)
    filled = _Filled(variables.get)
    given = filled.fill(written)
    try:
        scenario = Scenario.model_validate(given)
    except ValidationError as error:
        raise ConfigurationError("\n".join(sentences(error, written, str(path)))) from None
    scenario = _with_absolute_paths(scenario, written, path.parent if path else Path())
    missing = tuple(
        MissingVariable(key=key_path(where), variable=variable, switches_off=_switches_off(scenario, where))
        for where, variable in filled.missing
    )
    update = {"missing": missing} | ({"data_dir": data_dir.expanduser().absolute()} if data_dir else {})
    return LoadedScenario(scenario.model_copy(update=update), path, missing, written)


def _variables(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment over `.env`; what is set to nothing is not set."""
    dotenv = folder / ".env"
    beside = _dotenv(dotenv) if dotenv.is_file() else {}
    return {name: value for name, value in [*beside.items(), *environ.items()] if value}


def _dotenv(path: Path) -> dict[str, str | None]:
    try:
        bindings = list(parse_stream(io.StringIO(path.read_text(encoding="utf-8-sig"))))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read ({type(error).__name__}); it must be UTF-8 text") from None
    for binding in bindings:
        if binding.error:
            raise ConfigurationError(f"{path}: line {binding.original.line} cannot be read; write NAME=value")
    return {binding.key: binding.value for binding in bindings if binding.key is not None}


def _below_scenario(document: Any, name: str) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise ConfigurationError(f"{name}: must begin with the key scenario and have everything below it")
    others = [key for key in document if key != "scenario"]
    if others and others[0] in keys_of(Scenario):
        raise ConfigurationError(f"{name}: {others[0]} belongs below the key scenario; indent it there")
    if others:
        raise ConfigurationError(f"{name}: {unknown_key(others[0], ['scenario'])}")
    written = document.get("scenario")
    if written is None:
        return {}
    if not isinstance(written, dict):
        raise ConfigurationError(f"{name}: scenario: must be a section with keys of its own")
    if "missing" in written:
        raise ConfigurationError(f"{name}: {unknown_key('missing', keys_of(Scenario))}")
    return written


class _Filled:
    """Fills `${NAME}` in and remembers which were missing."""

    def __init__(self, lookup: Callable[[str], str | None]) -> None:
        self._lookup = lookup
        self.missing: list[tuple[Location, str]] = []

    def fill(self, value: Any, where: Location = ()) -> Any:
        if isinstance(value, dict):
            filled = {key: self.fill(inner, (*where, key)) for key, inner in value.items()}
            if section_at(where) is None:
                return {key: inner for key, inner in filled.items() if inner is not _LEFT_OUT}
            return {key: None if inner is _LEFT_OUT else inner for key, inner in filled.items()}
        if isinstance(value, list):
            items = (self.fill(inner, (*where, index)) for index, inner in enumerate(value))
            return [item for item in items if item is not _LEFT_OUT]
        return self._fill_text(value, where) if isinstance(value, str) else value

    def _fill_text(self, text: str, where: Location) -> Any:
        absent = [name for name in _VARIABLE.findall(text) if self._lookup(name) is None]
        self.missing.extend((where, name) for name in dict.fromkeys(absent))
        if not absent:
            return _VARIABLE.sub(lambda match: self._lookup(match[1]) or "", text)
        if where[:2] == ("receiver", "tokens"):
            # Without its token a source would fall back to "this machine may send": refuse instead, whoever asks.
            return secrets.token_urlsafe(32)
        return _LEFT_OUT


def _with_absolute_paths(scenario: Scenario, written: Mapping[str, Any], folder: Path) -> Scenario:
    """Every path absolute, so that processes started elsewhere mean the same files."""

    def absolute(path: Path, *, in_file: bool) -> Path:
        path = path.expanduser()
        return ((folder / path) if in_file else path).absolute()

    update: dict[str, Any] = {
        key: absolute(getattr(scenario, key), in_file=written.get(key) is not None)
        for key in ("data_dir", "templates_dir", "services_file")
    }
    update["connections"] = {
        name: connection.model_copy(update={"ca": absolute(connection.ca, in_file=True)})
        if connection.ca
        else connection
        for name, connection in scenario.connections.items()
    }
    sources = tuple(str(absolute(Path(source), in_file=True)) for source in scenario.knowledge_base.sources)
    update["knowledge_base"] = scenario.knowledge_base.model_copy(update={"sources": sources})
    repositories = {
        service: tuple(_repository(entry, absolute) for entry in entries)
        for service, entries in scenario.context.code.repositories.items()
    }
    code = scenario.context.code.model_copy(update={"repositories": repositories})
    update["context"] = scenario.context.model_copy(update={"code": code})
    return scenario.model_copy(update=update)


def _repository(entry: str, absolute: Callable[..., Path]) -> str:
    """A path is one that begins like one: `org/name` is a repository of a host."""
    is_path = entry in (".", "..") or entry.startswith(("./", "../", "~"))
    return str(absolute(Path(entry), in_file=True)) if is_path else entry


def _switches_off(scenario: Scenario, where: Location) -> str:
    """What does not work while the value at `where` is missing."""
    names = [str(step) for step in where]
    if names[:2] == ["alerts", "sources"] and len(names) > 3:
        return _uses(scenario, names[2], alerts=True)
    if names[0] == "connections" and len(names) > 2:
        return _uses(scenario, names[1], alerts=names[1] in scenario.alerts.sources)
    if names[:2] == ["receiver", "tokens"] and len(names) > 2:
        return "/metrics: nobody may read it" if names[2] == "metrics" else f"webhooks of {names[2]}: they are refused"
    if names[:3] == ["context", "metrics", "queries"] and len(names) > 3:
        return f"the metric {names[3]}"
    return "this value; the default is used"


def _is_of(system: str, source: str) -> bool:
    """Whether a source is a system or a part of it: `github-actions` uses the connection `github`."""
    return source == system or source.startswith(f"{system}-")


def _uses(scenario: Scenario, system: str, *, alerts: bool) -> str:
    """`alerts, metrics and logs of datadog`."""
    context = scenario.context
    providers = {"metrics": context.metrics.provider, "logs": context.logs.provider}
    listed = {
        "deployments": context.deployments.sources,
        "code changes": context.code.sources,
        "flag changes": context.flags.sources,
        "traces": context.traces.sources,
        "related alerts": context.related_alerts.sources,
    }
    uses = ["alerts"] if alerts else []
    uses += [use for use, provider in providers.items() if provider and _is_of(system, provider)]
    uses += [use for use, sources in listed.items() if any(_is_of(system, source) for source in sources)]
    if not uses:
        return f"{system}, which nothing uses"
    said = uses[0] if len(uses) == 1 else f"{', '.join(uses[:-1])} and {uses[-1]}"
    return f"{said} of {system}"
