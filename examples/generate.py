"""Writes the example incident folders, the same bytes every time.

    python examples/generate.py [FOLDER]

FOLDER is where the folders go; without it, beside this file. Everything in them is made up: services, versions,
commits and numbers. Each `recipe_*.py` describes one incident.
"""

from __future__ import annotations

import sys
from pathlib import Path

import recipe_checkout_no_change
import recipe_payments_bad_deploy
import recipe_search_flag_turned

RECIPES = (recipe_payments_bad_deploy, recipe_checkout_no_change, recipe_search_flag_turned)


def main(arguments: list[str]) -> None:
    """Write every example below the folder that is named."""
    target = Path(arguments[0]) if arguments else Path(__file__).resolve().parent
    for recipe in RECIPES:
        recording = recipe.record()
        recording.write(target / recording.name)
        print(f"{recording.name}: {recording.describe()}")


if __name__ == "__main__":
    main(sys.argv[1:])
