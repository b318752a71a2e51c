"""How the problem spread: the service where it starts, and from callee to caller those that suffer, as SVG.

Belongs here: choosing what is shown, and drawing it. Does not belong here: finding who suffers (`diagnosis.symptoms`).
The background is transparent and the ink a middle grey, so that it can be read in a light and in a dark theme.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from incident_pipeline.diagnosis.graph import ServiceGraph, service_graph
from incident_pipeline.documents.escape import clean
from incident_pipeline.models import Evidence, Symptoms

MAX_NODES = 14
COLUMN, ROW, BOX_WIDTH, BOX_HEIGHT, MARGIN = 230, 58, 180, 38, 14
LABEL = 25
INK, ORIGIN, SUFFERS, ALERTED = "#808080", "#d62728", "#d98b1f", "#2f7ed8"


@dataclass(frozen=True)
class _Box:
    name: str
    column: int
    row: int
    colour: str
    note: str

    @property
    def corner(self) -> tuple[int, int]:
        return MARGIN + self.column * COLUMN, MARGIN + self.row * ROW


def plot_propagation(
    evidence: Evidence,
    symptoms: Symptoms,
    first: str | None,
    suffering: Sequence[str],
    alerted: Sequence[str],
    max_bytes: int,
) -> bytes | None:
    """An SVG with the first failing service on the left and what depends on it to its right.

    None if fewer than two services are touched, or if it does not fit `max_bytes`.

    Args:
        evidence: for the service graph.
        symptoms: for the moments at which services began to fail.
        first: the service where it starts.
        suffering: the blast radius.
        alerted: the services that alerts name.
        max_bytes: of the picture.
    """
    graph = service_graph(evidence)
    shown = _shown(first, suffering, alerted, graph)
    if first is None or len(shown) < 2:
        return None
    since = {s.service: s.since for s in symptoms.services}
    boxes = _placed(shown, first, graph, since, set(alerted))
    picture = _svg(boxes, graph).encode()
    return picture if len(picture) <= max_bytes else None


def _shown(first: str | None, suffering: Sequence[str], alerted: Sequence[str], graph: ServiceGraph) -> list[str]:
    """The first failing service, those that suffer, the alerted, and what lies between them; at most MAX_NODES."""
    up = graph.distances_up(first or "")
    reached = [graph.distances_down(service) for service in alerted if service in up]
    between = [s for s in sorted(up, key=lambda s: (up[s], s)) if any(s in below for below in reached)]
    return [name for name in dict.fromkeys((first or "", *suffering, *alerted, *between)) if name][:MAX_NODES]


def _placed(
    shown: Sequence[str],
    first: str,
    graph: ServiceGraph,
    since: Mapping[str, datetime | None],
    alerted: set[str],
) -> list[_Box]:
    up = graph.distances_up(first)
    farthest = max((up[name] for name in shown if name in up), default=0)
    rows: dict[int, int] = {}
    boxes = []
    for name in sorted(shown, key=lambda n: (up.get(n, farthest + 1), n)):
        column = up.get(name, farthest + 1)
        row = rows.get(column, 0)
        rows[column] = row + 1
        at = since.get(name)
        notes = ["starts here"] if name == first else []
        notes += [f"since {at:%H:%M:%S} UTC"] if at is not None else []
        notes += ["alerted"] if name in alerted else []
        colour = ORIGIN if name == first else SUFFERS if at is not None else ALERTED if name in alerted else INK
        boxes.append(_Box(name, column, row, colour, ", ".join(notes) or "on the way, nothing seen"))
    return boxes


def _svg(boxes: Sequence[_Box], graph: ServiceGraph) -> str:
    by_name = {box.name: box for box in boxes}
    width = MARGIN * 2 + max(box.column for box in boxes) * COLUMN + BOX_WIDTH
    height = MARGIN * 2 + max(box.row for box in boxes) * ROW + BOX_HEIGHT
    calls = sorted(
        (callee, caller) for caller in by_name for callee in graph.depends_on.get(caller, ()) if callee in by_name
    )
    arrows = "".join(_arrow(by_name[callee], by_name[caller]) for callee, caller in calls)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="how the problem spread" font-family="sans-serif" font-size="11">'
        f'<defs><marker id="to" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0 L8 4 L0 8 z" fill="{INK}"/></marker></defs>'
        f"{arrows}{''.join(_box(box) for box in boxes)}</svg>"
    )


def _box(box: _Box) -> str:
    x, y = box.corner
    name = clean(box.name, 200)
    label = html.escape(clean(name, LABEL))
    return (
        f"<g><title>{html.escape(name)}: {html.escape(box.note)}</title>"
        f'<rect x="{x}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="5" fill="{box.colour}" '
        f'fill-opacity="0.12" stroke="{box.colour}" stroke-width="1.5"/>'
        f'<text x="{x + 8}" y="{y + 16}" font-weight="bold" style="fill: {INK}">{label}</text>'
        f'<text x="{x + 8}" y="{y + 30}" style="fill: {INK}">{html.escape(clean(box.note, 30))}</text></g>'
    )


def _arrow(cause: _Box, victim: _Box) -> str:
    """From the called service to its caller: the way that failures and waiting go."""
    (x1, y1), (x2, y2) = cause.corner, victim.corner
    middle1, middle2 = y1 + BOX_HEIGHT // 2, y2 + BOX_HEIGHT // 2
    start, end = (x1 + BOX_WIDTH, x2) if x2 > x1 else (x1, x2 + BOX_WIDTH) if x2 < x1 else (x1 + BOX_WIDTH,) * 2
    bend = 40 if x2 >= x1 else -40
    away = bend if x2 == x1 else -bend
    return (
        f'<path d="M{start} {middle1} C{start + bend} {middle1} {end + away} {middle2} {end} {middle2}" '
        f'fill="none" stroke="{INK}" stroke-width="1.2" marker-end="url(#to)"/>'
    )
