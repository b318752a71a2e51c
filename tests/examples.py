"""How often a property is tried: as a sample, or whole."""

from __future__ import annotations

from hypothesis import settings

SAMPLE, WHOLE = 25, 500
"""Examples of a property that says nothing of its own."""


def examples(sample: int) -> int:
    """So many, and twenty times as many with `--whole`; the profile is loaded before any test is."""
    return sample * max(1, settings.default.max_examples // SAMPLE)
