"""What `prune` takes out of Dagster's own history."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from assets.history import forget_partitions, forget_runs
from assets.partitions import PARTITIONS_NAME


@dg.asset(partitions_def=dg.DynamicPartitionsDefinition(name=PARTITIONS_NAME))
def anything() -> int:
    return 1


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test(temp_dir=str(tmp_path)) as made:
        made.add_dynamic_partitions(PARTITIONS_NAME, ["INC-1", "INC-2"])
        for name in ("INC-1", "INC-2"):
            dg.materialize([anything], instance=made, partition_key=name)
        yield made


def events(instance: dg.DagsterInstance) -> int:
    return len(instance.fetch_materializations(anything.key, limit=10).records)


def test_finished_runs_go_with_their_events(instance: dg.DagsterInstance) -> None:
    now = datetime.now(UTC)
    assert forget_runs(instance, now - timedelta(days=1)) == 0
    assert events(instance) == 2
    assert forget_runs(instance, now + timedelta(seconds=1)) == 2
    assert events(instance) == 0
    assert instance.get_runs() == []


def test_partitions_of_what_is_gone_go(instance: dg.DagsterInstance) -> None:
    assert forget_partitions(instance, lambda keys: [key for key in keys if key == "INC-1"]) == 1
    assert instance.get_dynamic_partitions(PARTITIONS_NAME) == ["INC-2"]
