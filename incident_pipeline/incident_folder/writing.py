"""Writing an incident folder, so that what happened can be replayed, shared and learned from.

Belongs here: from evidence to files. Reading is in `reading.py`.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from incident_pipeline.evidence.kubernetes_objects import snapshot_of
from incident_pipeline.incident_folder.metric_csv import write_metrics
from incident_pipeline.models import Envelope, EnvelopeStatus, Evidence, Gathered, Incident, MetricSeries, Model
from kb.redaction import redact_value

Hide = Callable[[Any], Any]

_JSON_FILES = {
    "deployments": "deployments.json",
    "code_changes": "changes.json",
    "flag_changes": "flags.json",
    "related_alerts": "related_alerts.json",
    "service_graph": "services.json",
    "on_call": "on_call.json",
}
_ONLY_WITH_ROWS = frozenset({"related_alerts", "on_call"})
_LINE_FILES = {"logs": "logs.jsonl.gz", "traces": "traces.jsonl.gz"}


def write_folder(
    path: Path,
    incident: Incident,
    evidence: Evidence,
    *,
    redacted: bool = True,
) -> tuple[Path, ...]:
    """Write an incident and its evidence as an incident folder; what was unavailable gets no file.

    Args:
        path: the folder; made where it does not exist. Evidence of an earlier export in it is removed.
        incident: its alerts become alerts.json.
        evidence: what was gathered; no rows but an answer becomes a file with no rows.
        redacted: take secrets and e-mail addresses out of every text.

    Returns:
        The files that were written.
    """
    path.mkdir(parents=True, exist_ok=True)
    _remove_earlier(path)
    hide: Hide = redact_value if redacted else _as_it_is
    written = [_write(path / "alerts.json", _json(_rows(incident.alerts, hide)))]
    for name, file in _JSON_FILES.items():
        gathered = getattr(evidence, name)
        if _answered(gathered) and not (name in _ONLY_WITH_ROWS and not gathered.rows):
            written.append(_write(path / file, _json(_rows(gathered.rows, hide))))
    for name, file in _LINE_FILES.items():
        gathered = getattr(evidence, name)
        if _answered(gathered):
            lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in _rows(gathered.rows, hide))
            written.append(_write(path / file, "".join(lines)))
    if _answered(evidence.metrics):
        series = [_series(one, hide) for one in evidence.metrics.rows]
        written.append(_write(path / "metrics.csv.gz", write_metrics(series)))
    if _answered(evidence.kubernetes_state):
        written.append(_write(path / "kubernetes.json.gz", _json(hide(snapshot_of(evidence.kubernetes_state.rows)))))
    return tuple(written)


def _remove_earlier(path: Path) -> None:
    """What is not written this time must not be read as if it were of this incident; truth.json stays."""
    names = ("alerts.json", *_JSON_FILES.values(), *_LINE_FILES.values(), "metrics.csv", "kubernetes.json")
    for name in names:
        plain = name.removesuffix(".gz")
        (path / plain).unlink(missing_ok=True)
        (path / f"{plain}.gz").unlink(missing_ok=True)


def _answered(gathered: Gathered[Any]) -> bool:
    envelopes: Iterable[Envelope[Any]] = gathered.envelopes
    return any(envelope.status is not EnvelopeStatus.UNAVAILABLE for envelope in envelopes)


def _rows(rows: Iterable[Model], hide: Hide) -> list[Any]:
    return [hide(row.model_dump(mode="json", exclude_none=True)) for row in rows]


def _series(series: MetricSeries, hide: Hide) -> MetricSeries:
    return series.model_copy(update={"labels": {key: str(value) for key, value in hide(series.labels).items()}})


def _as_it_is(value: Any) -> Any:
    return value


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def _write(path: Path, text: str) -> Path:
    data = text.encode("utf-8", "replace")
    # mtime 0: the same evidence gives the same bytes
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return path
