"""Edits that set one value to another: settings by key and direction, dependencies by version.

Belongs here: from an old and a new value to "timeout lowered", "dependency moved a major version".
Does not belong here: lines of code (`line_edits`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from incident_pipeline.diagnosis.diffs import FileDiff, Setting, settings_changed, settings_removed
from incident_pipeline.diagnosis.edit_kinds import Edit, family_of

_VERSION = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")


def dependency_edits(file: FileDiff) -> Iterator[Edit]:
    """Which dependencies a manifest or a lock file moves, and how far."""
    before = {_VERSION.sub("", line).strip(): _VERSION.search(line) for line in file.removed}
    for line in file.added:
        name = _VERSION.sub("", line).strip()
        new, old = _VERSION.search(line), before.get(name)
        words = name.strip(' ",:=^~')
        if new and old:
            major = new.group(1) != old.group(1) or (new.group(1) == "0" and new.group(2) != old.group(2))
            kind = (
                "dependency_major"
                if major
                else "dependency_patch"
                if new.group(2) == old.group(2)
                else "dependency_minor"
            )
            yield Edit(kind, file.path, f"moves {words} from {old.group(0)} to {new.group(0)}")
    if not file.added and not file.removed:
        yield Edit("dependency_patch", file.path, f"touches {file.path}")


def setting_edits(file: FileDiff) -> Iterator[Edit]:
    """Which settings change, in which direction, and which that protect are taken away."""
    for setting in settings_changed(file):
        family = family_of(setting.key)
        detail = f"sets {setting.key} from {setting.before} to {setting.after} in {file.path}"
        for kind in _setting_kinds(family, setting):
            yield Edit(kind, file.path, detail)
    for key, value in settings_removed(file):
        family = family_of(key)
        if family in {"timeout", "backoff", "retries", "limit", "ttl", "tls", "auth"}:
            yield Edit(f"{family}_removed", file.path, f"takes away {key} ({value}) in {file.path}")


def _setting_kinds(family: str | None, setting: Setting) -> Iterator[str]:
    factor = setting.factor
    if (family == "log_level" and re.search(r"debug|trace|true|all", setting.after, re.IGNORECASE)) or (
        family == "sampling" and factor is not None and factor > 1.5
    ):
        yield "log_volume_raised"
    elif {setting.before.lower(), setting.after.lower()} in ({"true", "false"}, {"on", "off"}, {"yes", "no"}):
        yield "switch_turned"
    elif factor is None:
        yield f"{family or 'value'}_changed"
    elif family == "cost" and factor > 1.1:
        yield "cost_raised"
    elif 0.6 < factor < 1.7:
        yield f"{family or 'value'}_nudged"
    else:
        yield f"{family or 'value'}_{'raised' if factor > 1 else 'lowered'}"
