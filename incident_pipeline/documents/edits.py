"""What people changed in a document survives when it is generated again.

Belongs here: the merge of three texts. Does not belong here: where they are kept.

Where both people and the responder changed a line since it was generated, people win; what the responder would have
said is shown beside it. The texts are cut at the lines that all three share, as diff3 does (Khanna, Kunal and Pierce,
"A formal investigation of diff3", 2007).
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher, unified_diff
from typing import NamedTuple

Lines = list[str]


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
    for before, generated, written in _between_shared_lines(base, ours, theirs):
        if written == before:
            kept += generated
            continue
        kept += written
        if generated not in (before, written):
            conflicts += unified_diff(generated, written, "generated now", "kept", n=0)
    return Merged("".join(kept), "".join(line if line.endswith("\n") else f"{line}\n" for line in conflicts))


def _between_shared_lines(base: Lines, ours: Lines, theirs: Lines) -> Iterator[tuple[Lines, Lines, Lines]]:
    """The three texts in pieces that belong together, in order: lines that all share, and what lies between them."""
    in_ours, in_theirs = _unchanged(base, ours), _unchanged(base, theirs)
    b = o = t = 0
    for line in sorted(in_ours.keys() & in_theirs.keys()):
        yield base[b:line], ours[o : in_ours[line]], theirs[t : in_theirs[line]]
        yield [base[line]], [base[line]], [base[line]]
        b, o, t = line + 1, in_ours[line] + 1, in_theirs[line] + 1
    yield base[b:], ours[o:], theirs[t:]


def _unchanged(base: Lines, other: Lines) -> dict[int, int]:
    """Where each line of the base that is still there stands in the other text."""
    blocks = SequenceMatcher(None, base, other, autojunk=False).get_matching_blocks()
    return {block.a + n: block.b + n for block in blocks for n in range(block.size)}


def difference(before: str, after: str, name_before: str, name_after: str) -> str:
    """What changes from one text to another, as a unified diff; empty where nothing does."""
    lines = unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), name_before, name_after, n=3
    )
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)
