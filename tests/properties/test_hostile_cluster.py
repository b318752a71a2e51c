"""Objects that nobody vouches for give findings or nothing, never an exception: the diagnosis goes on."""

from __future__ import annotations

import copy
import json
import random
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from incident_pipeline.config import Scenario
from incident_pipeline.diagnosis.cluster_state import cluster_hypotheses
from incident_pipeline.diagnosis.engine import diagnose
from incident_pipeline.diagnosis.symptoms import find_symptoms
from incident_pipeline.evidence.envelopes import gathered
from incident_pipeline.evidence.rollouts import rollouts
from incident_pipeline.incident_folder.reading import incident_from
from incident_pipeline.models import Evidence, EvidenceKind, Window
from incident_pipeline.remediation.plan import plan_remediation
from incident_pipeline.storage.incidents.rows import from_rows, to_rows
from tests.examples import examples
from tests.unit.diagnosis.kubernetes.objects import NOW, alert, at, cluster, event, evidence_of, line, unready

INCIDENT = incident_from((alert(),))
WRONG = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12), st.lists(st.integers(), max_size=2),
    st.dictionaries(st.sampled_from(["name", "status", "spec", "type", "key"]), st.integers(), max_size=2),
    st.sampled_from(["1e999", "10000000000000000000000m", "0x1F", "-5Gi", "9999-99-99T99:99Z", "{{7*7}}", "a" * 900]),
)  # fmt: skip


def looked_at(bodies: list[Any]) -> list[Any]:
    """What everything makes of it that reads a cluster."""
    evidence = evidence_of(bodies, [line("cart", "Permission denied /data"), line("shop", "no such host")])
    window = Window(start=NOW - timedelta(days=1), end=NOW)
    rollouts(evidence.kubernetes_state.rows, window, "kubernetes")
    diagnosis = diagnose(INCIDENT, evidence, Scenario())
    plan_remediation(INCIDENT, evidence, diagnosis, (), Scenario())
    return list(cluster_hypotheses(INCIDENT, evidence, find_symptoms(INCIDENT, evidence, ()), Scenario()))


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return found + [place for key, item in inner for place in _places(item, (*path, key))]


@settings(max_examples=examples(30), deadline=None)
@given(seed=st.integers(0, 10**6), wrong=st.lists(WRONG, min_size=4, max_size=4))
def test_any_field_may_be_anything(seed: int, wrong: list[Any]) -> None:
    chance = random.Random(seed)
    found = cluster()
    unready(found["Pod", "cart-7d9f-x"], restartCount=10**6, lastState={"terminated": {"reason": "OOMKilled"}})
    found["Event", "e"] = event(found["Pod", "cart-7d9f-x"], "Unhealthy", "Liveness probe failed: timeout")
    bodies = [copy.deepcopy(body) for body in found.values()]
    for value in wrong:
        body = chance.choice(bodies)
        places = [place for place in _places(body) if place not in {("kind",), ("metadata",), ("metadata", "name")}]
        *way, last = chance.choice(places)
        holder = body
        for step in way:
            holder = holder[step]
        holder[last] = value
    looked_at(bodies)


def test_markup_and_secrets_are_data() -> None:
    found = cluster()
    body = found["Pod", "cart-7d9f-x"]
    body["metadata"]["annotations"] = {"note": "<script>alert(1)</script>", "big": "x" * 2_000_000}
    unready(body, state={"waiting": {"reason": "ImagePullBackOff"}})
    said = event(body, "Failed", "Failed to pull image: *_`<b>` password=hunter2-hunter2 not found")
    found["Event", "e"] = said
    evidence = evidence_of(found.values())
    stored = to_rows("kubernetes_state", evidence.kubernetes_state)
    assert "hunter2" not in json.dumps(stored, default=str)
    assert len(json.dumps(stored, default=str)) < 100_000
    assert looked_at(list(found.values()))


def test_five_megabytes_of_events_a_million_restarts_and_clocks_apart() -> None:
    found = cluster()
    pod = found["Pod", "cart-7d9f-x"]
    pod["status"]["containerStatuses"][0]["restartCount"] = 10**6
    found["Node", "node-b"]["status"]["leaseRenewTime"] = at(60 * 24 * 365)
    noise = [event(pod, "Unhealthy", f"Readiness probe failed: {number} {'y' * 900}", -0.5) for number in range(5_000)]
    future = event(pod, "BackOff", "from next year", 60 * 24 * 365)
    assert looked_at([*found.values(), *noise, future]) == []


def test_half_of_the_kinds_are_missing() -> None:
    found = cluster()
    found["Service", "cart"]["spec"]["selector"] = {"app": "nobody"}
    for kinds in ({"Node", "ReplicaSet", "ServiceAccount"}, {"Pod", "Event"}, {"Deployment"}, {"Service"}):
        kept = [body for (kind, _), body in found.items() if kind not in kinds]
        for hypothesis in looked_at(kept):
            assert hypothesis.mechanism == "service_selector_mismatch", kinds


def test_what_is_stored_is_diagnosed_the_same() -> None:
    found = cluster()
    found["Service", "cart"]["spec"]["ports"][0]["targetPort"] = 1
    before = evidence_of(found.values())
    state = before.kubernetes_state
    sources = [{"source": "kubernetes", "status": "ok"}]
    again = from_rows("kubernetes_state", to_rows("kubernetes_state", state), sources)
    after = before.model_copy(update={"kubernetes_state": again})
    assert diagnose(INCIDENT, after, Scenario()) == diagnose(INCIDENT, before, Scenario())


def test_no_cluster_at_all() -> None:
    empty = Evidence(kubernetes_state=gathered(EvidenceKind.KUBERNETES_STATE, []))
    assert cluster_hypotheses(INCIDENT, empty, find_symptoms(INCIDENT, empty, ()), Scenario()) == ()
    assert empty.kubernetes_state.gaps == ()
