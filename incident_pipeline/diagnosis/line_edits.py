"""Edits told by comparing the removed lines of a file with the added ones.

Belongs here: what only one side has, what came back moved, retyped, reworded or within a loop.
Does not belong here: values of settings (`value_edits`), the words to look for (`edit_kinds`).
The detectors look at the shape of tokens that most languages share.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from incident_pipeline.diagnosis.diffs import strip_comment
from incident_pipeline.diagnosis.edit_kinds import ADDED, REMOVED, REWRITTEN, Edit, rx

_CALLED = re.compile(r"([A-Za-z_]\w*)\(")
_DEFINED = re.compile(
    r"(?:\bdef|\bfunc|\bfunction|\bfn|\bvoid|\bprivate|\bstatic|\bconst|\blet)\s+(?:[\w<>\[\]]+\s+)*([A-Za-z_]\w*)\s*(?:=|\()|func\s+\([^)]*\)\s+(\w+)\("
)
_TYPE = rx(
    r"\b(u?int(8|16|32|64)?|integer|long|short|float(32|64)?|double|bool(ean)?|string|str|varchar\(\d+\)|text|bytes|uuid|number|date(time)?|timestamp)\b"
)
_EXACT = rx(r"\b(big_?decimal|decimal|numeric|big_?int(eger)?|quantize|money)\b")
_INEXACT = rx(r"\b(float(32|64)?|double|parsefloat|real)\b")
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'|`[^`]*`")
_LOOP = rx(r"\bfor\b|\bwhile\b|\.forEach\(|\.map\(|\.each\b")
_OUTWARD = rx(
    r"\b(db|client|repo\w*|session|conn|api|http|redis|cursor|dao|store|svc|service|stub|dynamo\w*|s3)\b.*\(|\.(query|execute|fetch\w*|get\w*|put\w*|save|insert|find\w*|post|send|publish)\(|await\s"
)


def is_moved(removed: list[str], added: list[str]) -> bool:
    """Whether what went came back: at least 80 % of the removed words, and hardly a new number among the added."""
    gone, come = Counter(_words(removed)), Counter(_words(added))
    if not gone or sum(gone.values()) < 3:
        return False
    kept = sum((gone & come).values()) / sum(gone.values())
    digits = {w for w in come if w[0].isdigit()} ^ {w for w in gone if w[0].isdigit()}
    return kept >= 0.8 and not digits and sum(come.values()) <= 2.5 * sum(gone.values()) + 8


def calls_anew(removed: list[str], added: list[str]) -> bool:
    """Whether the added lines call something that the removed ones did not, and that they do not define themselves."""
    called = {name for line in added for name in _CALLED.findall(strip_comment(line))}
    known = {name for line in removed for name in _words([line])}
    defined = {name for line in added for pair in _DEFINED.findall(line) for name in pair if name}
    return bool(called - known - defined)


def takes_away(removed: list[str], added: list[str]) -> bool:
    """Whether something that protects is gone although most words came back."""
    return any(_counted(REMOVED, "", removed, added, "")) or _call_in_loop(added, removed)


def _words(lines: Iterable[str]) -> list[str]:
    return re.findall(r"[A-Za-z_]\w{2,}|\d+(?:\.\d+)?", " ".join(strip_comment(line) for line in lines))


def line_edits(path: str, removed: list[str], added: list[str]) -> Iterator[Edit]:
    """What changed from the removed lines to the added ones; both without comments and blank lines."""
    yield from _counted(REMOVED, path, removed, added, "takes away")
    yield from _counted(ADDED, path, added, removed, "adds")
    if _call_in_loop(added, removed):
        yield Edit("call_in_loop", path, f"calls out once for each item in {path}")
    retyped = _types(removed, added)
    if retyped is not None:
        yield Edit("type_changed", path, f"changes a type: `{shown(retyped)}` in {path}")
    if _EXACT.search("\n".join(removed)) and _INEXACT.search("\n".join(added)):
        yield Edit("precision_removed", path, f"computes with rounded numbers what was exact, in {path}")
    for old, new in _literals(removed, added):
        yield Edit("literal_changed", path, f"sets {old} to {new} in {path}")
    if removed or added:
        yield Edit("code_changed", path, f"changes code in {path}")


def _counted(
    table: tuple[tuple[str, re.Pattern[str]], ...], path: str, here: list[str], there: list[str], verb: str
) -> Iterator[Edit]:
    code, other = [strip_comment(line).lower() for line in here], [strip_comment(line) for line in there]
    whole = "\n".join(code)
    for kind, pattern in table:
        if not pattern.search(whole):
            continue
        hits = [line for line, stripped in zip(here, code, strict=True) if pattern.search(stripped)]
        known = [stripped for stripped in other if pattern.search(stripped.lower())]
        if len(hits) > len(known):
            yield Edit(kind, path, f"{verb} `{shown(hits[0])}` in {path}")
        elif kind in REWRITTEN and known and Counter(_words(hits)) != Counter(_words(known)):
            yield Edit(kind, path, f"rewrites `{shown(known[0])}` as `{shown(hits[0])}` in {path}")


def _call_in_loop(added: list[str], removed: list[str]) -> bool:
    def loops(lines: list[str], seen: Callable[[str], object]) -> int:
        return sum(
            1 for i, line in enumerate(lines) if _LOOP.search(line) and any(seen(inner) for inner in lines[i : i + 4])
        )

    return loops(added, _OUTWARD.search) > 0 and loops(added, _OUTWARD.search) >= loops(removed, _OUTWARD.search)


def _types(removed: Sequence[str], added: Sequence[str]) -> str | None:
    """The added line that differs from a removed one in a type alone."""
    frames = {_TYPE.sub("T", line).strip(): line.strip() for line in removed if _TYPE.search(line)}
    return next(
        (line for line in added if frames.get(_TYPE.sub("T", line).strip(), line.strip()) != line.strip()), None
    )


def _literals(removed: list[str], added: list[str]) -> Iterator[tuple[str, str]]:
    """(old, new) of quoted texts that alone differ between two lines."""
    frames = {_QUOTED.sub("''", line).strip(): line for line in removed if _QUOTED.search(line)}
    for line in added:
        old = frames.get(_QUOTED.sub("''", line).strip())
        if old is not None and old.strip() != line.strip():
            pairs = zip(_QUOTED.findall(old), _QUOTED.findall(line), strict=False)
            yield from ((shown(a), shown(b)) for a, b in pairs if a != b)


def shown(line: str) -> str:
    """A line of code as it is quoted in a sentence, at most 80 characters."""
    text = " ".join(line.split()).replace("`", "'")
    return text if len(text) <= 80 else text[:79] + "…"


def only(lines: Iterable[str], *patterns: re.Pattern[str]) -> bool:
    """Whether every line that says something is of these kinds; a clock read for a log line is one of them."""
    clock = re.compile(r"^\s*\w+\s*:?=\s*(time|Date|datetime|System|performance)\.\w+\(\)\s*;?$")
    return all(clock.match(line) or any(p.search(line) for p in patterns) for line in lines)
