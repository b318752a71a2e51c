"""The learned weights, read once from the file that `benchmarks/fit_weights.py` writes.

Belongs here: reading `weights.json`. Does not belong here: learning it.
"""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files
from typing import Any


@lru_cache(maxsize=1)
def weights() -> dict[str, Any]:
    """The content of `weights.json`: service_ranking, calibration, and where they come from."""
    found: dict[str, Any] = json.loads(files("incident_pipeline.diagnosis").joinpath("weights.json").read_text("utf-8"))
    return found
