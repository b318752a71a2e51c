"""What a version looks like, and which pipelines deploy, by what systems of delivery agree on.

Belongs here: words that several vendors share. What a vendor's object looks like is its connector's.
"""

from __future__ import annotations

import re
from typing import Any

from incident_pipeline.intake.alert_fields import one_line

DEPLOYS = re.compile(r"deploy|release|rollout|roll-out|publish|ship|promote|(^|[^a-z])cd([^a-z]|$)", re.IGNORECASE)
"""The names of workflows, jobs and stages that bring something into production."""

_TAG = re.compile(r"v?\d+(\.\d+)+([.+-].*)?|.*@v?\d+(\.\d+)+.*")
_SHA = re.compile(r"[0-9a-f]{40}")


def deployed_version(ref: Any, sha: Any, *, tag: bool = False) -> str | None:
    """The tag that was deployed, else the beginning of the commit, else the reference.

    Args:
        ref: a branch or a tag.
        sha: the commit.
        tag: whether the reference is known to be a tag; without it one that reads like a version is.
    """
    name, commit = one_line(ref), one_line(sha)
    if name and (tag or _TAG.fullmatch(name)) and not _SHA.fullmatch(name):
        return name
    return commit[:12] if commit else name
