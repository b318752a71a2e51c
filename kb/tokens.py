"""Text to search terms, as an engineer means them.

Belongs here: what a word is. `KubePodCrashLooping`, `kube_pod_crash_looping` and "pod is crash looping" share terms;
error codes (`ECONNREFUSED`, `ORA-01555`, `HTTP 503`) and metric names stay findable as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_WORD = re.compile(r"[^\W_]+(?:[_.:/-]+[^\W_]+)*", re.UNICODE)
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_A-Za-z]+", re.UNICODE)
_LONGEST_WORD = 80
_MONTH_NAMES = """
january jan|february feb|march mar|april apr|may|june jun|july jul|august aug|september sept sep|october oct|
november nov|december dec
"""
MONTHS = {name: at for at, names in enumerate(_MONTH_NAMES.split("|"), start=1) for name in names.split()}
MONTH = "|".join(sorted(MONTHS, key=len, reverse=True))
_ISO_DATE = re.compile(r"(?<!\d)((?:19|20)\d\d)[-/](\d\d)[-/](\d\d)(?!\d)")
_MONTH_FIRST = re.compile(rf"\b({MONTH})\b\.?\s+(\d{{1,2}})(?:st|nd|rd|th)?\b(?:,?\s+((?:19|20)\d\d)\b)?", re.I)
_DAY_FIRST = re.compile(rf"\b(\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?({MONTH})\b\.?(?:,?\s+((?:19|20)\d\d)\b)?", re.I)
_STOP_WORDS = """
a an and are as at be been but by can could did do does for from had has have he her his how i if in into is it its may
more most no not of on or our out over she should so some such than that the their them then there these they this those
to too up very was we were what when where which while who will with would you your
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
_MOST_KNOWN = 400_000


def terms(text: str) -> list[str]:
    """The search terms of a text, in order, with repetitions."""
    return [*word_terms(text), *_date_terms(text)]


def word_terms(text: str) -> list[str]:
    """The same without the terms of days, which cost as much to find as all others together."""
    found: list[str] = []
    for word in _WORD.findall(text):
        found.extend(_known[word])
    return found


def _date_terms(text: str) -> Iterable[str]:
    """Days, however they are written: `2026-03-12`, "March 12th, 2026" and "12 Mar" share the term `day0312`."""
    for year, month, day in _ISO_DATE.findall(text):
        yield from _day(year, int(month), day)
    for month, day, year in _MONTH_FIRST.findall(text):
        yield from _day(year, MONTHS[month.lower()], day)
    for day, month, year in _DAY_FIRST.findall(text):
        yield from _day(year, MONTHS[month.lower()], day)


def _day(year: str, month: int, day: str) -> Iterable[str]:
    if 1 <= month <= 12 and 1 <= int(day) <= 31:
        yield f"day{month:02}{int(day):02}"
        if year:
            yield f"day{year}{month:02}{int(day):02}"


def words(text: str) -> Iterable[tuple[str, tuple[str, ...]]]:
    """Each word of a text with its terms, so that a result can say which words it matched."""
    for word in _WORD.findall(text):
        yield word, _known[word]


class _Known(dict[str, tuple[str, ...]]):
    """The terms of words that were met before, which nearly all are."""

    def __missing__(self, word: str) -> tuple[str, ...]:
        if len(word) > _LONGEST_WORD:
            return tuple(stem for part in _PART.findall(word)[:20] if (stem := _stem(part.lower())))
        if len(self) > _MOST_KNOWN:
            self.clear()
        parts = self[word] = tuple(dict.fromkeys(_split(word)))
        return parts


_known = _Known()


def _split(word: str) -> Iterable[str]:
    """The word as a whole, where it is a compound, and each of its parts."""
    parts = [part.lower() for part in _PART.findall(word)]
    if len(parts) > 1:
        yield re.sub(r"[^\w]|_", "", word.lower())
    for part in parts:
        if stem := _stem(part):
            yield stem


def _stem(word: str) -> str:
    """Endings are dropped, so that `restarts`, `restarting` and `restarted` meet; "" for a stop word."""
    if word in STOP_WORDS or (len(word) == 1 and not word.isdigit()):
        return ""
    if len(word) <= 3 or not word.isascii() or word[0].isdigit():
        return word
    return _without_ending(word)


def _without_ending(word: str) -> str:
    for ending, keep in (("ies", "y"), ("sses", "ss"), ("ing", ""), ("edly", ""), ("ed", ""), ("ly", "")):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return _undoubled(word[: -len(ending)] + keep)
    if word.endswith("es") and len(word) >= 5 and word[-3] in "sxzh":
        return word[:-2]
    if word.endswith("s") and word[-2] not in "su":
        return word[:-1].removesuffix("e") if word.endswith("es") and len(word) > 4 else word[:-1]
    return word.removesuffix("e") if len(word) > 3 else word


def _undoubled(stem: str) -> str:
    if len(stem) > 3 and stem[-1] == stem[-2] and stem[-1] not in "lsz":
        return stem[:-1]
    return stem.removesuffix("e") if len(stem) > 4 else stem
