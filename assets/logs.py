"""What runs log, as the rest of the application does: lines of JSON with the incident and the run.

Belongs here: the seam to Dagster's loggers. Does not belong here: the form of a line.
"""

from __future__ import annotations

import logging

import dagster as dg

from incident_pipeline.operation.structured_logs import json_handler


@dg.logger({"log_level": dg.Field(str, is_required=False, default_value="WARNING")})
def json_lines(context: dg.InitLoggerContext) -> logging.Logger:
    """Writes on stderr, warnings and worse unless told otherwise."""
    made = logging.getLoggerClass()("dagster", level=context.logger_config["log_level"])
    made.addHandler(json_handler("run"))
    return made
