"""Writes the example incident folders, the same bytes every time.

    python examples/generate.py [FOLDER]

FOLDER is where the folders go; without it, beside this file. Everything in them is made up: services, versions,
commits and numbers. Each recipe in `recipes/` describes one incident.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # runs from any folder, with nothing installed

from recipes import checkout_no_change, payments_bad_deploy, search_flag_turned

RECIPES = (payments_bad_deploy, checkout_no_change, search_flag_turned)


def main(arguments: list[str]) -> None:
    """Write every example below the folder that is named."""
    target = Path(arguments[0]) if arguments else Path(__file__).resolve().parent
    for recipe in RECIPES:
        recording = recipe.record()
        recording.write(target / recording.name)
        print(f"{recording.name}: {recording.describe()}")


if __name__ == "__main__":
    main(sys.argv[1:])
