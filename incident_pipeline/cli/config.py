"""`config check` and `config schema`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from incident_pipeline.cli import context, output
from incident_pipeline.errors import ConfigurationError

if TYPE_CHECKING:
    from incident_pipeline.config_activity import Facts
    from incident_pipeline.config_report import KeyReport, Report
    from incident_pipeline.models import EvidenceKind

_MARKS = {"active": " ", "off": "-", "incomplete": "!", "inactive": "~"}


def check(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Validate the configuration and say of every key what it does now, and what is missing.

    A key that is not active yet or lacks something is no error: the exit status is 0. It is 2 where the
    configuration is wrong.

    Example:
      incident-pipeline config check --config incident.yaml
    """
    from incident_pipeline.config_report import report

    loaded = context.loaded_scenario()
    found = report(loaded, facts(), _overridden())
    if as_json:
        output.print_json(_json(found))
    else:
        _print(found)


def schema() -> None:
    """Print the JSON schema of incident.yaml, with which editors complete and check it.

    Example:
      incident-pipeline config schema > incident.schema.json
    """
    from incident_pipeline.config_docs import json_schema

    output.print_json(json_schema())


def facts() -> Facts:
    """What this installation can talk to."""
    from incident_pipeline.config_activity import Facts
    from incident_pipeline.connectors.registry import connector_names
    from incident_pipeline.console.webhooks import BUILT_IN

    return Facts({name: _kinds(name) for name in connector_names()}, webhooks=frozenset(BUILT_IN))


def _kinds(name: str) -> frozenset[EvidenceKind]:
    """What a connector can be asked; nothing where another package's cannot be loaded."""
    from incident_pipeline.connectors.registry import connector_named

    try:
        connector = connector_named(name)
    except ConfigurationError as error:
        output.note(str(error))
        return frozenset()
    return connector.kinds if connector else frozenset()


def _overridden() -> frozenset[str]:
    given = context.invocation().data_dir or os.environ.get("INCIDENT_PIPELINE_DATA_DIR")
    return frozenset({"data_dir"} if given else ())


def _json(found: Report) -> dict[str, Any]:
    return {
        "file": found.file,
        "valid": True,
        "keys": [vars(key) for key in found.keys],
        "missing": [dict(missing) for missing in found.missing],
        "concerns": [key.key for key in found.concerns],
    }


def _print(found: Report) -> None:
    output.print_text(f"{found.file or 'No incident.yaml here: the built-in defaults'}: valid")
    section = None
    for key in found.keys:
        head, _, name = key.key.rpartition(".")
        if head != section:
            section = head
            output.print_text(f"\n{output.safe(head) or 'scenario'}")
        _print_key(name, key)
    output.print_text(
        "\n  = works, - = switched off, ~ = nothing uses it yet, ! = lacks something".replace("  =", "blank =", 1)
    )
    _print_concerns(found)


def _print_key(name: str, key: KeyReport) -> None:
    value = output.safe(output.json_text(key.value)) if not isinstance(key.value, str) else output.safe(key.value)
    remark = output.safe(key.why or key.does)
    output.print_text(f"{_MARKS[key.state]} {name}: {value} ({key.origin}) {remark}".rstrip())


def _print_concerns(found: Report) -> None:
    if not found.concerns:
        output.print_text("\nEverything that the file sets is in use.")
        return
    output.print_text("\nSet, and without the effect it asks for:")
    for key in found.concerns:
        output.print_text(f"  {output.safe(key.key)}: {output.safe(key.why)}")
