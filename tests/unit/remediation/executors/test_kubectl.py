"""The real kubectl against a cluster in memory."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from incident_pipeline.config import Scenario
from incident_pipeline.errors import SourceError
from incident_pipeline.models import ActionCall
from incident_pipeline.remediation.executors.base import Effect, Executor
from incident_pipeline.remediation.executors.registry import executor_named
from tests.cluster import Cluster, running_cluster
from tests.integration.peers import program

NOW = datetime.now(UTC)
MARK = "INC-1.rollback-1.7"


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    program("kubectl")
    with running_cluster() as made:
        for version in ("v1", "v2", "v3"):
            made.deploy("payments", f"shop/payments:{version}")
        yield made


@pytest.fixture
def kubectl(cluster: Cluster, tmp_path: Path) -> Executor:
    kubeconfig = str(cluster.kubeconfig(tmp_path / "kubeconfig"))
    execution = {"kubeconfig": kubeconfig, "time_limit": "30s"}
    return executor_named("kubectl", Scenario.model_validate({"remediation": {"execution": execution}}))


def call(operation: str, **parameters: str) -> ActionCall:
    return ActionCall(
        executor="kubectl", operation=operation, parameters={"workload": "deployment/payments", **parameters}
    )


def test_a_rollback_goes_to_the_revision_that_runs_the_version_and_back_again(
    cluster: Cluster, kubectl: Executor
) -> None:
    what = call("rollback", version="v1", namespace="default", context="here")
    planned = kubectl.plan(what)
    assert planned.steps == (
        "kubectl --context=here --namespace=default rollout undo deployment/payments --to-revision=1",
    )
    dry = kubectl.dry_run(what, planned)
    assert dry is not None
    assert dry.succeeded
    assert (cluster.image("payments"), cluster.writes) == ("shop/payments:v3", [])
    assert kubectl.verify(what, planned, MARK, NOW).effect is Effect.NOT_HAPPENED
    assert kubectl.execute(what, planned, MARK).succeeded
    assert cluster.image("payments") == "shop/payments:v1"
    assert kubectl.verify(what, planned, MARK, NOW).effect is Effect.HAPPENED
    undo = kubectl.undo(what, planned)
    assert undo is not None
    assert kubectl.execute(undo, kubectl.plan(undo), MARK).succeeded
    assert cluster.image("payments") == "shop/payments:v3"
    assert kubectl.verify(what, planned, MARK, NOW).effect is Effect.NOT_HAPPENED


def test_a_version_that_no_revision_runs_is_not_guessed(cluster: Cluster, kubectl: Executor) -> None:
    with pytest.raises(SourceError, match=r"has not a revision that runs v9; there are: .*shop/payments:v2"):
        kubectl.plan(call("rollback", version="v9"))
    assert cluster.writes == []


def test_scaling_says_from_how_many_and_is_refused_when_that_has_changed(cluster: Cluster, kubectl: Executor) -> None:
    what = call("scale", replicas="5")
    planned = kubectl.plan(what)
    assert planned.steps == ("kubectl scale deployment/payments --current-replicas=3 --replicas=5",)
    cluster.objects["deployments", "default", "payments"]["spec"]["replicas"] = 4
    refused = kubectl.execute(what, planned, MARK)
    assert not refused.succeeded
    assert cluster.replicas("payments") == 4
    planned = kubectl.plan(what)
    assert kubectl.execute(what, planned, MARK).succeeded
    assert cluster.replicas("payments") == 5
    undo = kubectl.undo(what, planned)
    assert undo is not None
    assert undo.parameters["replicas"] == "4"


def test_a_restart_is_tried_dry_and_seen(cluster: Cluster, kubectl: Executor) -> None:
    what = call("restart")
    planned = kubectl.plan(what)
    dry = kubectl.dry_run(what, planned)
    assert dry is not None
    assert dry.succeeded
    assert kubectl.verify(what, planned, MARK, NOW).effect is Effect.NOT_HAPPENED
    assert kubectl.execute(what, planned, MARK).succeeded
    assert kubectl.verify(what, planned, MARK, NOW).effect is Effect.HAPPENED
    assert kubectl.undo(what, planned) is None


def test_what_the_cluster_refuses_fails_in_its_own_words(cluster: Cluster, kubectl: Executor) -> None:
    cluster.refuse = "user tester may not patch deployments"
    what = call("rollback", version="v2")
    planned = kubectl.plan(what)
    dry = kubectl.dry_run(what, planned)
    assert dry is not None
    assert not dry.succeeded
    assert "may not patch deployments" in dry.output


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"workload": "deployment/payments; rm -rf /"}, "is not a workload"),
        ({"workload": "--kubeconfig=/etc/passwd"}, "is not a workload"),
        ({"workload": "secret/payments"}, "is not a workload"),
        ({"namespace": "--all-namespaces"}, "is not the name of a namespace"),
        ({"context": "a b"}, "is not the name of a context"),
        ({"workload": "deployment/absent"}, "not found"),
    ],
)
def test_hostile_names_never_reach_the_program(
    cluster: Cluster, kubectl: Executor, parameters: dict[str, str], said: str
) -> None:
    with pytest.raises(SourceError, match=said):
        kubectl.plan(
            call("rollback", version="v1", **parameters)
            if "workload" not in parameters
            else ActionCall(executor="kubectl", operation="rollback", parameters={"version": "v1", **parameters})
        )
    assert cluster.writes == []


def test_a_program_that_is_not_there_is_one_sentence() -> None:
    execution = {"kubectl": "no-such-kubectl"}
    kubectl = executor_named("kubectl", Scenario.model_validate({"remediation": {"execution": execution}}))
    with pytest.raises(SourceError, match="no-such-kubectl cannot be run"):
        kubectl.plan(call("restart"))
