"""What a run loads at first use, loaded before there is an incident: an invented one is answered, and forgotten.

Some four hundred modules, the types of stored values, the templates and the model of the knowledge base are loaded when
they are first needed; in a process that is forked for each run that would be in every run. A list of them would be out
of date tomorrow, so a small incident goes the whole way, in a folder that is deleted.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from incident_pipeline.application import Application
from incident_pipeline.errors import IncidentPipelineError
from kb.embedded import EmbeddedKnowledgeBase

_ALERT = {"source": "rehearsal", "source_id": "1", "dedup_key": "1", "title": "Rehearsal", "severity": "P5"}
_LINE = {"level": "error", "message": "rehearsal"}


def rehearse(application: Application) -> None:
    """Answer an invented incident in a folder of its own, and load what the configured sources need.

    No file stays open and no thread stays alive, so that the process can be forked. A rehearsal that fails is said, and
    costs the next runs a second: nothing else.
    """
    from assets.replay import replay
    from incident_pipeline.connectors.http import load_libraries

    load_libraries()
    _ = (application.sources(None), application.circuits)
    environment = dict(os.environ)
    try:
        with tempfile.TemporaryDirectory(prefix="rehearsal-") as directory:
            # a configuration of its own: the real one may name a database that everybody shares
            config = Path(directory) / "incident.yaml"
            config.write_text("scenario: {}\n")
            stage = Application.load(config, Path(directory) / "data", {})
            _lend_memory(application, stage)
            try:
                replay(stage, _folder(Path(directory) / "incident"))
            finally:
                stage.close()
    except (IncidentPipelineError, OSError) as error:
        print(f"runner: the rehearsal failed: {error}", file=sys.stderr)
    finally:
        os.environ.clear()
        os.environ.update(environment)


def _lend_memory(application: Application, stage: Application) -> None:
    """A copy of the knowledge base, so that the rehearsal need not read the starter corpus."""
    lent, own = application.knowledge_base, stage.knowledge_base
    if isinstance(lent, EmbeddedKnowledgeBase) and isinstance(own, EmbeddedKnowledgeBase) and lent.path.is_file():
        own.path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(lent.path, own.path)


def _folder(path: Path) -> Path:
    now = time.time()
    path.mkdir()
    (path / "alerts.json").write_text(json.dumps([{**_ALERT, "started_at": now}]))
    (path / "logs.jsonl").write_text("".join(json.dumps({**_LINE, "timestamp": now - n}) + "\n" for n in range(10)))
    points = "".join(f"{now - 60 * n},rehearsal,error_rate,{1 if n > 3 else 9}\n" for n in range(60))
    (path / "metrics.csv").write_text("timestamp,service,metric,value\n" + points)
    return path
