# ruff: noqa: E501  (the table of shapes reads best with one pattern a line)
"""Log templates: the fixed part of a line, its parameters masked and typed.

Belongs here: grouping lines by what they say, for any log, with no setting per system.
Does not belong here: services, levels, times (`log_symptoms`), reading files (`log_files`).

Three steps. 1. Digits are left out, for all lines at once and in C: what then reads the same is looked at once.
2. Parameters that show by their shape (address, path, duration, size, identifier, number) are masked. 3. Words that vary
where all else agrees become parameters too: many different words in one place are names, two or three are different events.
The third step is the idea of IPLoM (Makanju 2009) and Brain (Yu 2023): how many values a place has tells whether it varies.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

STAR = "<*>"
MAX_LENGTH = 2000
MANY = 5
"""So many different words in one place are names, not events."""
MIN_FIXED = 1
"""A template keeps at least so many words."""
MAX_PLACES = 41
MAX_PAIRED = 3000
"""Pairs of places are looked at in lines of so many parts, and in so many templates, at most."""

_TLD = "com|net|org|edu|gov|mil|info|biz|local|internal|lan|arpa"
_CLOCK = r"\d{1,2}:\d\d(?::\d\d)?(?:[.,]\d+)?"
_MONTH = "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_TYPES: tuple[tuple[str, str], ...] = (
    ("time", rf"\b(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? )?(?:{_MONTH} +\d+|\d+ {_MONTH}),?(?: \d{{4}})?,? {_CLOCK}(?: [a-z]{{3,4}}\b)?(?: \d{{4}})?"),
    ("time", rf"(?<![\w.])\d{{4}}[-/]\d\d[-/]\d\d(?:[ t]{_CLOCK}(?:z|[+-]\d\d:?\d\d)?)?(?![\w-])"),
    ("url", r"\b[a-z][a-z0-9+.-]{1,15}://[^\s,;\"'<>()\[\]]+"),
    ("id", r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"),
    ("address", r"/?(?<![\w.])\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?::\d+)?(?![\w-]|\.\w)|\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b"),
    ("address", rf"(?<![\w.@/-])(?:[a-z0-9-]+\.)+(?:{_TLD})(?::\d+)?(?![\w.-])|(?<![\w.@/-])(?:[a-z0-9-]+\.)+[a-z]{{2,}}:\d+\b|(?<![\w.@/-])(?:[a-z0-9-]+\.){{2,}}[a-z]{{2}}(?![\w.-])"),
    ("size", r"(?<![\w.])\d+(?:\.\d+)?\s?(?:bytes|[kmgt]?i?b)\b(?:\s*\(\d+(?:\.\d+)?\s?[kmgt]?i?b\))?"),
    ("duration", r"<\s?\d+(?:\.\d+)?\s?(?:ms|msecs?|secs?|seconds?|s|m|min|minutes?|h)\b"),
    ("duration", rf"(?<![\w.:]){_CLOCK}(?![\w:])|(?<![\w.-])\d+(?:\.\d+)?\s?(?:ns|us|ms|msecs?|secs?|seconds?|minutes?|hours?|days?)\b"),
    ("path", r"(?<![\w.:<])(?:/[\w.@%+=:-]+){2,}/?|\b[a-z]:\\[^\s\"']+"),
    ("hex", r"\b0x[0-9a-f]+\b|(?<![\w-])(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{6,}(?![\w-])"),
    ("id", r"(?<![\w<])[\w.$-]*\d[\w.$-]*(?:[#:/@][\w.$-]*\d[\w.$-]*)*"),
)  # fmt: skip
_SHAPES = re.compile(
    "|".join(f"(?P<{kind}{index}>{pattern})" for index, (kind, pattern) in enumerate(_TYPES)), re.IGNORECASE
)
_KINDS = tuple(kind for kind, _ in _TYPES)
_NUMBER = re.compile(r"[-+]?\d+(?:[.,]\d+)*%?")
_AFTER_CUE = re.compile(r"(?<=\buser )(?!from\b|is\b|not\b|name\b|<)[A-Za-z][\w-]*")
"""Who logs in is a parameter however few they are."""
_LIST = re.compile(r"<\*>(?:[\s,;]+<\*>)+")
_BLANK = re.compile(r"\s+")
_SPLIT = re.compile(r"(\s+|[=:,;()\[\]{}\"'|]+)")


@lru_cache(maxsize=50_000)
def mask(message: str) -> str:
    """The first line of a message with every parameter that shows by its shape masked."""
    first = message.split("\n", 1)[0][:MAX_LENGTH]
    masked = _SHAPES.sub(STAR, first).replace(" ()", f" ({STAR})")
    masked = _AFTER_CUE.sub(STAR, masked)
    return _BLANK.sub(" ", _LIST.sub(STAR, masked)).strip()


def parameters(message: str) -> list[tuple[str, str]]:
    """(type, text) of each parameter of a message, in order; types: url, id, address, size, duration, path, hex, number."""
    found = []
    for match in _SHAPES.finditer(message[:MAX_LENGTH]):
        kind = _KINDS[int(re.sub(r"\D", "", match.lastgroup or "0"))]
        text = match.group(0)
        found.append(("number" if kind == "id" and _NUMBER.fullmatch(text) else kind, text))
    return found


@dataclass(frozen=True)
class Mined:
    """The patterns of some lines."""

    templates: tuple[str, ...]
    """In the order of their first line."""
    assignment: tuple[int, ...]
    """For each line the index of its template."""

    @property
    def counts(self) -> tuple[int, ...]:
        """Lines of each template."""
        counted = Counter(self.assignment)
        return tuple(counted[index] for index in range(len(self.templates)))


def mine(messages: Sequence[str]) -> Mined:
    """Group messages into templates; the same messages in another order give the same groups."""
    keys = collapsed(messages)
    first = dict(zip(reversed(keys), range(len(keys) - 1, -1, -1), strict=True))
    weights = Counter(keys)
    masked = {key: mask(messages[index]) for key, index in sorted(first.items(), key=lambda pair: pair[1])}
    totals: Counter[str] = Counter()
    for key, template in masked.items():
        totals[template] += weights[key]
    final = generalise(totals)
    numbered: dict[str, int] = {}
    place = {key: numbered.setdefault(final[template], len(numbered)) for key, template in masked.items()}
    return Mined(tuple(numbered), tuple(map(place.__getitem__, keys)))


def collapsed(messages: Sequence[str]) -> list[str]:
    """The messages without digits: what then reads the same is one line; of several lines a message's first counts.

    Done for all lines in one piece, since that costs a tenth of doing it line by line.
    """
    if not messages:
        return []
    single = [m.split("\n", 1)[0] for m in messages] if _any_newline(messages) else messages
    return "\n".join(single).encode("utf-8", "replace").translate(None, b"0123456789").decode("utf-8").split("\n")


def _any_newline(messages: Sequence[str]) -> bool:
    return "\n" in "".join(messages)


def generalise(totals: Counter[str]) -> dict[str, str]:
    """Masked line -> template: places with many different words become parameters."""
    current = {line: tuple(_SPLIT.split(line)) for line in totals}
    for _ in range(4):
        merged = _one_round(current)
        if merged == current:
            break
        current = merged
    return {line: _LIST.sub(STAR, "".join(parts)) for line, parts in current.items()}


Parts = tuple[str, ...]


Key = tuple[Parts, tuple[int, ...]]


def _one_round(current: dict[str, Parts]) -> dict[str, Parts]:
    """Replace, in every template, the place that varies most while all other places agree; else two such places."""
    distinct = sorted(set(current.values()))
    singles = _chosen(distinct, 1)
    rest = [parts for parts in distinct if parts not in singles and len(parts) <= MAX_PLACES]
    pairs = _chosen(rest, 2) if len(rest) <= MAX_PAIRED else {}
    return {line: singles.get(parts) or pairs.get(parts, parts) for line, parts in current.items()}


def _chosen(distinct: Sequence[Parts], places: int) -> dict[Parts, Parts]:
    """Template -> the same with its most varying place (or pair of places) as a parameter."""
    groups: dict[Key, list[Parts]] = defaultdict(list)
    keys: dict[Parts, list[Key]] = {}
    for parts in distinct:
        free = [i for i in range(0, len(parts), 2) if parts[i] and parts[i] != STAR]
        if len(free) - places < MIN_FIXED:
            continue
        keys[parts] = [(_blanked(parts, chosen), chosen) for chosen in combinations(free, places)]
        for key in keys[parts]:
            groups[key].append(parts)
    chosen_for: dict[Parts, Parts] = {}
    for parts, own in keys.items():
        best: tuple[int, Key] | None = None
        for key in own:
            members = groups[key]
            if len(members) > (best[0] if best else 1) and _all_vary(members, key[1]):
                best = (len(members), key)
        if best is not None:
            chosen_for[parts] = best[1][0]
    return chosen_for


def _blanked(parts: Parts, chosen: tuple[int, ...]) -> Parts:
    out = list(parts)
    for index in chosen:
        out[index] = STAR
    return tuple(out)


def _all_vary(members: Sequence[Parts], chosen: tuple[int, ...]) -> bool:
    fixed = sum(1 for i in range(0, len(members[0]), 2) if i not in chosen and members[0][i].isalpha())
    return all(varies((parts[index] for parts in members), fixed) for index in chosen)


def varies(values: Iterable[str], fixed: int) -> bool:
    """Whether words that stand in the same place of otherwise equal lines are values of a parameter.

    Words in capitals are states and commands: two lines that differ in one are different events.

    Args:
        values: the words.
        fixed: how many plain words around them agree; the fewer, the more values it takes.
    """
    words = set(values)
    if len(words) < 2:
        return False
    if any(STAR in word or not _WORD.fullmatch(word) for word in words):
        return len(words) >= 2 and fixed >= 1
    if all(word.isupper() for word in words):
        return len(words) >= 4 * MANY
    return len(words) >= (MANY if fixed >= 3 else 2 * MANY)


_WORD = re.compile(r"[A-Za-z][A-Za-z._-]*[:!?]?")
