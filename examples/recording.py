"""A recording of one made-up incident: what its files contain, and how they are written.

Belongs here: noise, clocks, file formats. Does not belong here: what happens in an incident (its recipe).
"""

from __future__ import annotations

import gzip
import json
import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from healthy_cluster import healthy_cluster

MINUTE = timedelta(minutes=1)
Effect = Callable[[datetime, float], float]
"""What the incident makes of a normal value at a time."""


def unchanged(_at: datetime, value: float) -> float:
    """A quantity that the incident leaves alone."""
    return value


def from_then(
    start: datetime, *, times: float = 1.0, to: float | None = None, ramp: timedelta = timedelta(0)
) -> Effect:
    """From a time on: multiplied, or replaced by a level, at once or over a ramp."""

    def effect(at: datetime, value: float) -> float:
        if at < start:
            return value
        share = min((at - start) / ramp, 1.0) if ramp else 1.0
        target = value * times if to is None else to * (1 + 0.06 * math.sin(at.minute * 2.4))
        return value + (target - value) * share

    return effect


def stamp(at: datetime) -> str:
    """ISO 8601 in UTC, to the second, or to the millisecond where there is one."""
    return at.strftime("%Y-%m-%dT%H:%M:%S") + (f".{at.microsecond // 1000:03d}Z" if at.microsecond else "Z")


@dataclass
class Recording:
    """Everything that the sources would have answered about one incident."""

    name: str
    start: datetime
    end: datetime
    seed: int
    alerts: list[dict[str, Any]] = field(default_factory=list)
    deployments: list[dict[str, Any]] = field(default_factory=list)
    changes: list[dict[str, Any]] = field(default_factory=list)
    flags: list[dict[str, Any]] = field(default_factory=list)
    services: list[dict[str, Any]] = field(default_factory=list)
    truth: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Start with empty hands and a seeded die."""
        self.random = random.Random(self.seed)  # noqa: S311  repeatable noise, not secrecy
        self._metrics: list[tuple[datetime, str, str, float]] = []
        self._logs: list[tuple[datetime, dict[str, Any]]] = []
        self._spans: list[tuple[datetime, dict[str, Any]]] = []

    def hex(self, digits: int = 8) -> str:
        """An identifier."""
        return f"{self.random.getrandbits(digits * 4):0{digits}x}"

    def commit(self, at: datetime, service: str, message: str, files: list[str], diff: str | None = None) -> str:
        """A code change; answers its hash."""
        sha = f"{self.random.getrandbits(160):040x}"
        self.changes.append(
            {
                "sha": sha,
                "author": f"{service}-developer",
                "committed_at": stamp(at),
                "message": message,
                "files": files,
                "diff": diff,
                "repository": f"shop/{service}",
                "service": service,
            }
        )
        return sha

    def release(self, name: str, service: str, versions: tuple[str, str], sha: str, at: datetime) -> None:
        """A deployment from one version to the next, complete at a time."""
        self.deployments.append(
            {
                "id": name,
                "service": service,
                "environment": "production",
                "version": versions[1],
                "previous_version": versions[0],
                "commit_sha": sha,
                "status": "success",
                "strategy": "rolling",
                "started_at": stamp(at - timedelta(minutes=4)),
                "finished_at": stamp(at),
                "actor": "release-pipeline",
            }
        )

    def turn(self, flag: str, service: str, at: datetime, actor: str) -> None:
        """A feature flag goes on."""
        self.flags.append(
            {
                "name": flag,
                "service": service,
                "value": "on",
                "previous_value": "off",
                "changed_at": stamp(at),
                "actor": actor,
            }
        )

    def series(
        self,
        service: str,
        metric: str,
        normal: float,
        *,
        noise: float = 0.05,
        daily: float = 0.0,
        effect: Effect = unchanged,
        most: float = math.inf,
    ) -> None:
        """One sample a minute: a normal level with noise and a slow wave, and what the incident makes of it."""
        at = self.start
        while at <= self.end:
            wave = 1 + daily * math.sin((at.hour * 60 + at.minute) / 229)
            value = effect(at, normal * wave) * (1 + self.random.gauss(0, noise))
            self._metrics.append((at, service, metric, min(max(value, 0.0), most)))
            at += MINUTE

    def log(self, at: datetime, service: str, level: str, message: str, **attributes: Any) -> None:
        """One line."""
        row = {"timestamp": stamp(at), "service": service, "level": level, "message": message}
        self._logs.append((at, row | {"attributes": attributes}))

    def chatter(
        self,
        service: str,
        level: str,
        per_minute: float,
        message: Callable[[random.Random], str],
        *,
        start: datetime,
        end: datetime,
    ) -> None:
        """Lines at random moments, so many a minute on average."""
        at = start
        while True:
            at += timedelta(seconds=round(self.random.expovariate(per_minute / 60), 3))
            if at >= end:
                return
            pod = f"{service}-7c9d-{self.random.choice(('x2k4p', 'm8w1z', 'q5t7r'))}"
            self.log(at, service, level, message(self.random), pod=pod)

    def trace(self, at: datetime, spans: Sequence[tuple[str, str, float, str]]) -> None:
        """One request through a chain of services: (service, name, milliseconds, status), the caller first."""
        trace_id, parent = self.hex(32), None
        for depth, (service, name, milliseconds, status) in enumerate(spans):
            span_id = self.hex(16)
            begins = at + timedelta(milliseconds=3 * depth)
            row = {
                "trace_id": trace_id,
                "span_id": span_id,
                "parent_id": parent,
                "service": service,
                "name": name,
                "start": stamp(begins),
                "duration_ms": round(milliseconds, 1),
                "status": status,
            }
            self._spans.append((begins, row))
            parent = span_id

    def describe(self) -> str:
        """How much was recorded."""
        series = len({(service, metric) for _, service, metric, _ in self._metrics})
        return f"{series} series, {len(self._logs)} log lines, {len(self._spans)} spans, {len(self.changes)} changes"

    def write(self, folder: Path) -> None:
        """Write every file of the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("alerts", "deployments", "changes", "flags", "services", "truth"):
            text = json.dumps(getattr(self, name), indent=1, ensure_ascii=False)
            (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
        _write_gzip(folder / "kubernetes.json.gz", [json.dumps(self._cluster(), ensure_ascii=False)])
        _write_gzip(folder / "metrics.csv.gz", ["timestamp,service,metric,value", *self._metric_lines()])
        _write_gzip(folder / "logs.jsonl.gz", _json_lines(self._logs))
        _write_gzip(folder / "traces.jsonl.gz", _json_lines(self._spans))

    def _cluster(self) -> dict[str, Any]:
        versions = {row["service"]: row["version"] for row in sorted(self.deployments, key=lambda r: r["finished_at"])}
        return healthy_cluster(self.services, versions, self.end)

    def _metric_lines(self) -> Iterable[str]:
        for at, service, metric, value in sorted(self._metrics):
            yield f"{stamp(at)},{service},{metric},{value:.5g}"


def _json_lines(rows: list[tuple[datetime, dict[str, Any]]]) -> list[str]:
    return [json.dumps(row, ensure_ascii=False) for _, row in sorted(rows, key=lambda pair: pair[0])]


def _write_gzip(path: Path, lines: Iterable[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    # no name and no time in the header: the same content gives the same file
    with path.open("wb") as file, gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
        packed.write(text.encode("utf-8"))
