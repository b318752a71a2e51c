"""Which release of the application this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def release() -> str:
    """The installed version; says so where it runs from source."""
    try:
        return version("incident-pipeline")
    except PackageNotFoundError:
        return "not installed: running from source"
