"""What one run writes and remembers.

Every value goes to the incident's file once and stays in memory for the steps that follow, so that no step reads back
what the step before it computed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from incident_pipeline.models import EnvelopeStatus, Evidence, EvidenceKind, Materialization
from incident_pipeline.storage.content import prepare
from incident_pipeline.storage.incident_store import IncidentStore


class RunVersions:
    """The versions that one run has stored so far."""

    def __init__(self, store: IncidentStore, run_id: str, as_of: datetime, now: Callable[[], datetime]) -> None:
        self._store = store
        self._run_id = run_id
        self._as_of = as_of
        self._now = now
        self._written: dict[tuple[str, str], tuple[Any, Materialization]] = {}
        self._given: dict[tuple[str, str], Any] = {}
        self._read: dict[tuple[str, str], Any] = {}
        self._looked: set[str] = set()

    def write(
        self,
        incident_id: str,
        values: Mapping[str, Any],
        code_versions: Mapping[str, str],
        knowledge_base_version: str | None = None,
    ) -> dict[str, Materialization]:
        """Store what this run has not stored yet, in one transaction; returns the record of each value."""
        new = {asset: value for asset, value in values.items() if not self._holds(incident_id, asset, value)}
        if new:
            prepared = [prepare(asset, value) for asset, value in new.items()]
            records = self._store.append(
                incident_id,
                prepared,
                run_id=self._run_id,
                as_of=self._as_of,
                now=self._now(),
                code_versions={asset: code_versions.get(asset, "") for asset in new},
                knowledge_base_version=knowledge_base_version,
            )
            for item in prepared:
                # what is stored is without secrets; computing with the same, a later re-analysis comes to the same
                asset = item.table.name
                self._written[incident_id, asset] = (item.value, records[asset])
                self._given[incident_id, asset] = new[asset]
        return {asset: self._written[(incident_id, asset)][1] for asset in values}

    def written(self, incident_id: str, asset: str) -> Any:
        """What this run stored, as it was stored."""
        return self._written[(incident_id, asset)][0]

    def value(self, incident_id: str, asset: str) -> Any:
        """What this run computed, if it is an answer, else the newest stored version that has one.

        Raises:
            NotFoundError: no run has made this asset of this incident yet.
        """
        known = self._written.get((incident_id, asset))
        return known[0] if known is not None and _is_answer(known[1]) else self._store.read(incident_id, asset)

    def evidence(self, incident_id: str) -> Evidence:
        """All evidence of an incident, as far as there is any, read in one go where this run did not gather it."""
        kinds = [kind.value for kind in EvidenceKind]
        answers = {key: value for key, (value, record) in self._written.items() if _is_answer(record)}
        known = {**self._read, **answers}
        missing = [kind for kind in kinds if (incident_id, kind) not in known]
        if missing and incident_id not in self._looked:
            self._looked.add(incident_id)
            found = self._store.read_all(incident_id, missing)
            self._read.update({(incident_id, kind): value for kind, value in found.items()})
            known = {**self._read, **known}
        return Evidence(**{kind: known[(incident_id, kind)] for kind in kinds if (incident_id, kind) in known})

    def _holds(self, incident_id: str, asset: str, value: Any) -> bool:
        known = self._written.get((incident_id, asset))
        return known is not None and (self._given[incident_id, asset] is value or known[0] == value)


def _is_answer(record: Materialization) -> bool:
    """Whether no earlier run can have stored more: a source did answer, or nobody was ever asked before."""
    return record.status is not EnvelopeStatus.UNAVAILABLE or record.version == 1
