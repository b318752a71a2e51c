"""An incident responder: from alerts to a diagnosed incident, with evidence, probabilities and a memory.

    from incident_pipeline import diagnose, load_folder

    diagnosis = diagnose(load_folder("examples/payments-bad-deploy"))
    print(diagnosis.summary)

What is imported here is imported when it is called, so that a command that needs little starts quickly.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from incident_pipeline.config import Scenario
    from incident_pipeline.incident_folder.reading import Folder
    from incident_pipeline.models import Diagnosis

__all__ = ["diagnose", "load_folder"]


def load_folder(path: str | Path) -> Folder:
    """Read an incident folder.

    Raises:
        InputError: there is no such folder, or no alert in it can be read.
    """
    from incident_pipeline.incident_folder.reading import load_folder as load

    return load(Path(path))


def diagnose(folder: Folder | str | Path, settings: Scenario | None = None) -> Diagnosis:
    """Rank the likely causes of the incident in a folder; stores and sends nothing.

    Raises:
        InputError: there is no such folder, or no alert in it can be read.
    """
    from incident_pipeline.config import Scenario
    from incident_pipeline.diagnosis.engine import diagnose as diagnose_evidence

    loaded = load_folder(folder) if isinstance(folder, str | Path) else folder
    return diagnose_evidence(loaded.incident, loaded.evidence, settings or Scenario())
