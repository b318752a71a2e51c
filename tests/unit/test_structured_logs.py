"""Each line of a log is JSON and says which incident it is about."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from contextlib import redirect_stderr
from typing import Any

from incident_pipeline.operation.structured_logs import JsonLines, about, json_handler
from tests.unit.cli.runner import ROOT


def lines(written: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_what_is_about_an_incident_says_which() -> None:
    with redirect_stderr(io.StringIO()) as written:
        log = logging.Logger("incident_pipeline.anything", logging.INFO)
        log.addHandler(json_handler("receiver"))
        with about(incident_id="INC-1", run_id=None):
            log.info("line one\nline two", extra={"source": "loki"})
        log.warning("the token is Bearer abcdefghijklmnopqrstuvwxyz0123456789")
    first, second = lines(written)
    assert (first["incident_id"], first["source"], first["message"]) == ("INC-1", "loki", "line one\nline two")
    assert (first["level"], first["process"], "run_id" in first) == ("info", "receiver", False)
    assert "abcdefghijklmnop" not in second["message"]
    assert "incident_id" not in second


def test_a_process_writes_ours_from_info_on_and_warnings_of_others() -> None:
    program = (
        "import logging; from incident_pipeline.operation.structured_logs import write_json_logs\n"
        "write_json_logs('runner');"
        "[logging.getLogger(n).info(n) for n in ('assets.runner', 'other')]; logging.getLogger('other').warning('bad')"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    said = [json.loads(line) for line in ran.stderr.splitlines()]
    assert [(line["process"], line["message"]) for line in said] == [("runner", "assets.runner"), ("runner", "bad")]


def test_an_error_comes_with_its_traceback() -> None:
    try:
        raise ValueError("boom")
    except ValueError:
        record = logging.makeLogRecord({"msg": "it failed", "exc_info": sys.exc_info()})
    assert "ValueError: boom" in json.loads(JsonLines("run").format(record))["error"]
