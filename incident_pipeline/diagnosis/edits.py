"""What a change does, said in a few dozen kinds of edit.

Belongs here: from a change to "took a lock away", "lowered a limit", "only moved code", file by file.
Does not belong here: how lines (`line_edits`) and values (`value_edits`) are compared, or whether an edit produces the
symptoms at hand (`mechanisms`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from incident_pipeline.diagnosis.diffs import FileDiff, is_comment_or_blank, parse_diff, settings_changed
from incident_pipeline.diagnosis.edit_kinds import DEPENDENCY, LOG_CALL, MONITORING, PATHS, Edit
from incident_pipeline.diagnosis.line_edits import calls_anew, is_moved, line_edits, only, shown, takes_away
from incident_pipeline.diagnosis.value_edits import dependency_edits, setting_edits
from incident_pipeline.models import CodeChange


def edits_of(change: CodeChange) -> tuple[Edit, ...]:
    """Everything the change does; a change without a diff is judged by its files and message."""
    files = parse_diff(change.diff or "", change.files)
    edits: list[Edit] = []
    for file in files:
        edits += _file_edits(file)
    if not files:
        said = _message_kind(change.message)
        if said:
            return (Edit(said, "", f"is said to change {said} only"),)
        edits += [Edit(_path_kind(path) or "unseen", path, f"touches {path}") for path in change.files]
    return tuple(dict.fromkeys(edits))


def _file_edits(file: FileDiff) -> Iterator[Edit]:
    kind = _path_kind(file.path)
    if kind:
        yield Edit(kind, file.path, f"touches {file.path}")
        return
    if DEPENDENCY.search(file.path.lower()):
        yield from dependency_edits(file)
        return
    removed = [line for line in file.removed if not is_comment_or_blank(line)]
    added = [line for line in file.added if not is_comment_or_blank(line)]
    if not removed and not added:
        yield Edit("comment", file.path, f"changes comments only in {file.path}")
        return
    if removed != added and sorted(map(str.strip, removed)) == sorted(map(str.strip, added)) and len(removed) > 1:
        yield Edit(
            "order_changed", file.path, f"changes the order of steps, `{shown(added[0])}` now first, in {file.path}"
        )
        return
    if (
        is_moved(removed, added)
        and not calls_anew(removed, added)
        and not takes_away(removed, added)
        and not any(settings_changed(file))
    ):
        yield Edit("moved_code", file.path, f"moves code without changing it in {file.path}")
        return
    if only(removed + added, LOG_CALL) or (not removed and only(added, LOG_CALL, MONITORING)):
        yield Edit("logging_text", file.path, f"changes only log and metric statements in {file.path}")
        return
    yield from setting_edits(file)
    yield from line_edits(file.path, removed, added)


def _path_kind(path: str) -> str | None:
    lowered = path.lower()
    return next((kind for kind, pattern in PATHS if pattern.search(lowered)), None)


_SAYS = re.compile(r"^\s*[#\[(]?(docs?|tests?|style|ci|format|lint)\b[\])]?[:!(\s]", re.IGNORECASE)


def _message_kind(message: str) -> str | None:
    """What a change without a diff says it is, where that is harmless; weaker than reading the diff."""
    match = _SAYS.match(message)
    word = match.group(1).lower() if match else ""
    return {"doc": "docs", "docs": "docs", "test": "test", "tests": "test", "ci": "ci"}.get(
        word, "style" if word else None
    )
