"""Writing an incident folder, so that what happened can be replayed, shared and learned from.

Belongs here: from evidence to files. Reading is in `folders.py`.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from incident_pipeline.metric_csv import write_metrics
from incident_pipeline.models import Envelope, EnvelopeStatus, Evidence, Gathered, Incident, MetricSeries, Model

Redact = Callable[[str], str]

_JSON_FILES = {
    "deployments": "deployments.json",
    "code_changes": "changes.json",
    "flag_changes": "flags.json",
    "related_alerts": "related_alerts.json",
    "service_graph": "services.json",
}
_LINE_FILES = {"logs": "logs.jsonl.gz", "traces": "traces.jsonl.gz"}


def write_folder(
    path: Path,
    incident: Incident,
    evidence: Evidence,
    *,
    kubernetes: Mapping[str, Any] | None = None,
    redact: Redact | None = None,
) -> tuple[Path, ...]:
    """Write an incident and its evidence as an incident folder; what was unavailable gets no file.

    Args:
        path: the folder; made where it does not exist. Files in it are replaced.
        incident: its alerts become alerts.json.
        evidence: what was gathered; no rows but an answer becomes a file with no rows.
        kubernetes: the snapshot of the cluster, as it is.
        redact: takes secrets and personal data out of each text; None writes the texts as they are.

    Returns:
        The files that were written.
    """
    path.mkdir(parents=True, exist_ok=True)
    hide = _Hidden(redact)
    written = [_write(path / "alerts.json", _json(hide.rows(incident.alerts)))]
    for name, file in _JSON_FILES.items():
        gathered = getattr(evidence, name)
        if _answered(gathered) and not (name == "related_alerts" and not gathered.rows):
            written.append(_write(path / file, _json(hide.rows(gathered.rows))))
    for name, file in _LINE_FILES.items():
        gathered = getattr(evidence, name)
        if _answered(gathered):
            lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in hide.rows(gathered.rows))
            written.append(_write(path / file, "".join(lines)))
    if _answered(evidence.metrics):
        series = [hide.series(one) for one in evidence.metrics.rows]
        written.append(_write(path / "metrics.csv.gz", write_metrics(series)))
    if kubernetes is not None:
        written.append(_write(path / "kubernetes.json.gz", _json(hide.value(dict(kubernetes)))))
    return tuple(written)


def _answered(gathered: Gathered[Any]) -> bool:
    envelopes: Iterable[Envelope[Any]] = gathered.envelopes
    return any(envelope.status is not EnvelopeStatus.UNAVAILABLE for envelope in envelopes)


class _Hidden:
    """Rows as JSON values with every text redacted."""

    def __init__(self, redact: Redact | None) -> None:
        self._redact = redact

    def rows(self, rows: Iterable[Model]) -> list[Any]:
        return [self.value(row.model_dump(mode="json", exclude_none=True)) for row in rows]

    def series(self, series: MetricSeries) -> MetricSeries:
        if self._redact is None:
            return series
        return series.model_copy(update={"labels": self.value(series.labels)})

    def value(self, value: Any) -> Any:
        if self._redact is None:
            return value
        if isinstance(value, str):
            return self._redact(value)
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            return {key: self.value(item) for key, item in value.items()}
        return value


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def _write(path: Path, text: str) -> Path:
    data = text.encode("utf-8", "replace")
    # mtime 0: the same evidence gives the same bytes
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return path
