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
class System:
    """One vendor: the variables that it needs, and what they are."""

    variables: dict[str, str]
    """Key below `alerts.sources` or `connections` -> variable."""
    note: str
    """Where the value comes from, and what it may do."""
    alerts: bool = True
    """Whether alerts come from it."""
    channel: bool = False


SYSTEMS = {
    "pagerduty": System({"api_key": "PAGERDUTY_API_KEY"}, "a read-only REST API key: Integrations, API Access Keys"),
    "opsgenie": System({"api_key": "OPSGENIE_API_KEY"}, "the key of an API integration with read access"),
    "datadog": System(
        {"api_key": "DD_API_KEY", "app_key": "DD_APP_KEY"},
        "an API key and an application key with timeseries_query, logs_read_data and monitors_read",
    ),
    "slack": System(
        {"token": "SLACK_BOT_TOKEN"},
        "a bot token with channels:read, channels:history and chat:write; invite the bot to the channel",
        channel=True,
    ),
    "github": System({"token": "GITHUB_TOKEN"}, "read access to Contents, Deployments and Actions", alerts=False),
    "gitlab": System({"token": "GITLAB_TOKEN"}, "an access token with the scope read_api", alerts=False),
}


@dataclass(frozen=True)
class Answers:
    """What `init` has to know; nothing is a fine answer to each."""

    prometheus: str = ""
    alertmanager: str = ""
    repository: str = ""
    everybody: bool = False
    """Whether other machines send alerts."""
    systems: tuple[str, ...] = ()
    """Which of `SYSTEMS` are used; each brings the keys that it needs."""


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
        *_alerts(answers),
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
    for name in answers.systems:
        lines.append(f"# {name}: {SYSTEMS[name].note}")
        lines += [f"{variable}=" for variable in SYSTEMS[name].variables.values()]
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
    lines += [f"    {name}: {_keys(name)}" for name in answers.systems if not SYSTEMS[name].alerts]
    return ["  connections:", *lines] if lines else []


def _alerts(answers: Answers) -> list[str]:
    used = [name for name in answers.systems if SYSTEMS[name].alerts]
    return ["  alerts:", "    sources:", *(f"      {name}: {_keys(name)}" for name in used)] if used else []


def _keys(name: str) -> str:
    """The keys of one system as a mapping on one line, each a variable of the environment."""
    system = SYSTEMS[name]
    keys = [f'{key}: "${{{variable}}}"' for key, variable in system.variables.items()]
    return "{" + ", ".join([*keys, *(['channel: "#incidents"'] if system.channel else [])]) + "}"


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
    related = [*(["alertmanager"] if answers.alertmanager else []), *(n for n in answers.systems if SYSTEMS[n].alerts)]
    if related:
        lines += ["    related_alerts:", f"      sources: [{', '.join(related)}]"]
    hosts = [name for name in answers.systems if not SYSTEMS[name].alerts]
    if hosts:
        lines += [
            "    deployments:",
            f"      sources: [{', '.join(hosts)}]",
            "      projects: {}   # payments: [shop/payments]",
        ]
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
        systems=_systems(),
    )


def _systems() -> tuple[str, ...]:
    known = ", ".join(SYSTEMS)
    while True:
        question = f"Which of these do you use ({known}; empty: none)"
        answer: str = typer.prompt(question, default="", show_default=False, err=True)
        given = tuple(dict.fromkeys(answer.replace(",", " ").lower().split()))
        unknown = [name for name in given if name not in SYSTEMS]
        if not unknown:
            return given
        output.note(f"{unknown[0]} is none of {known}.")


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
