"""Incident folders through the real pipeline: recorded ones, damaged ones, hostile ones, and what is re-run later."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.definitions import build_definitions
from assets.instance import open_instance
from assets.jobs import RESPOND
from assets.replay import QUIET, Replay, replay
from incident_pipeline.application import Application
from incident_pipeline.backtest.folder_diagnosis import diagnose_folder
from incident_pipeline.communication.status import status_update
from incident_pipeline.diagnosis.engine import diagnose
from incident_pipeline.diagnosis.symptoms import find_symptoms
from incident_pipeline.documents.postmortem import write_postmortem
from incident_pipeline.documents.timeline import build_timeline
from incident_pipeline.errors import InputError
from incident_pipeline.incident_folder.reading import Folder, load_folder
from incident_pipeline.models import Diagnosis, EnvelopeStatus
from incident_pipeline.remediation.plan import plan_remediation
from incident_pipeline.storage.incidents.tables import ASSETS
from tests.conftest import SEED_VARIABLE, sample
from tests.integration import folders
from tests.integration.folders import ALERTS, DAMAGES, EXAMPLE, EXAMPLES, FILES
from tests.shared_data import shared_path
from tests.unit.cli.runner import call

DATA_SETS = {
    "rootcausebench": 2,
    "cloudopsbench": 2,
    "nezha_tt": 2,
    "changerca_ob": 1,
    "nezha_ob": 1,
    "petshop": 1,
    "rcd_sockshop": 1,
}
"""Data set to how many of its folders are played where a sample is enough."""


@dataclass
class Stage:
    """One application, and what was played on it."""

    application: Application
    _played: dict[Path, Replay] = field(default_factory=dict)

    @property
    def options(self) -> list[str]:
        """Where commands find it."""
        return ["--data-dir", str(self.application.data_dir), "--config", str(self.application.config_path)]

    def play(self, folder: Path, *, resolve: bool = False) -> Replay:
        """Played once; `resolve` counts only the first time."""
        if folder not in self._played:
            self._played[folder] = replay(self.application, folder, resolve=resolve)
        return self._played[folder]

    def run(self, incident_id: str, *assets: str) -> dict[str, dg.AssetCheckEvaluation]:
        """Materialize only these assets of an incident, as the UI does; returns the checks."""
        responder = {"config_file": str(self.application.config_path), "data_dir": str(self.application.data_dir)}
        with open_instance(self.application) as instance:
            outcome = (
                build_definitions()
                .resolve_job_def(RESPOND)
                .execute_in_process(
                    instance=instance,
                    partition_key=incident_id,
                    asset_selection=[dg.AssetKey(asset) for asset in assets],
                    run_config={"resources": {"responder": {"config": responder}}, "loggers": QUIET},
                )
            )
        found = outcome.get_asset_check_evaluations()
        return {evaluation.asset_key.to_user_string(): evaluation for evaluation in found}


def stage_below(path: Path) -> Stage:
    config = path / "incident.yaml"
    config.write_text("scenario: {}\n")
    return Stage(Application.load(config, path / "data", {}))


@pytest.fixture(scope="module", autouse=True)
def _environment_as_before() -> Iterator[None]:
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = stage_below(tmp_path_factory.mktemp("stage"))
    yield made
    made.application.close()


@pytest.fixture
def recorded(request: pytest.FixtureRequest, whole: bool) -> list[Path]:
    """The folders of one data set that are played; the same for every test of a run."""
    data_set = request.param
    found = sorted(path.parent for path in shared_path(f"data/incidents/{data_set}").glob(f"*/{ALERTS}"))
    return sample(found, DATA_SETS[data_set], random.Random(f"{os.environ[SEED_VARIABLE]} {data_set}"), whole)


several_replays = pytest.mark.timeout(1800)
every_data_set = pytest.mark.parametrize("recorded", DATA_SETS, indirect=True)

# --- recorded folders ---------------------------------------------------------------------------


@several_replays
@every_data_set
def test_every_file_becomes_rows_and_the_update_is_complete(stage: Stage, recorded: list[Path]) -> None:
    for folder in recorded:
        played = stage.play(folder)
        folders.assert_complete(played.update.markdown)
        folders.assert_plain(played.update.markdown)
        stored = folders.rows_stored(stage.application.store, played.incident_id)
        records = {record.asset: record for record in played.assets}
        for asset, written in folders.rows_written(folder).items():
            assert stored[asset] + folders.left_out(records[asset]) == written, (folder.name, asset)
            assert records[asset].status is (EnvelopeStatus.OK if stored[asset] else EnvelopeStatus.EMPTY)


@every_data_set
def test_what_is_exported_diagnoses_to_what_is_stored(stage: Stage, recorded: list[Path], tmp_path: Path) -> None:
    for folder in recorded:
        assert_exported_diagnoses_alike(stage, stage.play(folder), tmp_path / folder.name)


@pytest.mark.parametrize("name", sorted(path.parent.name for path in EXAMPLES.glob(f"*/{ALERTS}")))
def test_an_example_exported_diagnoses_to_what_is_stored(stage: Stage, name: str, tmp_path: Path) -> None:
    assert_exported_diagnoses_alike(stage, stage.play(EXAMPLES / name), tmp_path / name)


def assert_exported_diagnoses_alike(stage: Stage, played: Replay, target: Path) -> None:
    assert call("export", played.incident_id, str(target), *stage.options).exit_code == 0
    again = diagnose_folder(target, stage.application.scenario).diagnosis
    stored = stage.application.store.read(played.incident_id, "diagnosis")
    assert comparable(again) == comparable(stored), played.incident_id


def comparable(diagnosis: Diagnosis) -> Any:
    return json.loads(diagnosis.model_dump_json())


def test_a_replay_that_stops_early_says_what_it_left_out(stage: Stage, tmp_path: Path) -> None:
    folder = folders.copied(EXAMPLE, tmp_path / "early", "early")
    played = replay(stage.application, folder, until=timedelta(minutes=2))
    stored, written = folders.rows_stored(stage.application.store, played.incident_id), folders.rows_written(folder)
    records = {record.asset: record for record in played.assets}
    for asset in ("logs", "metrics", "traces"):
        assert 0 < stored[asset] < written[asset]
    assert {asset: stored[asset] + folders.left_out(records[asset]) for asset in written} == written


def test_a_folder_that_was_moved_is_read_where_it_is_now(stage: Stage, tmp_path: Path) -> None:
    first = folders.copied(EXAMPLE, tmp_path / "first", "moved")
    stage.application.inbox.adopt(load_folder(first).alerts, load_folder(first).as_of, str(first))
    second = first.rename(tmp_path / "second")
    played = stage.play(second)
    assert folders.rows_stored(stage.application.store, played.incident_id) == folders.rows_written(second)


def test_an_incident_that_was_received_is_never_mixed_with_a_replay(stage: Stage, tmp_path: Path) -> None:
    folder = folders.copied(EXAMPLE, tmp_path / "received", "received")
    stage.application.inbox.adopt(load_folder(folder).alerts, load_folder(folder).as_of)
    with pytest.raises(InputError, match="was received here and is no replay"):
        stage.play(folder)


# --- damaged folders ----------------------------------------------------------------------------


def documents(folder: Folder, settings: Any) -> tuple[str, str]:
    """Status update and postmortem of a folder, without Dagster and without a store."""
    incident, evidence = folder.incident, folder.evidence
    symptoms = find_symptoms(incident, evidence, settings.context.logs.focus_patterns)
    diagnosis = diagnose(incident, evidence, settings)
    plan = plan_remediation(incident, evidence, diagnosis, (), settings)
    at = folder.as_of
    told = build_timeline(incident, evidence, symptoms, diagnosis, responded_at=at, diagnosed_at=at)
    update = status_update(incident, evidence, symptoms, diagnosis, plan, told, as_of=at, templates=None)
    document = write_postmortem(incident, evidence, symptoms, diagnosis, plan, told, settings, as_of=at, templates=None)
    return update.markdown, document.markdown


def assert_good_documents(folder: Folder, settings: Any) -> None:
    update, document = documents(folder, settings)
    folders.assert_complete(update)
    folders.assert_plain(update)
    folders.assert_plain(document)


def counts(folder: Folder) -> dict[str, int]:
    """Rows by asset, as the store will count them."""
    return {
        asset: sum(len(row.timestamps) for row in rows) if asset == "metrics" else len(rows)
        for asset in FILES
        for rows in [getattr(folder.evidence, asset).rows]
    }


@pytest.mark.parametrize("damage", DAMAGES)
def test_one_damaged_file_costs_that_file_alone(
    stage: Stage, damage: str, rng: random.Random, whole: bool, tmp_path: Path
) -> None:
    undamaged = counts(load_folder(folders.copied(EXAMPLE, tmp_path / "good", "good")))
    for asset in sample(sorted(FILES), 2, rng, whole):
        folder = folders.copied(EXAMPLE, tmp_path / asset, "damaged")
        DAMAGES[damage](folder / FILES[asset])
        read = load_folder(folder)
        found = counts(read)
        assert {k: n for k, n in found.items() if k != asset} == {k: n for k, n in undamaged.items() if k != asset}
        gathered = getattr(read.evidence, asset)
        if damage == "ten times":
            assert found[asset] == 10 * undamaged[asset]
        elif damage.startswith(("utf", "latin", "BOM")):
            assert found[asset] == undamaged[asset]
        elif found[asset] < undamaged[asset] and gathered.status is not EnvelopeStatus.EMPTY:
            said = " ".join([gap.reason for gap in gathered.gaps] + list(gathered.envelopes[0].notes))
            assert FILES[asset] in said, (asset, said)
        assert_good_documents(read, stage.application.scenario)


READABLE = {"utf-16", "utf-16-be", "latin-1", "BOM", "ten times"}
"""What alerts.json may suffer and still hold an alert."""


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_alerts_are_read_or_are_one_sentence(stage: Stage, damage: str, tmp_path: Path) -> None:
    folder = folders.copied(EXAMPLE, tmp_path / "folder", "damaged")
    DAMAGES[damage](folder / ALERTS)
    if damage in READABLE:
        assert_good_documents(load_folder(folder), stage.application.scenario)
        return
    with pytest.raises(InputError, match=re.escape(str(folder))) as raised:
        load_folder(folder)
    assert "\n" not in str(raised.value)


BATCHES: dict[str, dict[str, tuple[str, ...]]] = {
    "nothing but alerts": {"missing": tuple(FILES)},
    "all empty": {"empty": tuple(FILES)},
    "all cut off": {"truncated": ("logs", "metrics", "code_changes"), "truncated gz": ("traces", "deployments")},
    "all in other encodings": {
        "utf-16": ("logs", "deployments"),
        "latin-1": ("traces", "flag_changes", "code_changes"),
        "BOM": ("metrics", "service_graph"),
    },
    "none of it evidence": {
        "not JSON": ("logs", "deployments"),
        "bytes": ("traces", "service_graph"),
        "nested": ("code_changes",),
        "null": ("flag_changes",),
        "a folder": ("metrics",),
    },
    "all of the wrong type": {"wrong types": tuple(FILES)},
    "ten times as much": {"ten times": tuple(FILES)},
}


@several_replays
def test_damaged_folders_replay_to_an_update(stage: Stage, rng: random.Random, whole: bool, tmp_path: Path) -> None:
    for name in sample(sorted(BATCHES), 2, rng, whole):
        folder = folders.copied(EXAMPLE, tmp_path / name, name)
        for damage, assets in BATCHES[name].items():
            for asset in assets:
                DAMAGES[damage](folder / FILES[asset])
        expected = counts(load_folder(folder))
        played = stage.play(folder, resolve=True)
        folders.assert_complete(played.update.markdown)
        stored = folders.rows_stored(stage.application.store, played.incident_id)
        assert {asset: stored[asset] for asset in FILES} == expected, name
        folders.assert_plain(stage.application.store.read(played.incident_id, "postmortem").markdown)


# --- hostile folders ----------------------------------------------------------------------------


@several_replays
def test_hostile_text_is_only_text_in_what_people_read(
    stage: Stage, rng: random.Random, whole: bool, tmp_path: Path
) -> None:
    plain, plain_postmortem = map(folders.headings, documents(load_folder(EXAMPLE), stage.application.scenario))
    texts = folders.hostile_texts(tmp_path / "pwned")
    for turn in sample(range(len(texts)), 2, rng, whole):
        folder = folders.Poison(texts, turn).folder(folders.copied(EXAMPLE, tmp_path / str(turn), str(turn)))
        read = load_folder(folder)
        assert counts(read) == counts(load_folder(EXAMPLE))
        update, document = documents(read, stage.application.scenario)
        folders.assert_complete(update)
        for text in (update, document):
            folders.assert_plain(text)
        assert folders.headings(update) == plain
        assert folders.headings(document)[1:] == plain_postmortem[1:]  # the first is the incident's own title
    assert not (tmp_path / "pwned").exists()


@several_replays
def test_hostile_text_does_nothing_on_its_way_through_the_pipeline(rng: random.Random, tmp_path: Path) -> None:
    stage = stage_below(tmp_path)
    marker = tmp_path / "pwned"
    texts = folders.hostile_texts(marker)
    folder = folders.copied(EXAMPLE, tmp_path / "folder", "hostile")
    folders.Poison(texts, rng.randrange(len(texts))).folder(folder)
    below = {path.name for path in tmp_path.iterdir()} | {"data"}

    made = call("replay", str(folder), "--resolve", "--json", *stage.options)
    assert made.exit_code == 0, made.output
    incident_id = json.loads(made.stdout)["incident_id"]
    store = stage.application.store
    assert folders.rows_stored(store, incident_id) == folders.rows_written(folder)

    commands = ["replay", *([command, incident_id] for command in ("show", "timeline", "postmortem", "actions"))]
    commands[0] = ["diagnose", str(folder)]
    stored = {record.asset for record in store.materializations(incident_id)}
    assert set(ASSETS) - stored == {"executed_actions"}, "nothing was approved, all else was made"
    commands += [["show", incident_id, asset] for asset in sorted(stored)]
    commands += [["versions", incident_id], ["incidents", "list"], ["sql", "SELECT * FROM logs LIMIT 50"]]
    for command in commands:
        for form in ([], ["--json"]):
            printed = call(*command, *form, *stage.options)
            assert printed.exit_code == 0, (command, printed.output)
            folders.assert_moves_nothing(printed.stdout + printed.stderr)
            assert folders.EVALUATED not in printed.stdout
    for document in (store.read(incident_id, "status_update"), store.read(incident_id, "postmortem")):
        folders.assert_plain(document.markdown)
    assert_metadata_is_plain(stage, incident_id)

    assert not marker.exists()
    assert {path.name for path in tmp_path.iterdir()} == below
    assert tables_of(stage) >= {"alerts", "incidents", "claims"}
    files = [path.name.strip(".") for path in store.directory.rglob("*") if path.is_file()]
    assert files
    assert all(name.startswith(incident_id) for name in files), files
    stage.application.close()


def assert_metadata_is_plain(stage: Stage, incident_id: str) -> None:
    """What the Dagster UI shows of the incident."""
    seen = 0
    with open_instance(stage.application) as instance:
        for asset in [*ASSETS, "overview"]:
            found = instance.fetch_materializations(dg.AssetKey(asset), limit=5).records
            for record in found:
                assert record.partition_key == incident_id
                assert record.asset_materialization is not None
                for value in record.asset_materialization.metadata.values():
                    if isinstance(value, dg.MarkdownMetadataValue):
                        folders.assert_no_link(value.value or "")
                        seen += 1
    assert seen > len(ASSETS)


def tables_of(stage: Stage) -> set[str]:
    with sqlite3.connect(stage.application.data_dir / "inbox.sqlite") as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


# --- what is re-run later -----------------------------------------------------------------------


@dataclass
class Past:
    """An incident whose recording is gone."""

    stage: Stage
    incident_id: str
    folder: Path

    def versions(self) -> dict[str, tuple[int, str]]:
        """The newest version of each asset, and the name of its content."""
        records = self.stage.application.store.materializations(self.incident_id)
        return {record.asset: (record.version, record.data_version) for record in records}

    def command(self, *words: str) -> Any:
        """What a command prints as JSON."""
        printed = call(*words, "--json", *self.stage.options)
        assert printed.exit_code == 0, printed.output
        return json.loads(printed.stdout)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Past:
    path = tmp_path_factory.mktemp("past")
    stage = stage_below(path)
    folder = folders.copied(EXAMPLE, path / "folder", "past")
    played = stage.play(folder)
    stage.application.close()
    return Past(stage, played.incident_id, folder)


@pytest.fixture
def past(original: Past, tmp_path: Path) -> Iterator[Past]:
    """A copy of what was stored; the folder is not there any more."""
    shutil.copytree(original.stage.application.data_dir, tmp_path / "data")
    if original.folder.exists():
        original.folder.rename(original.folder.with_name("kept"))
    made = Past(stage_below(tmp_path), original.incident_id, original.folder)
    yield made
    made.stage.application.close()


def test_one_asset_is_re_run_from_what_is_stored(past: Past) -> None:
    before, rows = past.versions(), folders.rows_stored(past.stage.application.store, past.incident_id, "_versions")
    past.stage.run(past.incident_id, "diagnosis")
    after = past.versions()
    version, content = before["diagnosis"]
    assert after == before | {"diagnosis": (version + 1, content)}
    assert folders.rows_stored(past.stage.application.store, past.incident_id, "_versions") == rows
    assert len(past.command("sql", "SELECT * FROM diagnosis_versions")) == 2
    assert folders.rows_stored(past.stage.application.store, past.incident_id, "_versions", ["diagnosis"]) == {
        "diagnosis": 1
    }
    changes = past.command("diff", past.incident_id, "diagnosis", str(version), str(version + 1))
    assert not changes["added"]
    assert not changes["removed"]


def test_all_that_is_diagnosed_is_the_same_from_stored_evidence(past: Past) -> None:
    before = past.versions()
    past.stage.run(
        past.incident_id,
        "symptoms",
        "change_hypotheses",
        "log_pattern_hypotheses",
        "metric_hypotheses",
        "similar_incident_hypotheses",
        "diagnosis",
        "remediation",
    )
    after = past.versions()
    for asset in ("symptoms", "change_hypotheses", "metric_hypotheses", "diagnosis", "remediation"):
        assert after[asset] == (before[asset][0] + 1, before[asset][1]), asset


def test_a_source_that_is_gone_warns_and_hides_nothing(past: Past) -> None:
    store = past.stage.application.store
    before, rows = past.versions(), folders.rows_stored(store, past.incident_id)
    known = store.read(past.incident_id, "logs")
    checks = past.stage.run(past.incident_id, "logs", "symptoms", "log_pattern_hypotheses")
    assert not checks["logs"].passed
    assert checks["logs"].severity is dg.AssetCheckSeverity.WARN
    assert str(past.folder) in (checks["logs"].description or "")
    after = past.versions()
    assert after["logs"][0] == before["logs"][0] + 1
    assert after["logs"][1].startswith("unavailable:")
    assert store.read(past.incident_id, "logs") == known
    assert folders.rows_stored(store, past.incident_id) == rows
    # what the run went on with is what was known, not the gap
    for asset in ("symptoms", "log_pattern_hypotheses"):
        assert after[asset][1] == before[asset][1]
    gone = past.command("show", past.incident_id, "logs", "--version", str(after["logs"][0]))
    assert gone["envelopes"][0]["status"] == "unavailable"


def test_what_a_source_says_now_stands_beside_what_it_said_then(past: Past, original: Past) -> None:
    shutil.copytree(original.folder.with_name("kept"), original.folder)
    try:
        lines = (original.folder / "logs.jsonl").read_text().splitlines()
        late = {**json.loads(lines[-1]), "message": "a line that came late"}
        (original.folder / "logs.jsonl").write_text("\n".join([*lines, json.dumps(late)]))
        past.stage.run(past.incident_id, "logs", "metrics")
    finally:
        shutil.rmtree(original.folder)
    store = past.stage.application.store
    stored, ever = (folders.rows_stored(store, past.incident_id, suffix) for suffix in ("", "_versions"))
    assert stored["logs"] == len(lines) + 1
    assert ever["logs"] == 2 * len(lines) + 1
    assert past.command("diff", past.incident_id, "logs", "1", "2")["added"][0]["message"] == late["message"]
    messages = [
        row["message"]
        for row in past.command("show", past.incident_id, "logs", "--version", "1")["envelopes"][0]["rows"]
    ]
    assert late["message"] not in messages
    assert len(messages) == len(lines)
    versions = past.command("versions", past.incident_id, "metrics")
    assert [record["version"] for record in versions] == [1, 2]
    assert len({record["data_version"] for record in versions}) == 1
