"""The disk that everything is stored on, and how old the knowledge base is.

Belongs here: what the file system says of the data directory. Does not belong here: what is in the files.
"""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path

from incident_pipeline.models import Model


class DiskState(Model):
    """The data directory's file system in numbers."""

    free_bytes: int
    size_bytes: int
    knowledge_base_age_seconds: float | None = None
    """Since its index was last published; None where there is none yet."""


def disk_state(data_dir: Path, now: datetime) -> DiskState:
    """How much room there is.

    Raises:
        OSError: there is no such directory.
    """
    usage = shutil.disk_usage(data_dir)
    index = data_dir / "knowledge_base.duckdb"
    age = max(now.timestamp() - index.stat().st_mtime, 0.0) if index.exists() else None
    return DiskState(free_bytes=usage.free, size_bytes=usage.total, knowledge_base_age_seconds=age)
