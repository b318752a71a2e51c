"""`python release/licences.py`: the licence of everything that is installed with the application, as Markdown.

Belongs here: reading what packages say of themselves. What they need is followed from the project's own requirements,
so that tools of developers that happen to be installed are not listed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement

EXTRAS = ("", "postgres", "scale")
SHORT = {
    "Apache Software License": "Apache-2.0",
    "MIT License": "MIT",
    "BSD License": "BSD",
    "ISC License (ISCL)": "ISC",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "GNU Library or Lesser General Public License (LGPL)": "LGPL",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0",
}


def needed(name: str, extras: tuple[str, ...] = ("",), seen: set[str] | None = None) -> Iterator[Distribution]:
    """A package and everything it needs on this machine, each once."""
    seen = set() if seen is None else seen
    key = canonical(name)
    if key in seen:
        return
    seen.add(key)
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return
    yield found
    for line in found.requires or ():
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras):
            yield from needed(requirement.name, ("", *requirement.extras), seen)


def canonical(name: str) -> str:
    """The name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def licence(found: Distribution) -> str:
    """What a package says of its licence, short; `unknown` where it says nothing."""
    about = found.metadata
    expression = about.get("License-Expression")
    if expression:
        return str(expression)
    classified = [
        line.rpartition(" :: ")[2] for line in about.get_all("Classifier") or () if line.startswith("License ::")
    ]
    named = [SHORT.get(name, name) for name in classified if name != "OSI Approved"]
    if named:
        return " or ".join(dict.fromkeys(named))
    first = (about.get("License") or "").strip().splitlines()
    return first[0][:60] if first and first[0] else "unknown"


def table() -> str:
    """Every package with version and licence."""
    rows = sorted(
        (canonical(each.metadata["Name"]), each.version, licence(each)) for each in needed("incident-pipeline", EXTRAS)
    )
    lines = ["| package | version | licence |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


if __name__ == "__main__":
    print(table())
