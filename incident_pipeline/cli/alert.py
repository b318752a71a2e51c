"""`alert`: an alert sent by hand, through the receiver where it runs, else straight into the inbox."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from incident_pipeline.cli import context, output
from incident_pipeline.errors import InputError, SourceError
from incident_pipeline.models import Alert, AlertStatus, Severity

if TYPE_CHECKING:
    from incident_pipeline.application import Application
    from incident_pipeline.config import Receiver

ANSWER_TIME = timedelta(seconds=5)
AT_ONCE = 500
"""Alerts in one request."""
RECEIVER_LIVES = timedelta(minutes=1)
"""A receiver leaves a sign of life in its inbox every few seconds."""
MAX_STDIN = 50_000_000
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - where to reach who listens everywhere


def alert(
    title: Annotated[str | None, typer.Option(help="What is wrong. Without it, JSON is read from stdin.")] = None,
    service: Annotated[str | None, typer.Option(help="Which service.")] = None,
    severity: Annotated[
        str, typer.Option(help="How bad: P1 (the worst) to P5, or critical, high, warning, low.")
    ] = "P3",
    summary: Annotated[str, typer.Option(help="More about it.")] = "",
    environment: Annotated[str | None, typer.Option(help="Where, such as production.")] = None,
    dedup_key: Annotated[
        str | None, typer.Option(help="Alerts with the same key are one. [default: made from the rest]")
    ] = None,
    status: Annotated[AlertStatus, typer.Option(help="triggered, acknowledged or resolved.")] = AlertStatus.TRIGGERED,
    started_at: Annotated[str | None, typer.Option(help="When it began. [default: now]")] = None,
    url: Annotated[str | None, typer.Option(help="Where to read more.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Send an alert by hand, or one alert or a list of them as JSON on stdin.

    It goes to the receiver where one answers, else straight into the inbox, and the answer says which.

    Example:
      incident-pipeline alert --title "Payment errors" --service payments --severity P1
      incident-pipeline alert < alerts.json
    """
    from incident_pipeline.connectors.custom import alerts_from_custom

    now = datetime.now(UTC)
    if title is not None:
        given = {"title": title, "service": service, "severity": _severity(severity), "summary": summary, "url": url}
        given |= {"environment": environment, "status": status, "dedup_key": dedup_key, "started_at": started_at}
        body: Any = {key: str(value) for key, value in given.items() if value}
    else:
        body = _from_stdin()
    alerts = alerts_from_custom(body, received_at=now)
    answer = _deliver(context.application(), alerts, now)
    if as_json:
        output.print_json(answer)
    else:
        output.print_text(_sentence(answer))


def _severity(word: str) -> Severity:
    from incident_pipeline.intake.alert_fields import severity_of

    severity = severity_of(word)
    if severity is None:
        raise typer.BadParameter(f"--severity: {word!r} is none of P1, P2, P3, P4, P5; P1 is the worst")
    return severity


def _from_stdin() -> Any:
    from incident_pipeline.json_text import loads

    if sys.stdin.isatty():
        raise typer.BadParameter("say what is wrong with --title, or send the alert as JSON on stdin")
    data = sys.stdin.buffer.read(MAX_STDIN + 1)
    if not data.strip():
        raise typer.BadParameter("say what is wrong with --title, or send the alert as JSON on stdin; it was empty")
    if len(data) > MAX_STDIN:
        raise InputError(f"stdin: more than {MAX_STDIN} bytes; send the alerts in parts")
    try:
        return loads(data)
    except ValueError as error:
        raise InputError(f"stdin: not JSON ({error})") from None


def _deliver(application: Application, alerts: Sequence[Alert], now: datetime) -> dict[str, Any]:
    url = _receiver_url(application.scenario.receiver)
    refused = _not_ours(application, now) or _send(application.scenario.receiver, url, alerts)
    if refused is None:
        return {"accepted": len(alerts), "through": "receiver", "receiver": url}
    inbox = application.inbox
    inbox.accept(alerts, now)
    grouped = inbox.group(now, application.scenario.alerts, application.catalogue)
    incidents = [*grouped.created, *grouped.reopened, *grouped.joined]
    return {"accepted": len(alerts), "through": "inbox", "why": refused, "incidents": incidents}


def _not_ours(application: Application, now: datetime) -> str | None:
    """Why a receiver on this machine is not to be asked: a data directory was named, and it writes to another one."""
    local = application.scenario.receiver.host in (*EVERYWHERE, "127.0.0.1", "::1", "localhost")
    if not local or not context.names_data_dir():
        return None
    beats = application.inbox.state(now).heartbeats
    lives = "receiver" in beats and now - beats["receiver"] < RECEIVER_LIVES
    return None if lives else f"no receiver writes to {application.data_dir}"


def _receiver_url(receiver: Receiver) -> str:
    host = EVERYWHERE.get(receiver.host, receiver.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{receiver.port}"


def _send(receiver: Receiver, url: str, alerts: Sequence[Alert]) -> str | None:
    """Send to the receiver; None when it has them all, else why not.

    What it took before it failed is the same delivery when it comes again through the inbox.
    """
    from incident_pipeline.connectors.http import post_json

    token = receiver.tokens.get("custom")
    headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token else None
    for start in range(0, len(alerts), AT_ONCE):
        fields = [_fields(each) for each in alerts[start : start + AT_ONCE]]
        try:
            answer = post_json(f"{url}/webhooks/custom", fields, ANSWER_TIME, headers)
        except SourceError as error:
            return str(error)
        if not isinstance(answer, dict) or answer.get("accepted") != len(fields):
            return f"what answers at {url} is no receiver"
    return None


def _fields(alert: Alert) -> dict[str, Any]:
    return alert.model_dump(mode="json", exclude={"source", "raw", "received_at"}, exclude_none=True)


def _sentence(answer: dict[str, Any]) -> str:
    alerts = "1 alert" if answer["accepted"] == 1 else f"{answer['accepted']} alerts"
    if answer["through"] == "receiver":
        return f"{alerts} accepted by the receiver at {answer['receiver']}"
    incidents = ", ".join(answer["incidents"])
    said = f"{alerts} put straight into the inbox ({output.safe(answer['why'])})"
    return f"{said}: {incidents}" if incidents else said
