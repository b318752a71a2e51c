"""What the cause of a recorded incident was.

Belongs here: reading `truth.json`, for scoring alone. Nothing that diagnoses may import this.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from incident_pipeline.errors import InputError
from incident_pipeline.incident_folder.files import UnreadableFileError, find_file, first_problem, read_json
from incident_pipeline.models import InvolvedObject, Model, Utc


class Truth(Model):
    """The labels of one incident folder; None or empty: not known or not asked."""

    root_cause_service: str | None = None
    root_cause_metric: str | None = None
    root_cause_change: str | None = None
    """A sha, or "none": no change is to blame."""
    root_cause_deployment: str | None = None
    root_cause_object: InvolvedObject | None = None
    root_cause_mechanism: str | None = None
    category: str | None = None
    category_also: tuple[str, ...] = ()
    """Answers that are as fair."""
    blast_radius: tuple[str, ...] = ()
    remediation: Any = None
    decoys: tuple[Any, ...] = ()
    injected_at: Utc | None = None
    dataset: str | None = None
    fault: Any = None
    fault_class: Any = None
    raw: dict[str, Any] = Field(default_factory=dict)


def load_truth(path: Path) -> Truth | None:
    """The truth of an incident folder, or None where it has none.

    Raises:
        InputError: truth.json is there and cannot be read.
    """
    file = find_file(Path(path), "truth.json")
    if file is None:
        return None
    try:
        data = read_json(file)
        if not isinstance(data, dict):
            raise InputError(f"{file}: expected one object")
        known = {key: value for key, value in data.items() if value is not None}
        return Truth(**{**known, "raw": data})
    except ValidationError as error:
        raise InputError(f"{file}: {first_problem(error)}") from error
    except UnreadableFileError as error:
        raise InputError(f"{path}: {error}") from error
