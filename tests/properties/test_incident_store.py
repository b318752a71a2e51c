"""What is stored is what is read, whatever it is; and versions only ever grow."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from incident_pipeline.models import Deployment, Envelope, EnvelopeStatus, EvidenceKind, Gathered
from incident_pipeline.storage.incidents.content import prepare
from incident_pipeline.storage.incidents.store import IncidentStore
from incident_pipeline.storage.incidents.tables import ASSETS
from tests.examples import examples
from tests.properties.stored_values import of_asset

NOW = datetime(2026, 11, 23, 14, 35, tzinfo=UTC)
ASSET_NAMES = sorted(ASSETS)


def same(one: Any, other: Any) -> bool:
    """Equal, where NaN equals NaN and a mapping has no order."""
    return canonical(one) == canonical(other)


def canonical(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return canonical(dict(value))
    if isinstance(value, dict):
        return sorted((repr(key), canonical(inner)) for key, inner in value.items())
    return [canonical(inner) for inner in value] if isinstance(value, list | tuple) else repr(value)


@pytest.mark.parametrize("asset", ASSET_NAMES)
@settings(max_examples=examples(15), deadline=None)
@given(data=st.data())
def test_rows_hold_the_whole_value(asset: str, data: st.DataObject) -> None:
    value = data.draw(of_asset(ASSETS[asset]))
    assert same(prepare(asset, value).value, value)


@pytest.mark.parametrize("asset", ASSET_NAMES)
def test_the_file_holds_the_whole_value(asset: str, tmp_path: Path) -> None:
    store = IncidentStore(tmp_path)

    @settings(max_examples=examples(4), deadline=None)
    @given(value=of_asset(ASSETS[asset]))
    def written_is_read(value: Any) -> None:
        record = store.write("INC-1", {asset: value}, run_id="r", as_of=NOW, now=NOW)[asset]
        assert same(store.read("INC-1", asset, record.version), value)
        assert record.data_version == prepare(asset, value).data_version

    written_is_read()


@settings(max_examples=examples(50), deadline=None)
@given(text=st.text(max_size=60), key=st.text(max_size=12), number=st.floats())
def test_hostile_text_is_stored_in_a_form_that_no_longer_changes(text: str, key: str, number: float) -> None:
    attributes = {key: [text, number, {"deeper": {key: text}}], "at": NOW, "raw": b"\xff\x00", 7: {1, 2}}
    value = Gathered[Deployment](
        kind=EvidenceKind.DEPLOYMENTS,
        envelopes=(
            Envelope.of("argo", [Deployment.model_construct(id=text, service=text, attributes=attributes)], query=text),
        ),
    )
    first = prepare("deployments", value).value
    assert same(prepare("deployments", first).value, first)
    assert prepare("deployments", first).data_version == prepare("deployments", value).data_version


ANSWERS: Sequence[Gathered[Deployment]] = (
    Gathered(kind=EvidenceKind.DEPLOYMENTS),
    Gathered(kind=EvidenceKind.DEPLOYMENTS, envelopes=(Envelope.unavailable("argo", "timed out"),)),
    Gathered(kind=EvidenceKind.DEPLOYMENTS, envelopes=(Envelope.of("argo", []),)),
    *(
        Gathered(
            kind=EvidenceKind.DEPLOYMENTS,
            envelopes=(Envelope.of("argo", [Deployment(id=name) for name in names], seconds=len(names) / 7),),
        )
        for names in ("a", "ab", "b")
    ),
)


@settings(max_examples=examples(10), deadline=None)
@given(history=st.lists(st.sampled_from(ANSWERS), min_size=1, max_size=7))
def test_versions_only_grow_and_what_was_known_stays_known(history: list[Gathered[Deployment]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = IncidentStore(Path(folder))
        for number, value in enumerate(history, start=1):
            record = store.write("INC-1", {"deployments": value}, run_id=f"r{number}", as_of=NOW, now=NOW)[
                "deployments"
            ]
            assert record.version == number
        for number, value in enumerate(history, start=1):
            assert store.read("INC-1", "deployments", number) == value
        answers = [value for value in history if value.status is not EnvelopeStatus.UNAVAILABLE]
        assert store.read("INC-1", "deployments") == (answers or history)[-1]
        contents = {tuple(row.id for row in value.rows) for value in history}
        with duckdb.connect(str(Path(folder) / "INC-1.duckdb"), read_only=True) as connection:
            stored = connection.execute("SELECT count(*) FROM deployments_versions").fetchall()[0][0]
            shown = connection.execute("SELECT id FROM deployments ORDER BY position").fetchall()
        assert stored == sum(len(content) for content in contents)
        assert [name for (name,) in shown] == [row.id for row in (answers or history)[-1].rows]
