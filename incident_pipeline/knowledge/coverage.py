"""What the knowledge base lacks: services without a runbook, runbooks that nothing needed, commands about things gone.

Belongs here: pure comparisons of documents with alerts, suggestions and the catalogue. Where these come from is not
known here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from incident_pipeline.models import Service
from kb import Document

_CODE = re.compile(r"```[^\n]{0,80}\n(.*?)```|`([^`\n]{3,300})`", re.DOTALL)
_MOST_TEXT = 200_000
_NAME = r"([a-z0-9](?:[a-z0-9-]{0,60}[a-z0-9])?)(?![\w.$<{-])"
_NAMED = (
    re.compile(
        rf"\b(?:deployments?|deploy|statefulsets?|sts|daemonsets?|ds|services?|svc)(?:\.apps)?(?:/|\s+){_NAME}", re.I
    ),
    re.compile(rf"\bapp(?:\.kubernetes\.io/name)?={_NAME}"),
    re.compile(rf"\bsystemctl\s+(?:restart|stop|start|reload|status)\s+{_NAME}"),
    re.compile(rf"\bargocd\s+app\s+(?:sync|rollback|history|get)\s+{_NAME}"),
)
_NO_NAMES = frozenset(("name", "the", "in", "of", "and", "is", "all", "to", "for", "with", "my-app", "example"))


class Stale(NamedTuple):
    """A command in a runbook about something that the catalogue does not know."""

    document_id: str
    name: str


class Coverage(NamedTuple):
    """What is missing, each in a stable order."""

    without_runbook: tuple[str, ...]
    """Services that had alerts and that no runbook is about."""
    never_matched: tuple[str, ...]
    """Runbooks of one's own that were suggested for no incident."""
    stale: tuple[Stale, ...]


def coverage(
    documents: Iterable[Document], alerting: Iterable[str], suggested: Collection[str], catalogue: Sequence[Service]
) -> Coverage:
    """Compare the runbooks with what happened and what exists.

    Args:
        documents: everything that is remembered.
        alerting: services that had alerts.
        suggested: ids of runbooks that were suggested for some incident.
        catalogue: the services that exist; without any, nothing can be stale.
    """
    runbooks = [document for document in documents if document.kind == "runbook"]
    own = [runbook for runbook in runbooks if not runbook.id.startswith("starter/")]
    return Coverage(
        tuple(sorted({service for service in alerting if not any(_is_about(r, service) for r in runbooks)})),
        tuple(sorted(runbook.id for runbook in own if runbook.id not in suggested)) if suggested else (),
        tuple(sorted(stale_commands(own, catalogue))),
    )


def stale_commands(runbooks: Iterable[Document], catalogue: Sequence[Service]) -> Iterator[Stale]:
    """Commands that name a workload or service which the catalogue does not know; placeholders name nothing."""
    known = {name.lower() for service in catalogue for name in (service.name, *service.aliases)}
    if known:
        for runbook in runbooks:
            for name in dict.fromkeys(_names_in_commands(runbook.text)):
                if name.lower() not in known | _NO_NAMES:
                    yield Stale(runbook.id, name)


def _names_in_commands(text: str) -> Iterator[str]:
    for block, inline in _CODE.findall(text[:_MOST_TEXT]):
        for pattern in _NAMED:
            yield from pattern.findall(block or inline)


def _is_about(runbook: Document, service: str) -> bool:
    """Whether a runbook lists a service, or has its name as a word in its title or text."""
    if service in runbook.services:
        return True
    word = re.compile(rf"(?<![\w-]){re.escape(service)}(?![\w-])", re.I)
    return word.search(runbook.title) is not None or word.search(runbook.text[:_MOST_TEXT]) is not None
