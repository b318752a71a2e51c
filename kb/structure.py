"""What a foreign postmortem says about itself: date, services, severity, category, root cause, fix, duration, actions.

Belongs here: how people write postmortems: labelled lines, tables of two columns, headings, and labels within a
sentence ("Root cause: ..."). What is not said in one of these ways stays empty; nothing is guessed from the story.
Linear in the length of the text: a line is looked at once, and only the beginning of a long one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from kb.tokens import MONTH, MONTHS

_MOST_TEXT, _LONGEST_LINE, _LONGEST_VALUE = 60_000, 2_000, 600

_LABELS = {
    "date": "date|incident date|date of incident|occurred|occurred on|start date|started|start|incident start|began"
    "|first detected|detected|incident declared",
    "ended": "end|ended|end date|incident end|resolved|resolved at|finished|restored",
    "services": "services?|affected services?|services? affected|impacted services?|services? impacted"
    "|affected systems?|systems? affected|components?|affected components?|product",
    "severity": "severity|severity level|incident severity|sev|priority",
    "category": "category|root cause category|cause category|incident type|cause type|type of incident",
    "root_cause": "root causes?|root cause analysis|cause|causes|the cause|contributing factors?|trigger|rca"
    "|what caused it|what was the cause|why did it happen|root cause of the incident",
    "fix": "resolution|fix|the fix|mitigation|mitigations|remediation|solution|how we fixed it|how was it fixed"
    "|workaround|recovery|resolution and recovery|mitigation and resolution",
    "duration": "duration|incident duration|outage duration|time to resolve|time to recovery|total duration|length"
    "|time to repair|downtime|ttr",
    "actions": "actions?|action items?|follow[- ]?ups?|next steps|corrective actions?|review actions?|to-?do"
    "|corrective and preventa?tive measures|preventa?tive measures|remediation items?|tasks",
}
_SLOT_OF = [(slot, re.compile(rf"(?:{words})$", re.I)) for slot, words in _LABELS.items()]
_LABELLED = re.compile(
    r"[\s>*+\-|]*(?:\d{1,2}\.\s+)?[*_`]{0,3}([A-Za-z][A-Za-z /\-]{1,38}?)[*_`]{0,3}\s*[:|][*_`]{0,3}\s*(.*)$"
)
_HEADING = re.compile(r" {0,3}#{1,6}[ \t]+(.{1,80}?)[ \t#:]*$")
_BOLD_HEADING = re.compile(r"\s*(?:\*\*|__)([A-Z][^*_]{1,60}?):?(?:\*\*|__):?\s*$")
_UNDERLINE = re.compile(r"\s*(?:=|-){4,}\s*$")
_INLINE = re.compile(r"(?:(?<=\s)|^)((?:Root |Preliminary root )?[Cc]ause|Mitigation|Resolution|Fix|Duration):\s")
_ITEM = re.compile(r"\s*(?:[-*+]|\d{1,2}[.)])\s+(?:\[([ xX])\]\s*)?(.+)$")
_DONE = re.compile(r"\b(?:done|completed?|fixed|merged|closed|resolved)\b|✅|~~", re.I)
_ISO = re.compile(r"(?<!\d)((?:19|20)\d\d)[-/.](\d{1,2})[-/.](\d{1,2})(?!\d)")
_MONTH_FIRST = re.compile(rf"\b({MONTH})\b\.?\s+(\d{{1,2}})(?:st|nd|rd|th)?\b,?\s+((?:19|20)\d\d)\b", re.I)
_DAY_FIRST = re.compile(rf"\b(\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?({MONTH})\b\.?,?\s+((?:19|20)\d\d)\b", re.I)
_CLOCK = re.compile(r"(?<!\d)([01]?\d|2[0-3])[:.h]([0-5]\d)(?!\d)")
_AMOUNT = re.compile(r"(\d{1,4}(?:\.\d)?)\s*(d(?:ays?)?|h(?:ours?|rs?)?|m(?:in(?:ute)?s?)?|s(?:ec(?:ond)?s?)?)\b", re.I)
_LASTED = re.compile(r"\b(?:lasted|lasting|outage of|down for|unavailable for|for a total of)\b", re.I)
_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_SEVERITY = re.compile(
    r"\b(?:sev(?:erity)?[- ]?[0-5]|[PS][0-5]|critical|major|minor|high|medium|moderate|low|blocker)\b", re.I
)
_CATEGORIES = {
    "configuration_error": "config(?:uration)?|misconfiguration|settings?",
    "deployment_issue": "deploy(?:ment)?|release|rollout|code change|change management",
    "capacity_problem": "capacity|load|overload|scal(?:e|ing)|resource(?:s| exhaustion)?|traffic|performance",
    "dependency_failure": "dependency|third[- ]party|upstream|provider|vendor|external service",
    "code_bug": "(?:software |code )?bugs?|code|defect|software",
    "external_factor": "hardware|power|network|weather|fire|cable|data ?cent(?:re|er)|attack|ddos|security",
}
_CATEGORY_OF = [(name, re.compile(rf"\b(?:{words})\b", re.I)) for name, words in _CATEGORIES.items()]


@dataclass(frozen=True, slots=True)
class Structure:
    """What was found; None or empty where it is not said."""

    date: datetime | None = None
    services: tuple[str, ...] = ()
    severity: str | None = None
    category: str | None = None
    root_cause: str | None = None
    fix: str | None = None
    duration: timedelta | None = None
    open_actions: tuple[str, ...] = ()
    """Action items that nothing says are done."""


class _Said(NamedTuple):
    """A slot and what stands in it."""

    slot: str
    value: str


def find_structure(text: str, title: str = "") -> Structure:
    """Read a postmortem's own statements about the incident.

    Args:
        text: Markdown or plain text.
        title: its title; a date in it is the incident's.
    """
    text = text[:_MOST_TEXT]
    said: dict[str, str] = {}
    actions: list[str] = []
    for slot, value in _statements(text):
        if slot == "actions":
            actions.append(value)
        elif value:
            said.setdefault(slot, value[:_LONGEST_VALUE])
    date = _date_of(title) or _date_of(said.get("date", "")) or _date_of(text[:300])
    return Structure(
        date=date,
        services=_names(said.get("services", "")),
        severity=_first(_SEVERITY, said.get("severity", "")),
        category=_category(said.get("category", "")),
        root_cause=said.get("root_cause"),
        fix=said.get("fix"),
        duration=_duration(said, text),
        open_actions=tuple(dict.fromkeys(action for action in actions if action)),
    )


def _statements(text: str) -> Iterator[_Said]:
    """Everything that is said under a label, in the order of the text."""
    slot, held = "", list[str]()
    lines = text.split("\n")
    for number, raw in enumerate(lines):
        line = raw[:_LONGEST_LINE]
        heading = _heading(line, lines[number + 1] if number + 1 < len(lines) else "")
        labelled = None if heading is not None else _labelled(line)
        if heading is not None or labelled is not None:
            yield from _closed(slot, held)
            slot, held = (_slot(heading), []) if heading is not None else (labelled.slot, [labelled.value])  # type: ignore[union-attr]
        elif slot == "actions":
            if (item := _ITEM.match(line)) is not None:
                yield _Said("actions", "" if item[1] in ("x", "X") or _DONE.search(item[2]) else _plain(item[2]))
        elif slot:
            held.append(line)
        if not slot:
            yield from _inline(line)
    yield from _closed(slot, held)


def _heading(line: str, following: str) -> str | None:
    match = _HEADING.match(line) or _BOLD_HEADING.match(line)
    if match is not None:
        return match[1]
    return line.strip() if 3 < len(line.strip()) < 80 and _UNDERLINE.match(following) else None


def _labelled(line: str) -> _Said | None:
    match = _LABELLED.match(line)
    slot = _slot(match[1]) if match is not None else ""
    return _Said(slot, match[2].strip(" |")) if match is not None and slot else None


def _closed(slot: str, held: list[str]) -> Iterator[_Said]:
    """The first paragraph of what stood below a label."""
    if slot and slot != "actions":
        paragraph: list[str] = []
        for line in held:
            if _UNDERLINE.match(line):
                continue
            if line.strip() and not line.lstrip().startswith(("```", "![")):
                paragraph.append(_plain(line))
            elif paragraph:
                break
        yield _Said(slot, " ".join(filter(None, paragraph)))


def _inline(line: str) -> Iterator[_Said]:
    """Labels within a line, as in `... Root cause: this. Mitigation: that`."""
    found = list(_INLINE.finditer(line))
    for at, match in enumerate(found):
        end = found[at + 1].start() if at + 1 < len(found) else len(line)
        label = match[1].lower()
        slot = "root_cause" if "cause" in label else "duration" if label == "duration" else "fix"
        yield _Said(slot, line[match.end() : end].strip())


def _slot(label: str) -> str:
    name = label.strip(" *_`:?").lower()
    return next((slot for slot, pattern in _SLOT_OF if pattern.match(name)), "")


def _plain(line: str) -> str:
    text = re.sub(r"\[([^\]]{0,200})\]\([^)]{0,500}\)", r"\1", line.strip())
    return re.sub(r"^(?:[-*+>]|\d{1,2}[.)])\s+|[*_`]{2,3}", "", text).strip(" |")


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    match = pattern.search(text)
    return match[0] if match is not None else None


def _names(text: str) -> tuple[str, ...]:
    names = (re.sub(r"[*_`]", "", part).strip(" .") for part in re.split(r"[,;/]| and ", text))
    return tuple(dict.fromkeys(name for name in names if 1 < len(name) <= 40))[:12]


def _category(text: str) -> str | None:
    named = re.sub(r"[\s-]+", "_", text.strip().lower())
    if named in _CATEGORIES:
        return named
    found = [name for name, pattern in _CATEGORY_OF if pattern.search(text)]
    return found[0] if len(found) == 1 else None


def _date_of(text: str) -> datetime | None:
    """The first full date, with its time of day where one follows at once."""
    found = []
    for pattern, order in ((_ISO, (1, 2, 3)), (_MONTH_FIRST, (3, 1, 2)), (_DAY_FIRST, (3, 2, 1))):
        match = pattern.search(text)
        if match is not None:
            year, month, day = (match[group] for group in order)
            found.append((match.start(), year, month, day))
    for _, year, month, day in sorted(found):
        try:
            return datetime(int(year), int(month) if month.isdigit() else MONTHS[month.lower()], int(day), tzinfo=UTC)
        except ValueError:
            continue
    return None


def _duration(said: dict[str, str], text: str) -> timedelta | None:
    amount = _amount(said.get("duration", ""))
    if amount is not None:
        return amount
    if (between := _between(said.get("date", ""), said.get("ended", ""))) is not None:
        return between
    match = _LASTED.search(text)
    return _amount(text[match.end() : match.end() + 30], at_start=True) if match is not None else None


def _amount(text: str, *, at_start: bool = False) -> timedelta | None:
    """An amount of time as people write it: `1 hour 20 minutes`, `1h20m`, `2d`."""
    found = list(_AMOUNT.finditer(text[:80]))
    if not found or (at_start and found[0].start() > 12):
        return None
    total, end = 0.0, found[0].start()
    for match in found:
        if match.start() - end > 6:
            break
        total += float(match[1]) * _SECONDS[match[2][0].lower()]
        end = match.end()
    return timedelta(seconds=total) if 0 < total < 400 * 86_400 else None


def _between(begin: str, end: str) -> timedelta | None:
    days = _date_of(begin), _date_of(end)
    clocks = _CLOCK.search(begin), _CLOCK.search(end)
    if days[0] is None or days[1] is None or clocks[0] is None or clocks[1] is None:
        return None
    moments = [
        day + timedelta(hours=int(clock[1]), minutes=int(clock[2]))
        for day, clock in zip(days, clocks, strict=True)
        if day and clock
    ]
    return moments[1] - moments[0] if moments[1] > moments[0] else None
