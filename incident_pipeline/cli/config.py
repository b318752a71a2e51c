"""`config check` and `config schema`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from incident_pipeline.cli import context, output

if TYPE_CHECKING:
    from incident_pipeline.configuration.report import KeyReport, Report

_MARKS = {"active": " ", "off": "-", "incomplete": "!", "inactive": "~"}


def check(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Validate the configuration and say of every key what it does now, and what is missing.

    A key that is not active yet or lacks something is no error: the exit status is 0. It is 2 where the
    configuration is wrong.

    Example:
      incident-pipeline config check --config incident.yaml
    """
    from incident_pipeline.configuration.activity import facts_of
    from incident_pipeline.configuration.report import report

    loaded = context.loaded_scenario()
    found = report(loaded, facts_of(loaded.scenario), _overridden())
    if as_json:
        output.print_json(_json(found))
    else:
        _print(found)


def schema() -> None:
    """Print the JSON schema of incident.yaml, with which editors complete and check it.

    Example:
      incident-pipeline config schema > incident.schema.json
    """
    from incident_pipeline.configuration.reference import json_schema

    output.print_json(json_schema())


def _overridden() -> frozenset[str]:
    return frozenset({"data_dir"} if context.names_data_dir() else ())


def _json(found: Report) -> dict[str, Any]:
    return {
        "file": found.file,
        "valid": True,
        "keys": [vars(key) for key in found.keys],
        "missing": [dict(missing) for missing in found.missing],
        "concerns": [key.key for key in found.concerns],
    }


def _print(found: Report) -> None:
    output.print_text(f"{found.file or 'no incident.yaml here, the built-in defaults'}: valid")
    sections: dict[str, list[KeyReport]] = {}
    for key in found.keys:
        sections.setdefault(key.key.rpartition(".")[0], []).append(key)
    for section, keys in sections.items():
        output.print_text(f"\n{output.safe(section) or 'scenario'}")
        for key in keys:
            _print_key(key)
    output.print_text("\n- switched off, ~ nothing uses it yet, ! lacks something, else it works")
    _print_concerns(found)


def _print_key(key: KeyReport) -> None:
    name = output.safe(key.key.rpartition(".")[2])
    value = _value(key.value)
    remark = f" Now: {key.why}" if key.why else ""
    output.print_text(output.safe(f"{_MARKS[key.state]} {name}: {value} ({key.origin})  {key.does}{remark}").rstrip())


def _value(value: Any) -> str:
    if value is None or value in ([], {}):
        return "none"
    return value if isinstance(value, str) else output.json_text(value)


def _print_concerns(found: Report) -> None:
    if not found.concerns:
        output.print_text("\nEverything that the file sets is in use.")
        return
    output.print_text("\nSet, and without the effect it asks for:")
    for key in found.concerns:
        output.print_text(f"  {output.safe(key.key)}: {output.safe(key.why)}")
