"""`incident-pipeline`: which commands there are, and what becomes of their mistakes.

Belongs here: the table of commands, the options that all of them take, exit statuses. Does not belong here: what a
command does; each lives in its module of this package and is imported when it is called.

Exit status: 0 done, 1 a problem in the world, 2 wrong usage or configuration.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from incident_pipeline.cli import context
from incident_pipeline.cli.lazy import Command, Group, LazyGroup, close_stdout_quietly, hoist
from incident_pipeline.cli.output import note
from incident_pipeline.errors import ConfigurationError, IncidentPipelineError

_HERE = "incident_pipeline.cli"

OF_ONE_INCIDENT: dict[str, Command] = {
    "ack": Command(f"{_HERE}.incidents:ack", "Say that somebody has seen an incident."),
    "resolve": Command(f"{_HERE}.incidents:resolve", "Say that an incident is over."),
    "reopen": Command(f"{_HERE}.incidents:reopen", "Open a resolved incident again."),
    "merge": Command(f"{_HERE}.incidents:merge", "Make one incident of two."),
    "split": Command(f"{_HERE}.incidents:split", "Move alerts of an incident into one of their own."),
    "mute": Command(f"{_HERE}.incidents:mute", "Keep alerts of a service quiet until a given time."),
    "show": Command(f"{_HERE}.stored:show", "Show an incident, or one of its assets at any version."),
    "versions": Command(f"{_HERE}.stored:versions", "List the stored versions of an incident's assets."),
    "diff": Command(f"{_HERE}.stored:diff", "Compare two versions of an asset."),
    "timeline": Command(f"{_HERE}.stored:timeline", "Print the timeline of an incident."),
    "postmortem": Command(f"{_HERE}.closing:postmortem", "Print an incident's postmortem, or keep an edited one."),
    "action-items": Command(f"{_HERE}.closing:action_items", "List what is still to be done after an incident."),
    "messages": Command(f"{_HERE}.closing:messages", "Show what people were told of an incident, and what waits."),
    "confirm": Command(f"{_HERE}.feedback:confirm", "Say what the cause of an incident was."),
    "actions": Command(f"{_HERE}.actions:actions", "List the actions proposed for an incident."),
    "approve": Command(f"{_HERE}.actions:approve", "Agree to an action; it is carried out once."),
    "reject": Command(f"{_HERE}.actions:reject", "Refuse an action; it is not carried out."),
    "settle": Command(f"{_HERE}.actions:settle", "Say how an action ended that nobody else can tell of."),
    "export": Command(f"{_HERE}.stored:export", "Write an incident's evidence as a folder."),
}
"""Commands about one incident; understood below `incidents` as well."""

COMMANDS: dict[str, Command | Group] = {
    "replay": Command(f"{_HERE}.replay:replay", "Play an incident folder through the whole pipeline; nothing is sent."),
    "diagnose": Command(f"{_HERE}.diagnose:diagnose", "Diagnose incident folders, without storing anything."),
    "backtest": Command(f"{_HERE}.diagnose:backtest", "Measure the diagnosis on folders whose cause is known."),
    "init": Command(f"{_HERE}.init:init", "Write a first incident.yaml."),
    "config": Group(
        "Check and describe the configuration.",
        {
            "check": Command(f"{_HERE}.config:check", "Say what every key does now, and what is missing."),
            "schema": Command(f"{_HERE}.config:schema", "Print the JSON schema of incident.yaml."),
        },
    ),
    "doctor": Command(f"{_HERE}.doctor:doctor", "Ask every configured source whether it answers."),
    "up": Command(f"{_HERE}.up:up", "Run receiver, Dagster daemon and web server until Ctrl-C."),
    "alert": Command(f"{_HERE}.alert:alert", "Send an alert by hand."),
    "incidents": Group(
        "The incidents that are stored.",
        {"list": Command(f"{_HERE}.incidents:list_incidents", "List the incidents, newest first.")},
        also=OF_ONE_INCIDENT,
    ),
    **OF_ONE_INCIDENT,
    "sql": Command(f"{_HERE}.stored:sql", "Ask one SQL query over all incidents."),
    "metrics": Command(f"{_HERE}.metrics:metrics", "Print the application's own state as Prometheus text."),
    "backup": Command(f"{_HERE}.keeping:backup", "Save everything in one file, while it runs."),
    "restore": Command(f"{_HERE}.keeping:restore", "Put a backup into an empty data directory."),
    "prune": Command(f"{_HERE}.keeping:prune", "Archive old incidents, forget those past their retention."),
    "kb": Group(
        "Index and search runbooks, postmortems and past incidents.",
        {
            "index": Command(f"{_HERE}.kb_upkeep:index", "Read runbooks and postmortems into the knowledge base."),
            "search": Command(f"{_HERE}.kb:search", "Find what fits a text."),
            "show": Command(f"{_HERE}.kb:show", "Print one document."),
            "similar": Command(f"{_HERE}.kb:similar", "Past incidents that look like one, and why."),
            "recurring": Command(f"{_HERE}.kb:recurring", "Causes that came back, with what was to be done."),
            "feedback": Command(f"{_HERE}.feedback:app", "Say which suggestions helped; list, correct, clear."),
            "evaluate": Command(f"{_HERE}.kb_upkeep:evaluate", "Measure the search on queries with known answers."),
            "stats": Command(f"{_HERE}.kb_upkeep:stats", "Say what the knowledge base holds."),
        },
    ),
    "policy": Group(
        "Who must agree to what.",
        {"explain": Command(f"{_HERE}.actions:explain", "Say which rule decides on an action, and why.")},
    ),
    "freeze": Command(f"{_HERE}.actions:freeze", "Stop all execution of actions everywhere."),
    "unfreeze": Command(f"{_HERE}.actions:unfreeze", "Let actions be executed again."),
    "logs": Group(
        "Work on log files.",
        {"patterns": Command(f"{_HERE}.logs:patterns", "Group log lines into patterns.")},
    ),
}

WELCOME = """\
incident-pipeline: from an alert to a diagnosed incident, with evidence, probabilities and a memory.

