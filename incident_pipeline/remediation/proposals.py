"""Which actions answer which kind of cause.

Belongs here: from one hypothesis to its answers, the best first. Does not belong here: what an action says
(`change_actions.py`, `state_actions.py`), order among causes, ids and approval (`plan.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from incident_pipeline.models import ActionType, Category, Evidence, Hypothesis, RemediationAction
from incident_pipeline.remediation import change_actions as changes
from incident_pipeline.remediation import state_actions as states
from incident_pipeline.remediation.cluster_changes import cluster_answers

WORTH_RECOMMENDING = 0.3
"""Where no cause is this likely, none is named as the cause and no action is recommended before others."""
CHANGES_BACK = frozenset(
    {ActionType.ROLLBACK, ActionType.ROLL_FORWARD, ActionType.CONFIG_REVERT, ActionType.DISABLE_FLAG}
)
"""What only helps where a change is to blame."""


def proposals_for(hypothesis: Hypothesis, evidence: Evidence, own: frozenset[str]) -> Iterator[RemediationAction]:
    """The actions that answer one hypothesis, the best first.

    Args:
        hypothesis: the cause.
        evidence: where versions, commits and replicas are looked up.
        own: the incident's services; another one's action names it.
    """
    blamed = hypothesis.caused_by
    if blamed.kind == "object":
        yield from cluster_answers(hypothesis, evidence)
    elif blamed.kind == "flag":
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
    yield changes.rollback(hypothesis, deployment, evidence, own)
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
        yield changes.rollback(hypothesis, deployment, evidence, own)
    elif hypothesis.category is not Category.CONFIGURATION_ERROR and sha:
        yield changes.revert_release(hypothesis, sha)
    if commit is not None and hypothesis.category is not Category.CONFIGURATION_ERROR:
        yield changes.hot_fix(hypothesis, commit)


def _answers_to_state(hypothesis: Hypothesis, evidence: Evidence) -> Iterator[RemediationAction]:
    words = (hypothesis.mechanism or hypothesis.description).replace("_", " ")
    for pattern, answers in _BY_MECHANISM:
        if pattern.search(words):
            yield from (answer(hypothesis, evidence) for answer in answers)
            return
    yield from (answer(hypothesis, evidence) for answer in _BY_CATEGORY.get(hypothesis.category, ()))


Answer = Callable[[Hypothesis, Evidence], RemediationAction]


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_BY_MECHANISM: tuple[tuple[re.Pattern[str], tuple[Answer, ...]], ...] = (
    (_words(r"credential|token.expired|secret.expired"), (states.rotate_credential,)),
    (_words(r"certificate|\bcert\b|x509"), (states.rotate_certificate,)),
    (_words(r"noisy.neighbou?r|node.(failure|satur|pressure)|evict"), (states.reschedule,)),
    (_words(r"bad.data|poison|malformed (record|message)"), (states.purge_bad_data,)),
    (_words(r"quota"), (states.escalate_upstream,)),
    (_words(r"leak|\boom\b|out.of.memory|deadlock|stuck|\bhang"), (states.restart, states.scale)),
    (
        _words(r"third.party|region|partition|network.delay|dns.failure|failover"),
        (states.failover, states.escalate_upstream),
    ),
)
"""What a mechanism or its description says, and the answers to it; the first that fits counts."""
_BY_CATEGORY: dict[Category, tuple[Answer, ...]] = {
    Category.DEPENDENCY_FAILURE: (states.failover, states.escalate_upstream),
    Category.EXTERNAL_FACTOR: (states.failover, states.escalate_upstream),
    Category.CAPACITY_PROBLEM: (states.scale,),
    Category.CONFIGURATION_ERROR: (changes.config_revert_unknown,),
    Category.CODE_BUG: (states.restart,),
}
