"""Lists of words, written as text.

Belongs here: reading them. Does not belong here: the lists, which stand where they are used.
"""

from __future__ import annotations


def words(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())
