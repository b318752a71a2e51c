"""Real evidence: what is stored of it is whole, and says the same as the folder that is exported from it."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path

import pytest

from incident_pipeline.config import Scenario
from incident_pipeline.diagnosis.engine import diagnose
from incident_pipeline.incident_folder.reading import load_folder
from incident_pipeline.incident_folder.writing import write_folder
from incident_pipeline.models import Evidence, EvidenceKind, Incident
from incident_pipeline.storage.incidents.content import prepare
from incident_pipeline.storage.incidents.store import IncidentStore
from tests.conftest import sample
from tests.shared_data import shared_path

NOW = datetime(2026, 11, 23, 14, 35, tzinfo=UTC)


def stored(store: IncidentStore, name: str, folder: Path) -> tuple[Incident, Evidence, Evidence]:
    """A folder's incident and evidence as they are read back, and the evidence as it was."""
    loaded = load_folder(folder)
    kinds = [kind.value for kind in EvidenceKind]
    values = {kind: getattr(loaded.evidence, kind) for kind in kinds} | {"incident": loaded.incident}
    store.write(name, values, run_id="r", as_of=NOW, now=NOW)
    return store.read(name, "incident"), Evidence(**store.read_all(name, kinds)), loaded.evidence


@pytest.mark.timeout(1200)
def test_a_folder_is_stored_whole_and_exported_to_the_same_diagnosis(
    tmp_path: Path, rng: random.Random, whole: bool
) -> None:
    found = sorted(path.parent for path in shared_path("data/incidents").rglob("alerts.json*"))
    assert found
    store = IncidentStore(tmp_path / "incidents")
    for number, folder in enumerate(sample(found, 3, rng, whole)):
        incident, evidence, original = stored(store, f"INC-{number}", folder)
        for kind in EvidenceKind:
            given, kept = getattr(original, kind.value), getattr(evidence, kind.value)
            assert len(kept.rows) == len(given.rows), folder
            assert repr(kept) == repr(prepare(kind.value, given).value), folder  # NaN is not equal to itself
        write_folder(tmp_path / str(number), incident, evidence)
        exported = load_folder(tmp_path / str(number))
        one, other = (diagnose(incident, what, Scenario()) for what in (evidence, exported.evidence))
        assert other.hypotheses == one.hypotheses, folder
        assert other.services == one.services, folder
