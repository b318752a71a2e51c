"""`execute_remediation` and its sensor, in this process: real Dagster, the real kubectl, a cluster in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from assets.definitions import build_definitions
from assets.jobs import EXECUTE_REMEDIATION
from assets.partitions import incident_partitions
from assets.resources import Responder
from assets.sensors import approvals
from incident_pipeline.application import Application
from incident_pipeline.models import ActionCall, Alert, Remediation
from incident_pipeline.remediation.approvals import Choice, decide, proposed
from incident_pipeline.remediation.records import ExecutedAction, Verification
from incident_pipeline.storage.inbox.action_schema import executions
from tests.cluster import Cluster, running_cluster
from tests.integration.peers import program
from tests.unit.remediation.place import an_action

CALL = ActionCall(
    executor="kubectl", operation="rollback", parameters={"workload": "deployment/payments", "version": "v1"}
)


@dataclass
class Scene:
    application: Application
    cluster: Cluster
    instance: dg.DagsterInstance
    incident_id: str

    def decide(self, choice: Choice = Choice.APPROVED, by: str = "dana", now: datetime | None = None) -> None:
        moment = now or datetime.now(UTC)
        (action, *_) = proposed(self.application, self.incident_id, moment)
        decide(self.application, self.incident_id, action.action_id, choice, by=by, via="cli", now=moment)

    def sensed(self) -> list[str]:
        """The incidents for which the sensor wants a run."""
        with dg.build_sensor_context(instance=self.instance, resources={"responder": self.responder}) as context:
            found: Any = approvals(context)
        requests = [] if isinstance(found, dg.SkipReason) else found.run_requests
        return [request.partition_key for request in requests]

    @property
    def responder(self) -> Responder:
        return Responder(config_file=str(self.application.config_path), data_dir=str(self.application.data_dir))

    def run(self) -> list[ExecutedAction]:
        job = build_definitions(responder=self.responder).resolve_job_def(EXECUTE_REMEDIATION)
        assert job.execute_in_process(instance=self.instance, partition_key=self.incident_id).success
        return list(self.application.store.read(self.incident_id, "executed_actions"))


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    program("kubectl")
    with running_cluster() as cluster, dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        for version in ("v1", "v2"):
            cluster.deploy("payments", f"shop/payments:{version}")
        execution = {"kubeconfig": str(cluster.kubeconfig(tmp_path / "kubeconfig")), "time_limit": "30s"}
        config = tmp_path / "incident.yaml"
        config.write_text(yaml.safe_dump({"scenario": {"remediation": {"execution": execution}}}))
        application = Application.load(config, tmp_path / "data")
        now = datetime.now(UTC)
        alert = Alert(
            source="custom", source_id="1", dedup_key="1", title="Errors", service="payments",
            environment="production", started_at=now,
        )  # fmt: skip
        application.inbox.accept([alert], now)
        application.inbox.group(now, application.scenario.alerts, ())
        incident_id = application.inbox.incidents()[0].incident_id
        plan = Remediation(actions=(an_action(call=CALL),))
        application.store.write(incident_id, {"remediation": plan}, run_id="r", as_of=now, now=now)
        instance.add_dynamic_partitions(str(incident_partitions.name), [incident_id])
        yield Scene(application, cluster, instance, incident_id)
        application.close()


def test_what_is_approved_is_carried_out_by_the_job_that_the_sensor_starts(scene: Scene) -> None:
    assert scene.sensed() == []
    scene.decide()
    assert scene.sensed() == [scene.incident_id]
    (done,) = scene.run()
    assert (done.state, done.approved_by) == ("done", ("dana",))
    assert "rolled back" in done.output
    assert scene.cluster.image("payments") == "shop/payments:v1"
    assert scene.sensed() == []
    scene.run()
    assert len(scene.cluster.writes) == 1
    records = scene.application.store.materializations(scene.incident_id, "executed_actions")
    assert [record.version for record in records] == [1, 2]


@pytest.mark.parametrize("what", ["rejected", "expired", "frozen"])
def test_what_may_not_be_done_is_not_done(scene: Scene, what: str) -> None:
    now = datetime.now(UTC)
    scene.decide(now=now - timedelta(hours=2) if what == "expired" else now)
    if what == "rejected":
        scene.decide(Choice.REJECTED, by="erin")
    if what == "frozen":
        scene.application.inbox.freeze("erin", "", now)
        assert scene.sensed() == []
    scene.run()
    assert scene.cluster.writes == []
    assert scene.cluster.image("payments") == "shop/payments:v2"


def test_what_the_cluster_refuses_has_failed_in_its_words(scene: Scene) -> None:
    scene.decide()
    scene.cluster.refuse = "tester may not patch deployments"
    (done,) = scene.run()
    assert done.state == "failed"
    assert "tester may not patch deployments" in done.reason
    assert scene.sensed() == []


def test_a_failed_verification_proposes_the_undoing_which_works(scene: Scene) -> None:
    scene.decide()
    scene.run()
    inbox, now = scene.application.inbox, datetime.now(UTC)
    with inbox._database.write() as connection:
        connection.execute(executions.update().values(verification="pending", verification_due=now.timestamp()))
    inbox.record_verification(1, Verification.FAILED, "errors go on", now)
    (undo, _) = proposed(scene.application, scene.incident_id, now)
    assert undo.command == "kubectl rollout undo deployment/payments --to-revision=2"
    scene.decide()
    scene.run()
    assert scene.cluster.image("payments") == "shop/payments:v2"
    states = {one.action_id: one.state for one in proposed(scene.application, scene.incident_id, now)}
    assert states == {"undo-rollback-1a2b3c": "done", "rollback-1a2b3c": "undone"}
