"""Could this change produce this failure? One change against the fault's signature.

Belongs here: the clues that tie a change to the failure, each with its weight and its sentence.
Does not belong here: choosing among changes (`change_correlation`) or knowing mechanisms (`mechanisms`).

The weights are log-odds, set by hand from what each clue means: with a handful of labelled changes there is nothing to
fit, and a clue that convicts on eight incidents convicts decoys on the ninth.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache

from incident_pipeline.diagnosis.diffs import number_of
from incident_pipeline.diagnosis.edit_kinds import HARMLESS, Edit
from incident_pipeline.diagnosis.edits import edits_of
from incident_pipeline.diagnosis.fault_signature import FaultSignature, split_words
from incident_pipeline.diagnosis.mechanisms import MECHANISMS, Mechanism
from incident_pipeline.diagnosis.reach import Delivery
from incident_pipeline.diagnosis.sentences import clock_on, number, shortened, span
from incident_pipeline.models import CodeChange

SKEW = timedelta(minutes=2)
"""Clocks of different sources differ by this much without meaning anything."""
SOON = timedelta(minutes=30)

_VAGUE = frozenset({"code_changed", "unseen", "value_changed", "null_introduced", "switch_changed"})
_LOOSENING = frozenset(
    {"backoff_raised", "timeout_raised", "limit_raised", "replicas_raised", "resources_raised", "retries_raised"}
)
"""Give more room; dangerous only where the failure speaks of what they strain."""
_MILD = frozenset(
    {"dependency_patch", "dependency_minor", "header_changed", "compute_added", "unbounded_growth", "memory_raised"}
)


SAME_WORDS = 0.5
"""What it adds to a mechanism that the very line that was edited and the failing line speak of the same."""
_TIES = frozenset({"mechanism", "stack_frame", "value_seen", "name_spoken"})


@dataclass
class Clue:
    """One reason for or against, in log-odds."""

    name: str
    weight: float
    sentence: str = ""


@dataclass
class Suspect:
    """A delivered change with all that speaks for and against it."""

    delivery: Delivery
    edits: tuple[Edit, ...]
    clues: list[Clue] = field(default_factory=list)
    mechanism: Mechanism | None = None
    impossible: bool = False
    """It came after the first sign."""

    @property
    def score(self) -> float:
        """The sum of the clues, in log-odds."""
        return -99.0 if self.impossible else math.fsum(clue.weight for clue in self.clues)

    @property
    def change(self) -> CodeChange:
        """The change itself."""
        return self.delivery.change

    @property
    def is_tied(self) -> bool:
        """Whether something of the change itself is seen in the failure, not only its time and place."""
        return any(c.weight >= 1.2 for c in self.clues if c.name in _TIES)

    def has(self, name: str) -> bool:
        """Whether a clue of this name speaks for the change."""
        return any(clue.name == name and clue.weight > 0 for clue in self.clues)


def suspect_of(
    delivery: Delivery,
    signature: FaultSignature,
    services: Mapping[str, float],
    common: Counter[str],
    number_of_changes: int,
    focus_areas: Collection[str] = (),
) -> Suspect:
    """Weigh one delivered change.

    Args:
        delivery: the change and how it reached production.
        signature: what the failure is called.
        services: service -> probability that the problem starts there.
        common: in how many of the changes each word occurs, so that a word of all of them tells nothing.
        number_of_changes: how many changes there are.
        focus_areas: areas (lower case) whose changes weigh a little more.
    """
    suspect = Suspect(delivery, edits_of(delivery.change))
    suspect.clues.append(_potential(suspect.edits))
    suspect.clues.append(_vocabulary(suspect, signature, common, number_of_changes))
    _match_mechanism(suspect, signature, common)
    suspect.clues += _frames(suspect, signature)
    suspect.clues += _names(suspect, signature, common)
    suspect.clues += _values(suspect, signature)
    suspect.clues.append(_reach(delivery, services))
    if {area.lower() for area in delivery.change.focus_areas} & set(focus_areas):
        suspect.clues.append(Clue("focus_area", 0.3))
    _timing(suspect, signature)
    return suspect


def _potential(edits: Sequence[Edit]) -> Clue:
    """What such edits do in general, whatever the failure."""
    kinds = {edit.kind for edit in edits}
    if not kinds or kinds <= HARMLESS:
        return Clue("harmless", -4.0, "It changes nothing that runs")
    strong = [
        e for e in edits if e.kind not in HARMLESS | _VAGUE | _MILD | _LOOSENING and not e.kind.endswith("_nudged")
    ]
    if strong:
        return Clue("dangerous_edit", 0.8, f"It {strong[0].detail}")
    if kinds & _LOOSENING:
        return Clue("more_room", -0.5)
    if any(kind.endswith("_nudged") for kind in kinds):
        return Clue("small_step", -1.0)
    if kinds & _MILD:
        return Clue("mild_edit", -1.2 if kinds & {"dependency_patch", "dependency_minor"} else -0.6)
    return Clue("vague_edit", -0.8)


def _vocabulary(suspect: Suspect, signature: FaultSignature, common: Counter[str], total: int) -> Clue:
    """Rare words that the change and the failure share; the changed lines count more than the lines around them."""
    shared: dict[str, float] = {}
    for weight, text in _texts(suspect):
        for word in split_words(text):
            known = signature.words.get(word, 0.0)
            rarity = math.log((1 + total) / common[word]) / math.log(2 + total) if common[word] else 1.0
            shared[word] = max(shared.get(word, 0.0), weight * known * max(rarity, 0.0))
    best = sorted(((v, w) for w, v in shared.items() if v > 0.05), key=lambda p: (-p[0], p[1]))[:6]
    amount = math.fsum(value for value, _ in best)
    if not best:
        return Clue("words", -0.5)
    words = ", ".join(_as_written(word, suspect) for _, word in best[:4])
    return Clue("words", 2.0 * math.tanh(amount / 2.0) - 0.5, f"Its lines and the failure share rare words: {words}")


def _as_written(stem: str, suspect: Suspect) -> str:
    """A word as the change writes it, lower case."""
    text = f"{suspect.change.diff or ''} {' '.join(suspect.change.files)} {suspect.change.message}"
    found = re.search(rf"{re.escape(stem)}[a-z]*", text.lower())
    return found.group(0) if found else stem


def _texts(suspect: Suspect) -> list[tuple[float, str]]:
    change = suspect.change
    changed = "\n".join(
        line[1:] for line in (change.diff or "").splitlines() if line[:1] in "+-" and line[:3] not in {"+++", "---"}
    )
    around = "\n".join(line for line in (change.diff or "").splitlines() if line[:1] not in "+-")
    return [
        (1.0, changed[:20000]),
        (0.8, " ".join(change.files[:100])),
        (0.8, change.message[:1000]),
        (0.4, around[:20000]),
    ]


@lru_cache(maxsize=8)
def _spoken(texts: tuple[str, ...]) -> tuple[tuple[Mechanism, str, int], ...]:
    """The mechanisms whose words the failure speaks: the first text that does, and how many of the first three do."""
    found = []
    for mechanism in MECHANISMS:
        hit = next((text for text in texts if mechanism.symptoms.search(text)), None)
        if hit is not None:
            found.append((mechanism, hit, sum(1 for text in texts[:3] if mechanism.symptoms.search(text))))
    return tuple(found)


def _share_words(edit: Edit, hit: str, common: Counter[str]) -> bool:
    """Whether the edit itself and the failing line share a long word that few changes have."""
    detail = edit.detail.rsplit(" in ", 1)[0]
    return any(len(word) >= 6 and common[word] <= 2 for word in set(split_words(detail)) & set(split_words(hit)))


def _match_mechanism(suspect: Suspect, signature: FaultSignature, common: Counter[str]) -> None:
    """The mechanism whose edit and whose words are both there; specific edits beat vague ones."""
    best: tuple[float, Mechanism, Edit, str] | None = None
    for mechanism, hit, telling in _spoken(signature.texts):
        for edit in suspect.edits:
            weight = _mechanism_weight(edit, telling) if edit.kind in mechanism.edits else 0.0
            weight += SAME_WORDS if weight > 0 and edit.kind not in _VAGUE and _share_words(edit, hit, common) else 0.0
            if weight > 0 and (best is None or weight > best[0]):
                best = (weight, mechanism, edit, hit)
    if best is None or best[0] <= 0:
        return
    weight, mechanism, edit, hit = best
    suspect.mechanism = mechanism
    found = mechanism.symptoms.search(hit)
    word = found.group(0) if found else ""
    suspect.clues.append(
        Clue(
            "mechanism",
            weight,
            f'It {edit.detail}, and the failure speaks of "{shortened(word, 40)}": "{shortened(hit, 110)}"',
        )
    )


def _mechanism_weight(edit: Edit, telling: int) -> float:
    if edit.kind in _VAGUE:
        base = 0.5
    elif edit.kind in _MILD | _LOOSENING or edit.kind.endswith("_nudged"):
        base = 1.0
    elif edit.kind.endswith(("_changed", "_turned")):
        base = 1.6
    else:
        base = 2.2
    return base * (0.7 + 0.15 * telling) * (0.5 if edit.kind.endswith("_nudged") else 1.0)


def _frames(suspect: Suspect, signature: FaultSignature) -> list[Clue]:
    """A changed file that stands in a stack trace or an error text."""
    names = {path.rsplit("/", 1)[-1].lower() for path in suspect.change.files}
    named = sorted(names & signature.frames)
    if not named or suspect.has("harmless") or all(edit.kind in HARMLESS for edit in suspect.edits):
        return []
    return [
        Clue(
            "stack_frame", 2.0, f"Errors concentrated in code that it changes: the failing stack trace names {named[0]}"
        )
    ]


_NAME = re.compile(r"[A-Za-z_][\w]*(?:[.-][\w]+)*")
_QUOTED = re.compile(r"['\"`]([A-Za-z_]\w{3,})['\"`]")
_NUMBER = re.compile(r"(?<![\w.])\d{4,6}(?![\w.])")


def _names(suspect: Suspect, signature: FaultSignature, common: Counter[str]) -> list[Clue]:
    """A name that the diff brings in or takes away, and that the failing lines speak of."""
    lines = (suspect.change.diff or "").splitlines()[:2000]
    added = {n for line in lines if line[:1] == "+" and line[:3] != "+++" for n in _NAME.findall(line[1:])}
    removed = {n for line in lines if line[:1] == "-" and line[:3] != "---" for n in _NAME.findall(line[1:])}
    spoken = set(_NAME.findall(signature.text))
    quoted = set(_QUOTED.findall(signature.text))
    found = sorted(
        name
        for name in (added ^ removed) & (spoken | quoted)
        if (name in quoted or (len(name) >= 5 and re.search(r"[_.-]|[a-z][A-Z]", name)))
        and max((common[w] for w in split_words(name)), default=0) <= 3
    )
    found += _numbers(lines, signature)
    if not found:
        return []
    what = "brings in" if any(found[0] in line for line in lines if line[:1] == "+") else "takes away"
    return [Clue("name_spoken", 1.8, f"It {what} {found[0]}, of which the failing lines speak")]


def _numbers(lines: Sequence[str], signature: FaultSignature) -> list[str]:
    """Long numbers (ports, codes) that the diff brings in or takes away and that the failing lines carry."""
    added = {n for line in lines if line[:1] == "+" and line[:3] != "+++" for n in _NUMBER.findall(line)}
    removed = {n for line in lines if line[:1] == "-" and line[:3] != "---" for n in _NUMBER.findall(line)}
    return sorted((added ^ removed) & set(_NUMBER.findall(re.sub(r"(?<=:)(?=\d)", " ", signature.text))))


def _values(suspect: Suspect, signature: FaultSignature) -> list[Clue]:
    """A setting whose old and new values are seen in production."""
    numbers = [e for e in suspect.edits if e.detail.startswith("sets ")]
    clues = []
    for edit in numbers:
        before, after = _from_to(edit.detail)
        if before is None or after is None or before == after:
            continue
        for service, name, old, new, _ in signature.value_moves:
            if math.isclose(old, before, rel_tol=0.01) and math.isclose(new, after, rel_tol=0.01):
                clues.append(
                    Clue(
                        "value_seen",
                        2.5,
                        f"{name} of {service} went from {number(old)} to {number(new)}, as the diff says",
                    )
                )
        seen = [name for name, values in signature.values.items() if after in values and after > 1]
        if seen and not edit.kind.endswith("_nudged"):
            clues.append(
                Clue("value_logged", 1.0, f"Failing lines carry {seen[0]}={number(after)}, the value the diff sets")
            )
    return clues[:1] if len(clues) <= 1 else sorted(clues, key=lambda c: -c.weight)[:2]


def _from_to(detail: str) -> tuple[float | None, float | None]:
    middle = detail.split(" from ", 1)[-1]
    before, _, rest = middle.partition(" to ")
    return number_of(before), number_of(rest.rsplit(" in ", 1)[0])


def _reach(delivery: Delivery, services: Mapping[str, float]) -> Clue:
    """Whether the change runs where the failure starts."""
    deployment = delivery.deployment
    if deployment is None:
        return Clue("not_released", -2.5) if delivery.at is None else Clue("release_unknown", -0.5)
    probability = services.get(deployment.service or "", 0.0)
    weight = 1.5 * math.log10(max(probability, 0.001) / 0.1)
    sentence = f"It was released to {deployment.service}, where the failure starts" if probability >= 0.4 else ""
    return Clue("reach", max(min(weight, 1.5), -2.5) - (0.0 if delivery.certain else 0.7), sentence)


def _timing(suspect: Suspect, signature: FaultSignature) -> None:
    """Before the first sign, and near to it unless the mechanism needs time."""
    at: datetime | None = suspect.delivery.at
    if at is None:
        suspect.clues.append(Clue("time_unknown", -0.5))
        return
    lead = signature.first_sign - at
    when = clock_on(at, signature.first_sign)
    if lead < -SKEW:
        suspect.impossible = True
        suspect.clues.append(Clue("too_late", -99.0, f"It went live at {when}, after the first sign of the failure"))
    elif lead <= SOON:
        suspect.clues.append(
            Clue("timing", 0.7, f"It went live at {when}, {_ahead(lead)} the first sign of the failure")
        )
    elif suspect.mechanism is not None and suspect.mechanism.accumulates:
        suspect.clues.append(
            Clue(
                "timing",
                0.2,
                f"It went live at {when}, {_ahead(lead)} the first sign; what it does builds up over time",
            )
        )
    else:
        hours = lead.total_seconds() / 3600.0
        suspect.clues.append(
            Clue("timing", 0.2 - 0.7 * math.log1p(hours), f"It went live at {when}, {_ahead(lead)} the first sign")
        )


def _ahead(lead: timedelta) -> str:
    return f"{span(lead)} before" if lead > timedelta(seconds=30) else "at the moment of"
