"""Which feature flag was turned before the failure, and does the failure speak of it?

Belongs here: the hypotheses that blame a flag, and the changes that only a flag brought to life.
Does not belong here: changes themselves (`change_matching`).

Flags are turned all day, so that one was turned near the onset says little: its name has to be spoken.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import timedelta

from incident_pipeline.diagnosis.change_matching import SKEW, Clue, Suspect
from incident_pipeline.diagnosis.fault_signature import FaultSignature, split_words
from incident_pipeline.diagnosis.likelihood import likelihood
from incident_pipeline.diagnosis.sentences import clock_on, shortened, span
from incident_pipeline.models import Category, CausedBy, FlagChange, Hypothesis, Symptoms

WINDOW = timedelta(hours=1)
APPROACH = "change_correlation"


def possible_flags(flags: Sequence[FlagChange], signature: FaultSignature) -> list[FlagChange]:
    """The flags turned within an hour before the first sign, by name."""
    turned = [f for f in flags if f.changed_at and -SKEW <= signature.first_sign - f.changed_at <= WINDOW]
    return sorted(turned, key=repr)


def spoken(name: str, text: str) -> bool:
    """Whether a text names a flag, however its words are joined."""
    words = re.findall(r"[a-z0-9]+", name.lower())
    return len("".join(words)) >= 6 and re.search(r"[^a-z0-9]?".join(map(re.escape, words)), text.lower()) is not None


def mark_guarded(suspects: Sequence[Suspect], flags: Sequence[FlagChange]) -> None:
    """A change that lay behind a flag until it was turned did not fail when it went live: the flag did it."""
    for suspect in suspects:
        for flag in flags:
            at = suspect.delivery.at
            text = f"{suspect.change.message} {suspect.change.diff or ''}"
            if at is not None and flag.changed_at is not None and at < flag.changed_at and spoken(flag.name, text):
                suspect.clues.append(
                    Clue("behind_flag", -3.0, f"It lay behind the flag {flag.name} until that was turned")
                )


def flag_hypotheses(
    flags: Sequence[FlagChange], suspects: Sequence[Suspect], symptoms: Symptoms, signature: FaultSignature
) -> list[Hypothesis]:
    """One hypothesis for each flag that was turned in time."""
    services = {s.service: s.score for s in symptoms.services}
    return [_of_flag(flag, suspects, services.get(flag.service or "", 0.0), symptoms, signature) for flag in flags]


def _of_flag(
    flag: FlagChange, suspects: Sequence[Suspect], probability: float, symptoms: Symptoms, signature: FaultSignature
) -> Hypothesis:
    moment = flag.changed_at or signature.first_sign
    lead, when = signature.first_sign - moment, clock_on(moment, signature.first_sign)
    score = 0.3 + 1.2 * probability - 0.5 * math.log1p(max(lead.total_seconds(), 0.0) / 600.0)
    sentences = [f"It was turned {span(lead)} before the first sign of the failure"]
    line = next((text for text in signature.texts if spoken(flag.name, text)), None)
    if line is not None:
        score += 3.5
        sentences.append(f'The failing lines speak of it: "{shortened(line, 120)}"')
    else:
        shared = sorted(w for w in set(split_words(flag.name)) if signature.words.get(w, 0.0) >= 0.5)
        score += min(len(shared), 3) * 0.5
        sentences += [f"Its name and the failure share: {', '.join(shared)}"] if shared else []
    guarded = [s for s in suspects if any(c.name == "behind_flag" and flag.name in c.sentence for c in s.clues)]
    if guarded:
        score += 1.0
        sentences.append(f"It brought to life what commit {guarded[0].change.sha[:8]} had put behind it")
    return Hypothesis(
        category=Category.CONFIGURATION_ERROR,
        service=flag.service or symptoms.first_failing_service,
        description=f"Feature flag {flag.name} turned {flag.value or 'over'} at {when}",
        confidence=round(likelihood(score), 4),
        evidence=tuple(sentences),
        suggested_actions=(f"Turn {flag.name} back to {flag.previous_value or 'its previous value'}",),
        caused_by=CausedBy(kind="flag", id=flag.name),
        mechanism="feature_switched",
        approach=APPROACH,
        disproved_by=f"the failure goes on with {flag.name} turned back",
    )
