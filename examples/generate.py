"""Writes the example incident folders, the same content every time.

    python examples/generate.py [FOLDER]

FOLDER is where the folders go; without it, beside this file. Everything in them is made up: services, versions,
commits and numbers. Each `recipe_*.py` describes one incident.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main(arguments: list[str]) -> None:
    """Write every example below the folder that is named."""
    target = Path(arguments[0]) if arguments else HERE
    for file in sorted(HERE.glob("recipe_*.py")):
        recording = importlib.import_module(file.stem).record()
        recording.write(target / recording.name)
        print(f"{recording.name}: {recording.describe()}")


if __name__ == "__main__":
    sys.dont_write_bytecode = True  # a cache folder here would be taken for an incident by `examples/*/`
    main(sys.argv[1:])
