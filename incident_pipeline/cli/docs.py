"""The documentation of the commands, from the commands themselves.

`python -m incident_pipeline.cli.docs docs` writes what lies between the markers in `configuration.md` and
`commands.md`, and `incident.schema.json`, anew; a test says when that is needed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.main import get_command

from incident_pipeline.cli.main import app
from incident_pipeline.cli.output import json_text
from incident_pipeline.configuration.reference import json_schema, key_table

BEGIN, END = "<!-- generated: begin -->", "<!-- generated: end -->"
WIDTH = 100


def commands() -> Iterator[tuple[str, Any]]:
    """Every command that does something, with its words: `incidents list`."""
    root: Any = get_command(app)
    yield from _below(root, ())


def _below(group: Any, words: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        if hasattr(command, "list_commands"):
            yield from _below(command, (*words, name))
        else:
            yield " ".join((*words, name)), command


def help_of(words: str, command: Any) -> str:
    """What `--help` prints."""
    about = typer.Context(
        command, info_name=f"incident-pipeline {words}", terminal_width=WIDTH, max_content_width=WIDTH
    )
    return "\n".join(line.rstrip() for line in command.get_help(about).splitlines())


def command_pages() -> str:
    """Every command as Markdown."""
    return "\n".join(f"## {words}\n\n```text\n{help_of(words, command)}\n```\n" for words, command in commands())


def between_markers(text: str, generated: str) -> str:
    """The text with what lies between its markers replaced."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{generated}\n{END}{after}"


def pages(docs: Path) -> dict[Path, str]:
    """Every generated file and what should be in it."""
    return {
        docs / name: between_markers((docs / name).read_text(encoding="utf-8"), generated)
        for name, generated in (("configuration.md", key_table()), ("commands.md", command_pages()))
    } | {docs / "incident.schema.json": json_text(json_schema(), indent=2) + "\n"}


def main(docs: Path) -> None:
    """Write the generated files."""
    for path, text in pages(docs).items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