Five commands to begin with:

  incident-pipeline replay DIR        play an incident folder through the whole pipeline; nothing is sent
  incident-pipeline config check      what each part of incident.yaml does now, and what is missing
  incident-pipeline up                receive alerts, diagnose them, show them in the browser
  incident-pipeline alert --title T   send an alert by hand
  incident-pipeline incidents list    what is going on

All commands: incident-pipeline --help
"""


class Root(LazyGroup):
    """The whole program."""

    table = COMMANDS

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take `--config` and `--data-dir` wherever they stand."""
        return super().parse_args(ctx, hoist(args))

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run, and turn the errors of this application into one sentence and an exit status."""
        kwargs["prog_name"] = "incident-pipeline"
        try:
            return super().main(*args, **kwargs)
        except ConfigurationError as error:
            _fail(str(error), 2)
        except IncidentPipelineError as error:
            _fail(str(error), 1)
        except UnicodeEncodeError:
            if all(map(_is_text, sys.argv)):
                raise
            _fail("an argument is not UTF-8 text", 2)
        except OSError as error:
            if error.filename is None:
                raise
            _fail(f"{error.filename}: {error.strerror}", 1)
        finally:
            context.end()


app = typer.Typer(cls=Root, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True)
def root(
    ctx: typer.Context,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The configuration. [default: incident.yaml, else built in]")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where everything is stored. [default: ./data]")
    ] = None,
    version: Annotated[bool, typer.Option("--version", help="Say which version this is.")] = False,
) -> None:
    """From an alert to a diagnosed incident. --config and --data-dir may stand anywhere on the line.

    Example:
      incident-pipeline replay examples/payments-bad-deploy
    """
    if version:
        from incident_pipeline.release import release

        typer.echo(release())
    elif ctx.invoked_subcommand is None:
        typer.echo(WELCOME, nl=False)
    context.begin(context.Invocation(config, data_dir))


def run() -> None:
    """The entry point of the `incident-pipeline` command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that cannot show a letter is no reason to stop
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    finally:
        close_stdout_quietly()


def _is_text(word: str) -> bool:
    """Whether the shell's bytes were UTF-8; the others arrive as lone surrogates."""
    return not any("\ud800" <= letter <= "\udfff" for letter in word)


def _fail(sentence: str, status: int) -> None:
    for line in sentence.splitlines():
        note(f"incident-pipeline: {line}")
    sys.exit(status)
