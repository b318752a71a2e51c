"""What people changed in a document survives when it is generated again.

Belongs here: the merge of three texts. Does not belong here: where they are kept.

Where both people and the responder changed a line since it was generated, people win; what the responder would have
said is shown beside it.
"""

from __future__ import annotations

from difflib import unified_diff
from typing import NamedTuple

from merge3 import Merge3


class Merged(NamedTuple):
    """A document with people's edits, and what was overruled by them."""

    text: str
    overruled: str
    """A unified diff from what would be generated to what people wrote; empty where nothing is in conflict."""


def keep_edits(generated_before: str, edited: str, generated_now: str) -> Merged:
    """The new document with the edits of the old one.

    Args:
        generated_before: what people had before them.
        edited: what they made of it.
        generated_now: what is generated now.
    """
    base, theirs, ours = (text.splitlines(keepends=True) for text in (generated_before, edited, generated_now))
    kept: list[str] = []
    conflicts: list[str] = []
    for group in Merge3(base, ours, theirs).merge_groups():
        if group[0] != "conflict":
            kept += group[1]
            continue
        _, _, generated, written = group
        kept += written
        conflicts += unified_diff(generated, written, "generated now", "kept", n=0)
    return Merged("".join(kept), "".join(line if line.endswith("\n") else f"{line}\n" for line in conflicts))


def difference(before: str, after: str, name_before: str, name_after: str) -> str:
    """What changes from one text to another, as a unified diff; empty where nothing does."""
    lines = unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), name_before, name_after, n=3
    )
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)
