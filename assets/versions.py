"""What one run writes and remembers.

Every value goes to the incident's file once and stays in memory for the steps that follow, so that no step reads back
what the step before it computed. What a status update is made of is stored with it, in one transaction: opening the
file costs more than a row does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from incident_pipeline.models import EnvelopeStatus, Evidence, EvidenceKind, Materialization
from incident_pipeline.storage.incidents.content import Prepared, prepare
from incident_pipeline.storage.incidents.store import IncidentStore

Key = tuple[str, str]


@dataclass
class _Held:
    """A value that this run has computed."""

    given: Any
    prepared: Prepared
    code_version: str
    knowledge_base_version: str | None
    record: Materialization | None = None
    """None until it is stored."""

    @property
    def is_answer(self) -> bool:
        """Whether no earlier run can have stored more: a source did answer, or nobody was ever asked before."""
        unavailable = self.prepared.status is EnvelopeStatus.UNAVAILABLE
        return not unavailable or (self.record is not None and self.record.version == 1)


class RunVersions:
    """The versions that one run has stored so far."""

    def __init__(
        self,
        store: IncidentStore,
        run_id: str,
        as_of: datetime,
        now: Callable[[], datetime],
        wait_for: Collection[str] = (),
    ) -> None:
        """`wait_for`: assets that are kept in memory until another one is written, or the run ends."""
        self._store = store
        self._run_id = run_id
        self._as_of = as_of
        self._now = now
        self._wait_for = frozenset(wait_for)
        self._held: dict[Key, _Held] = {}
        self._read: dict[Key, Any] = {}
        self._looked: set[str] = set()

    def hold(
        self,
        incident_id: str,
        values: Mapping[str, Any],
        code_versions: Mapping[str, str],
        knowledge_base_version: str | None = None,
    ) -> None:
        """Remember what this run has computed, and name its content; it is stored by `write`."""
        for asset, value in values.items():
            if not self._holds(incident_id, asset, value):
                held = _Held(value, prepare(asset, value), code_versions.get(asset, ""), knowledge_base_version)
                self._held[incident_id, asset] = held

    def write(
        self, incident_id: str, values: Mapping[str, Any], code_versions: Mapping[str, str]
    ) -> dict[str, Materialization | None]:
        """Store what this run has not stored yet, in one transaction with all that waits.

        Returns:
            The record of each value; None for one that waits itself.
        """
        self.hold(incident_id, values, code_versions)
        if not self._wait_for.issuperset(values):
            self.flush()
        return {asset: self._held[incident_id, asset].record for asset in values}

    def flush(self) -> None:
        """Store what waits."""
        for incident_id in {incident_id for (incident_id, _), held in self._held.items() if held.record is None}:
            waiting = {
                asset: held for (of, asset), held in self._held.items() if of == incident_id and held.record is None
            }
            records = self._store.append(
                incident_id,
                [held.prepared for held in waiting.values()],
                run_id=self._run_id,
                as_of=self._as_of,
                now=self._now(),
                code_versions={asset: held.code_version for asset, held in waiting.items()},
                knowledge_base_versions={asset: held.knowledge_base_version for asset, held in waiting.items()},
            )
            for asset, held in waiting.items():
                held.record = records[asset]

    def written(self, incident_id: str, asset: str) -> Any:
        """What this run stores, as it is stored: without secrets.

        Computing with the same, a later analysis of what is stored comes to the same result.
        """
        return self._held[incident_id, asset].prepared.value

    def data_version(self, incident_id: str, asset: str) -> str:
        """The name of the content that this run has computed."""
        return self._held[incident_id, asset].prepared.data_version

    def value(self, incident_id: str, asset: str) -> Any:
        """What this run computed, if it is an answer, else the newest stored version that has one.

        Raises:
            NotFoundError: no run has made this asset of this incident yet.
        """
        held = self._held.get((incident_id, asset))
        return held.prepared.value if held is not None and held.is_answer else self._store.read(incident_id, asset)

    def evidence(self, incident_id: str) -> Evidence:
        """All evidence of an incident, as far as there is any, read in one go where this run did not gather it."""
        kinds = [kind.value for kind in EvidenceKind]
        answers = {key: held.prepared.value for key, held in self._held.items() if held.is_answer}
        known = {**self._read, **answers}
        missing = [kind for kind in kinds if (incident_id, kind) not in known]
        if missing and incident_id not in self._looked:
            self._looked.add(incident_id)
            found = self._store.read_all(incident_id, missing)
            self._read.update({(incident_id, kind): value for kind, value in found.items()})
            known = {**self._read, **known}
        return Evidence(**{kind: known[(incident_id, kind)] for kind in kinds if (incident_id, kind) in known})

    def _holds(self, incident_id: str, asset: str, value: Any) -> bool:
        held = self._held.get((incident_id, asset))
        return held is not None and (held.given is value or held.prepared.value == value)
