"""Which actions answer which kind of cause.

Belongs here: from one hypothesis to its answers, the best first. Does not belong here: what an action says
(`change_actions.py`, `state_actions.py`), order among causes, ids and approval (`plan.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from incident_pipeline.models import ActionType, Category, Evidence, Hypothesis, RemediationAction
from incident_pipeline.remediation import change_actions as changes
from incident_pipeline.remediation import state_actions as states

WORTH_RECOMMENDING = 0.3
"""Where no cause is this likely, none is named as the cause and no action is recommended before others."""
CHANGES_BACK = frozenset(
    {ActionType.ROLLBACK, ActionType.ROLL_FORWARD, ActionType.CONFIG_REVERT, ActionType.DISABLE_FLAG}
)
"""What only helps where a change is to blame."""
_CERTIFICATE = re.compile(r"certificate|\bcert\b|cert_|x509|\btls\b", re.IGNORECASE)
_LEAK = re.compile(r"leak|oom|out.of.memory|deadlock|stuck|\bhang", re.IGNORECASE)
_NEIGHBOUR = re.compile(r"noisy|neighbou?r|node.(satur|pressure)|evict", re.IGNORECASE)


def proposals_for(hypothesis: Hypothesis, evidence: Evidence, own: frozenset[str]) -> Iterator[RemediationAction]:
    """The actions that answer one hypothesis, the best first.

    Args:
        hypothesis: the cause.
        evidence: where versions, commits and replicas are looked up.
        own: the incident's services; another one's action names it.
    """
    blamed = hypothesis.caused_by
    if blamed.kind == "flag":
        yield changes.disable_flag(hypothesis, changes.flag_named(evidence, blamed.id))
    elif blamed.kind == "change":
        yield from _answers_to_commit(hypothesis, evidence, own)
    elif blamed.kind == "deployment" or hypothesis.category is Category.DEPLOYMENT_ISSUE:
        yield from _answers_to_deployment(hypothesis, evidence, own)
    else:
        yield from _answers_to_state(hypothesis, evidence)


def _answers_to_deployment(
    hypothesis: Hypothesis, evidence: Evidence, own: frozenset[str]
) -> Iterator[RemediationAction]:
    deployment = changes.deployment_with(evidence, hypothesis.caused_by.id, hypothesis.service)
    yield changes.rollback(hypothesis, deployment, own)
    commit = changes.commit_with(evidence, deployment.commit_sha if deployment else None)
    if commit is not None:
        yield changes.hot_fix(hypothesis, commit)


def _answers_to_commit(hypothesis: Hypothesis, evidence: Evidence, own: frozenset[str]) -> Iterator[RemediationAction]:
    sha = hypothesis.caused_by.id
    deployment = changes.deployment_of(evidence, sha)
    commit = changes.commit_with(evidence, sha)
    if hypothesis.category is Category.CONFIGURATION_ERROR:
        yield changes.config_revert(hypothesis)
    if deployment is not None:
        yield changes.rollback(hypothesis, deployment, own)
    elif hypothesis.category is not Category.CONFIGURATION_ERROR and sha:
        yield changes.revert_release(hypothesis, sha)
    if commit is not None and hypothesis.category is not Category.CONFIGURATION_ERROR:
        yield changes.hot_fix(hypothesis, commit)


def _answers_to_state(hypothesis: Hypothesis, evidence: Evidence) -> Iterator[RemediationAction]:
    words = f"{hypothesis.mechanism or ''} {hypothesis.description}"
    if _CERTIFICATE.search(words):
        yield states.rotate_certificate(hypothesis)
    elif hypothesis.category in {Category.DEPENDENCY_FAILURE, Category.EXTERNAL_FACTOR}:
        yield states.failover(hypothesis)
        yield states.escalate_upstream(hypothesis)
    elif hypothesis.category is Category.CAPACITY_PROBLEM:
        yield from _answers_to_shortage(hypothesis, evidence, words)
    elif hypothesis.category is Category.CONFIGURATION_ERROR:
        yield changes.config_revert(hypothesis)
    elif hypothesis.service:
        yield states.restart(hypothesis)


def _answers_to_shortage(hypothesis: Hypothesis, evidence: Evidence, words: str) -> Iterator[RemediationAction]:
    if _NEIGHBOUR.search(words):
        yield states.reschedule(hypothesis)
    elif _LEAK.search(words):
        yield states.restart(hypothesis)
    yield states.scale(hypothesis, evidence)
