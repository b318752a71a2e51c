"""`logs patterns`: what a log says, as patterns with counts.

Belongs here: options, printing, writing the assignment. Does not belong here: reading (`log_files`), grouping
(`diagnosis.templates`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def patterns(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A .log, .jsonl or .csv, also gzipped; - is stdin.")],
    assign: Annotated[
        Path | None, typer.Option(metavar="OUT.csv", help="Write line_id,pattern_id of every line there.")
    ] = None,
    top: Annotated[int, typer.Option(help="How many patterns to print; 0 prints all.", min=0)] = 30,
    as_json: Annotated[bool, typer.Option("--json", help="Print the patterns as JSON.")] = False,
) -> None:
    """Group the lines of a log into patterns, the most frequent first; no setting per system.

    Example: incident-pipeline logs patterns app.log --assign patterns.csv
    """
    import gc

    from incident_pipeline.cli.log_files import read_log_file
    from incident_pipeline.cli.output import note, print_json, print_table
    from incident_pipeline.diagnosis.templates import mine

    gc.disable()  # a short process that makes many small objects and drops none: a third of its time
    log = read_log_file(file)
    mined = mine(log.messages)
    if log.skipped:
        note(f"{file}: {log.skipped} lines hold no message and were left out")
    if assign is not None:
        names = [f"P{index}" for index in range(1, len(mined.templates) + 1)]
        rows = zip(log.line_ids(), map(names.__getitem__, mined.assignment), strict=True)
        assign.write_text("\n".join(["line_id,pattern_id", *map(",".join, rows), ""]), "utf-8")
    counts = mined.counts
    order = sorted(range(len(counts)), key=lambda index: (-counts[index], index))[: top or None]
    if as_json:
        shown = [{"pattern_id": f"P{i + 1}", "count": counts[i], "template": mined.templates[i]} for i in order]
        print_json({"lines": len(log.messages), "patterns": len(counts), "top": shown})
    else:
        print_table(["pattern", "lines", "template"], [[f"P{i + 1}", counts[i], mined.templates[i]] for i in order])
        note(f"{len(log.messages):,} lines, {len(counts):,} patterns")
