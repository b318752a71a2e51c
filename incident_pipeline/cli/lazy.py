"""Commands that are imported when they are called, so that `--help` and start-up stay fast.

Belongs here: the seam to typer. Does not belong here: which commands there are (`main.py`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import import_module
from types import MappingProxyType
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

ANYWHERE = ("--config", "--data-dir")
"""Options of the whole program that may stand anywhere on the line."""


@dataclass(frozen=True)
class Command:
    """Where a command lives: `package.module:function`, or `package.module:app` for a group of its own."""

    target: str
    summary: str
    """The one line that lists of commands show."""


@dataclass(frozen=True)
class Group:
    """Commands below one word."""

    summary: str
    commands: Mapping[str, Command] = field(default_factory=dict)
    also: Mapping[str, Command] = field(default_factory=dict)
    """Commands of their own that are understood below this word too, and not listed here."""


class LazyGroup(TyperGroup):
    """A group that knows its commands' names and summaries, and imports each when it is called."""

    table: Mapping[str, Command | Group]
    also: Mapping[str, Command] = MappingProxyType({})

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        _arrange_help(self)

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """The names, in the order of the table."""
        return list(self.table)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """Import and build one command."""
        entry = self.table.get(cmd_name) or self.also.get(cmd_name)
        if entry is None:
            return None
        if cmd_name not in self.commands:
            self.commands[cmd_name] = build(cmd_name, entry)
        return self.commands[cmd_name]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command; a misspelled one is answered with the nearest names."""
        if args and args[0] not in {*self.table, *self.also} and not args[0].startswith("-"):
            close = get_close_matches(args[0], [*self.table, *self.also], n=1)
            hint = f"did you mean {close[0]}?" if close else f"see {ctx.command_path} --help"
            ctx.fail(f"there is no command {args[0]!r}; {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """List the commands from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in self.table.items()])


def lazy_group(name: str, group: Group) -> Any:
    """A group whose commands are imported one by one."""
    built = LazyGroup(name=name, help=group.summary, no_args_is_help=True, rich_markup_mode=None)
    built.table, built.also = group.commands, group.also
    return built


def build(name: str, entry: Command | Group) -> Any:
    """The command behind an entry."""
    if isinstance(entry, Group):
        return lazy_group(name, entry)
    module, _, attribute = entry.target.partition(":")
    target = getattr(import_module(module), attribute)
    if isinstance(target, typer.Typer):
        target.rich_markup_mode = None
        command: Any = get_group(target)
    else:
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(name)(target)
        command = get_command(single)
    command.name = name
    _arrange_help(command)
    return command


def hoist(args: list[str]) -> list[str]:
    """Put the options that may stand anywhere before the command; what follows `--` is left alone."""
    end = args.index("--") if "--" in args else len(args)
    hoisted: list[str] = []
    rest: list[str] = []
    words = iter(args[:end])
    for word in words:
        if word in ANYWHERE:
            value = next(words, None)
            if value is None:
                return [word]  # the parser then says that it wants a value
            hoisted += [word, value]
        elif word.startswith(tuple(f"{option}=" for option in ANYWHERE)):
            hoisted.append(word)
        else:
            rest.append(word)
    return hoisted + rest + args[end:]


def close_stdout_quietly() -> None:
    """Write out what is left; a reader that has gone is no error of ours."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _arrange_help(command: Any) -> None:
    """Show indented lines of a docstring as they are, and leave out what speaks to programmers."""
    if command.help:
        paragraphs = command.help.split("\n\n")
        kept = [p for p in paragraphs if not p.lstrip().startswith(("Args:", "Returns:", "Raises:", "Yields:"))]
        command.help = "\n\n".join(f"\b\n{p}" if _is_verbatim(p) else p for p in kept)
    for inner in getattr(command, "commands", {}).values():
        _arrange_help(inner)


def _is_verbatim(paragraph: str) -> bool:
    return not paragraph.startswith("\b") and any(line.startswith("  ") for line in paragraph.split("\n"))
