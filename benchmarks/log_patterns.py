"""How well and how fast log lines are grouped, beside a plain mask of numbers and, where it is installed, Drain3.

    python -m benchmarks.log_patterns [FOLDER] [--lines 200000]

FOLDER holds `<System>.csv.gz` with the columns line_id, content, event_id. GA: share of lines whose group is exactly
that of their true event; FGA: F1 of the groups. Speed: the lines of all systems repeated with every number drawn anew,
of varying length, so that hardly two lines are the same.
"""

from __future__ import annotations

import csv
import gzip
import random
import re
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path

from incident_pipeline.diagnosis.templates import mine

DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "data" / "logs"
Grouping = Callable[[Sequence[str]], Sequence[Hashable]]
_NUMBER = re.compile(r"\d+(?:\.\d+)*")


def plain_mask(messages: Sequence[str]) -> list[str]:
    return [_NUMBER.sub("<*>", message) for message in messages]


def drain3(messages: Sequence[str]) -> list[int]:
    from drain3 import TemplateMiner
    from drain3.template_miner_config import TemplateMinerConfig

    miner = TemplateMiner(config=TemplateMinerConfig())
    return [miner.add_log_message(message)["cluster_id"] for message in messages]


def ours(messages: Sequence[str]) -> Sequence[int]:
    return mine(messages).assignment


def quality(groups: Sequence[Hashable], true: Sequence[str]) -> tuple[float, float]:
    """(GA, FGA)."""
    found: dict[Hashable, set[int]] = defaultdict(set)
    wanted: dict[str, set[int]] = defaultdict(set)
    for line, (group, event) in enumerate(zip(groups, true, strict=True)):
        found[group].add(line)
        wanted[event].add(line)
    exact = {frozenset(lines) for lines in wanted.values()}
    right = [lines for lines in found.values() if frozenset(lines) in exact]
    precision, recall = len(right) / len(found), len(right) / len(wanted)
    return sum(map(len, right)) / len(true), 2 * precision * recall / (precision + recall) if right else 0.0


def systems(root: Path) -> dict[str, tuple[list[str], list[str]]]:
    found = {}
    for path in sorted(root.glob("*.csv.gz")):
        with gzip.open(path, "rt", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        found[path.name.removesuffix(".csv.gz")] = ([r["content"] for r in rows], [r["event_id"] for r in rows])
    return found


def redrawn(lines: Sequence[str], wanted: int) -> list[str]:
    draw = random.Random(11)

    def another(match: re.Match[str]) -> str:
        return "".join(
            draw.choice("0123456789") for _ in range(max(1, len(match.group()) + draw.choice((-1, 0, 0, 1))))
        )

    out = list(lines)
    while len(out) < wanted:
        out += [re.sub(r"\d+", another, line) for line in lines]
    return out[:wanted]


def main(arguments: Sequence[str]) -> None:
    wanted = int(arguments[arguments.index("--lines") + 1]) if "--lines" in arguments else 200_000
    roots = [Path(a) for i, a in enumerate(arguments) if not a.startswith("--") and arguments[i - 1] != "--lines"]
    root = roots[0] if roots else DEFAULT
    if not root.is_dir():
        sys.exit(f"{root} is not there; give the folder with the labelled logs")
    ways: dict[str, Grouping] = {"ours": ours, "mask": plain_mask}
    try:
        import drain3 as _  # noqa: F401

        ways["drain3"] = drain3
    except ImportError:
        print("drain3 is not installed and left out")
    data = systems(root)
    for title, way in ways.items():
        made = {name: quality(way(messages), events) for name, (messages, events) in data.items()}
        print(title, "  ".join(f"{name} {ga:.4f} / {fga:.4f}" for name, (ga, fga) in made.items()))
        coverage = sum(ga for ga, _ in made.values()) / len(made)
        print(f"  mean GA {coverage:.4f}, FGA {sum(fga for _, fga in made.values()) / len(made):.4f}")
    lines = redrawn([message for messages, _ in data.values() for message in messages], wanted)
    print(f"speed on {len(lines):,} lines, {len(set(lines)):,} of them distinct")
    for title, way in ways.items():
        began = time.process_time()
        groups = len(set(way(lines)))
        took = time.process_time() - began
        print(f"  {title:8} {len(lines) / took:>10,.0f} lines/s of processor time, {groups} groups")


if __name__ == "__main__":
    main(sys.argv[1:])
