"""`incident-pipeline up`: every process of the responder, kept alive until Ctrl-C."""

from __future__ import annotations

import sys
from functools import partial
from typing import Annotated

import typer

from incident_pipeline.cli import context
from incident_pipeline.cli.output import note, print_text


def up(
    receiver_port: Annotated[int | None, typer.Option(help="Port of the webhook receiver. [default: 3001]")] = None,
    ui_port: Annotated[int, typer.Option(help="Port of the Dagster UI.")] = 3000,
    host: Annotated[str | None, typer.Option(help="Address to listen on. [default: this machine only]")] = None,
) -> None:
    """Receive alerts, diagnose them, show them in the browser, until Ctrl-C.

    Runs the webhook receiver, the Dagster daemon, the Dagster web server, a code server and the process that runs are
    forked from; each is started again when it dies. Prints `ready: RECEIVER-URL UI-URL` on stdout when all answer.

    Example: incident-pipeline up --receiver-port 3001 --ui-port 3000
    """
    from assets.instance import prepare_storage
    from assets.launcher import runner_answers
    from incident_pipeline.knowledge.sources import begin
    from incident_pipeline.operation.supervision import Ports, supervise

    application = context.application()
    receiver = application.scenario.receiver
    ports = Ports(
        receiver_host=host or receiver.host,
        receiver=receiver.port if receiver_port is None else receiver_port,
        ui_host=host or "127.0.0.1",
        ui=ui_port,
    )
    note(f"starting; logs in {application.data_dir / 'logs'}, stop with Ctrl-C")
    for missing in application.missing:
        note(missing.sentence)
    prepare_storage(application)
    begin(application.knowledge_base, application.scenario.knowledge_base)

    def say_ready(receiver_url: str, ui_url: str) -> None:
        print_text(f"ready: {receiver_url} {ui_url}")
        # whoever waits for this line reads it through a pipe, where Python would hold it back until the end
        sys.stdout.flush()

    supervise(application, ports, partial(runner_answers, application.dagster_home), say_ready)
