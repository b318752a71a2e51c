"""`init`: a first incident.yaml, from a few questions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from incident_pipeline.cli import context, output
from incident_pipeline.errors import ConfigurationError

TOKEN_VARIABLE = "INCIDENT_PIPELINE_TOKEN"  # noqa: S105 - a variable's name


@dataclass(frozen=True)
class Answers:
    """What `init` has to know; nothing is a fine answer to each."""

    prometheus: str = ""
    alertmanager: str = ""
    repository: str = ""
    everybody: bool = False
    """Whether other machines send alerts."""


def init(
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing, take the defaults.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
) -> None:
    """Write a first incident.yaml and the .env.example that goes with it.

    Example:
      incident-pipeline init --yes
    """
    path = context.invocation().config or Path("incident.yaml")
    example = path.with_name(".env.example")
    there = [str(file) for file in (path, example) if file.exists()]
    if there and not force:
        raise ConfigurationError(f"{' and '.join(there)} would be replaced; say --force if you want that")
    answers = Answers() if yes else _ask()
    path.write_text(configuration(answers), encoding="utf-8")
    example.write_text(environment(answers), encoding="utf-8")
    _check(path)
    output.print_text(f"{path}\n{example}")
    output.note(f"\nNext: incident-pipeline config check --config {path}\n      incident-pipeline up --config {path}")


def configuration(answers: Answers) -> str:
    """The text of incident.yaml."""
    parts = [
        "# yaml-language-server: $schema=docs/incident.schema.json",
        "# Every key, its default and meaning: docs/configuration.md",
        "# What each does now: incident-pipeline config check",
        "scenario:",
        "  name: incident-responder",
        *_receiver(answers),
        *_connections(answers),
        *_context(answers),
        "  remediation:",
        "    actions:                # proposed, never done without a person's yes",
        *(
            f"      {name}: {{enabled: true, require_approval: true}}"
            for name in ("rollback", "scale", "config_revert")
        ),
    ]
    return "\n".join(parts) + "\n"


def environment(answers: Answers) -> str:
    """The text of .env.example: the variables that incident.yaml names."""
    lines = ["# Copy to .env beside incident.yaml and fill in; never commit the copy."]
    if answers.everybody:
        lines.append(f"{TOKEN_VARIABLE}=")
    return "\n".join(lines) + "\n"


def _receiver(answers: Answers) -> list[str]:
    if not answers.everybody:
        return ["  receiver:", "    host: 127.0.0.1         # only this machine sends alerts", "    port: 3001"]
    token = f'"${{{TOKEN_VARIABLE}}}"'
    return [
        "  receiver:",
        '    host: "0.0.0.0"         # other machines send alerts, with a token',
        "    port: 3001",
        "    tokens:",
        f"      alertmanager: {token}",
        f"      custom: {token}",
    ]


def _connections(answers: Answers) -> list[str]:
    named = {"prometheus": answers.prometheus, "alertmanager": answers.alertmanager}
    lines = [f"    {name}: {{url: {_quoted(url)}}}" for name, url in named.items() if url]
    return ["  connections:", *lines] if lines else []


def _context(answers: Answers) -> list[str]:
    lines = []
    if answers.prometheus:
        lines += [
            "    metrics:",
            "      provider: prometheus",
            "      queries:              # $service and $environment are those of the incident",
            '        error_rate: sum(rate(http_requests_total{service="$service",status=~"5.."}[5m]))',
            '        cpu: sum(rate(process_cpu_seconds_total{service="$service"}[5m]))',
            "      lookback: 4h",
        ]
    if answers.repository:
        lines += [
            "    code:",
            "      repositories:",
            f'        "*": [{_quoted(answers.repository)}]   # or by service: payments: [./payments]',
            "      lookback: 48h",
        ]
    if answers.alertmanager:
        lines += ["    related_alerts:", "      sources: [alertmanager]"]
    return ["  context:", *lines] if lines else []


def _quoted(text: str) -> str:
    import yaml

    return str(yaml.safe_dump(text, default_style='"', width=len(text) * 10 + 10)).strip()


def _ask() -> Answers:
    return Answers(
        prometheus=_address("Prometheus (http://...; empty: none)"),
        alertmanager=_address("Alertmanager (http://...; empty: none)"),
        repository=typer.prompt("Folder of a git repository (empty: none)", default="", show_default=False, err=True),
        everybody=typer.confirm("Do other machines send alerts?", default=False, err=True),
    )


def _address(question: str) -> str:
    while True:
        answer: str = typer.prompt(question, default="", show_default=False, err=True).strip()
        if not answer or answer.startswith(("http://", "https://")):
            return answer
        output.note("An address begins with http:// or https://.")


def _check(path: Path) -> None:
    """A file that we wrote and cannot read would be our mistake: say so at once."""
    from incident_pipeline.configuration.file import load_scenario

    load_scenario(path)
