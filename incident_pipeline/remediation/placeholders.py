"""`{{ service }}` and its siblings: filled from a closed list, with values that cannot act.

Belongs here: which names there are, which values may stand for them, and filling. Pure.
Does not belong here: templates that people read; those are Jinja's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from incident_pipeline.errors import PermanentSourceError

NAMES = (
    "service", "environment", "version", "current_version", "previous_version", "replicas", "current_replicas", "flag",
    "state", "namespace", "workload", "incident", "application", "execution",
)  # fmt: skip
"""Every name that can stand between the braces."""
_PLACEHOLDER = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_HARMLESS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/@+\-]{0,199}")
"""No blank, no quote, nothing that a shell, a URL or a program's options read as anything but a name."""


def names_in(text: str) -> tuple[str, ...]:
    """What stands between double braces, whether there is such a name or not."""
    return tuple(dict.fromkeys(_PLACEHOLDER.findall(text)))


def is_harmless(value: str) -> bool:
    """Whether a value may stand for a placeholder: a plain name, no option, no path upwards."""
    return bool(_HARMLESS.fullmatch(value)) and ".." not in value


def fill(text: str, values: Mapping[str, str], where: str) -> str:
    """The text with every placeholder filled in; what was filled in is not looked at again.

    Raises:
        PermanentSourceError: a name is not of the list, has no value, or its value could act.
    """

    def one(match: re.Match[str]) -> str:
        name = match[1]
        if name not in NAMES:
            raise PermanentSourceError(f"{where}: {{{{ {name} }}}} is not known; there are {', '.join(NAMES)}")
        value = values.get(name)
        if name == "execution" and value is not None:
            return value
        if value is None or value == "":
            raise PermanentSourceError(f"{where}: {name} is not known for this action")
        if not is_harmless(value):
            raise PermanentSourceError(f"{where}: the value of {name} is not a plain name and is not filled in")
        return value

    return _PLACEHOLDER.sub(one, text)
