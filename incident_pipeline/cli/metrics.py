"""`metrics`: the application's own state as Prometheus text.

Belongs here: the command. Does not belong here: what is counted (`console/metrics.py`).
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from incident_pipeline.cli import context, output


def metrics(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Print the application's own state, as GET /metrics of the receiver does.

    Works without the receiver, so that a cron job or a node exporter's textfile collector can watch it.

    Example:
      incident-pipeline metrics > /var/lib/node_exporter/incident_pipeline.prom
    """
    from incident_pipeline.console.metrics import render
    from incident_pipeline.storage.disk import disk_state

    now = datetime.now(UTC)
    application = context.application()
    state, disk = application.inbox.state(now), disk_state(application.data_dir, now)
    if as_json:
        output.print_json({**dict(state), "disk": disk})
    else:
        sys.stdout.write(render(state, now, disk=disk))
