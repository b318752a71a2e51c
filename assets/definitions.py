"""The code location: `workspace.yaml` points here."""

from __future__ import annotations

from typing import Any

import dagster as dg

from assets import alerts, context, diagnosis, documents, knowledge, remediation
from assets.io_manager import incident_io_manager
from assets.jobs import all_jobs
from assets.logs import json_lines
from assets.resources import Responder
from assets.sensors import all_sensors


def build_definitions(**resources: Any) -> dg.Definitions:
    """Fresh definitions; resources given by name replace the usual ones."""
    return dg.Definitions(
        assets=dg.load_assets_from_modules([alerts, context, diagnosis, knowledge, remediation, documents]),
        jobs=all_jobs,
        sensors=all_sensors,
        resources={"responder": Responder(), "io_manager": incident_io_manager, **resources},
        executor=dg.in_process_executor,
        loggers={"console": json_lines},
    )


definitions = build_definitions()
