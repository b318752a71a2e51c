"""The labelled incidents that the benchmarks read, each once.

Belongs here: finding and reading them. Does not belong here: what is measured.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from incident_pipeline.backtest.measure import labelled_folders
from incident_pipeline.incident_folder.reading import Folder, load_folder
from incident_pipeline.incident_folder.truth import Truth, load_truth

DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "data" / "incidents"


@dataclass(frozen=True)
class Labelled:
    """One incident with its truth."""

    folder: Folder
    truth: Truth

    @property
    def dataset(self) -> str:
        """The data set that it belongs to."""
        return self.truth.dataset or self.folder.path.parent.name


def labelled(root: Path = DEFAULT, without: frozenset[str] = frozenset()) -> list[Labelled]:
    """Every labelled incident below `root`, but for the data sets named; ends the program where there are none."""
    if not root.is_dir():
        sys.exit(f"{root} is not there; give the folder with the labelled incidents as the first argument")
    found = []
    for path in labelled_folders(root):
        truth = load_truth(path)
        if truth is not None and truth.dataset not in without:
            found.append(Labelled(load_folder(path), truth))
    return found
