"""How incidents are named.

Belongs here: identifiers that must come out the same wherever they are made.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from datetime import UTC

from incident_pipeline.models import Alert

MAX_SLUG = 40


def service_slug(service: str | None) -> str:
    """The service as `[a-z0-9-]`, at most 40 characters; `unknown` where nothing of it is left."""
    plain = unicodedata.normalize("NFKD", service or "").encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:MAX_SLUG].rstrip("-")
    return slug or "unknown"


def incident_id(first_alert: Alert) -> str:
    """`INC-20261123-143500-payments-4f2a`: the alert's start in UTC, its service, four digits of a hash.

    The same alert always gives the same name; names sort by time.
    """
    started = first_alert.started_at.astimezone(UTC)
    what = "\x1f".join((first_alert.source, first_alert.dedup_key, started.isoformat()))
    digest = hashlib.sha256(what.encode("utf-8", "replace")).hexdigest()[:4]
    # %Y does not pad years below 1000 on every platform
    moment = f"{started.year:04d}{started:%m%d-%H%M%S}"
    return f"INC-{moment}-{service_slug(first_alert.service)}-{digest}"
