"""What the knowledge base is fed with: the starter corpus, configured folders and files, and the incidents that ended.

Belongs here: the one way in which the memory is filled, on the command line, at the first start and by Dagster.
Does not belong here: how a file is read (`kb`), what an incident teaches (`memory.py`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from incident_pipeline.config import KnowledgeBaseSettings
from incident_pipeline.errors import ConfigurationError
from incident_pipeline.knowledge import memory
from incident_pipeline.storage.inbox.base import ENDED
from incident_pipeline.storage.inbox.ledger import Entry
from kb import Added, KnowledgeBase, Skipped

if TYPE_CHECKING:
    from incident_pipeline.application import Application

Progress = Callable[[int, int], None]


class Fed(NamedTuple):
    """What one reading of the sources did."""

    added: Added
    skipped: tuple[Skipped, ...]
    documents: int
    """How many were read."""
    learned_again: int = 0
    """Incidents that the memory had lost."""


def feed(
    knowledge_base: KnowledgeBase,
    paths: Sequence[str | Path],
    *,
    starter: bool,
    progress: Progress | None = None,
) -> Fed:
    """Read folders and files; what is unchanged costs nothing, what was deleted leaves the index.

    Raises:
        FileNotFoundError: one of the paths does not exist.
    """
    from kb import gone, read_paths, starter_documents

    reading = read_paths(paths)
    documents = [*reading.documents, *(starter_documents() if starter else ())]
    deleted = gone(knowledge_base.documents, paths)
    added = knowledge_base.add(documents, remove=deleted, progress=progress)
    return Fed(added, reading.skipped, len(documents))


def read_sources(
    knowledge_base: KnowledgeBase, settings: KnowledgeBaseSettings, progress: Progress | None = None
) -> Fed:
    """Read the starter corpus and the configured sources.

    Raises:
        ConfigurationError: one of them does not exist.
    """
    try:
        return feed(knowledge_base, configured(settings), starter=True, progress=progress)
    except FileNotFoundError as error:
        raise ConfigurationError(f"knowledge_base.sources: {error.filename} does not exist") from error


def read_everything(application: Application, progress: Progress | None = None) -> Fed:
    """Read all sources, learn again what a lost file knew of ended incidents, and hear what people said."""
    fed = read_sources(application.knowledge_base, application.scenario.knowledge_base, progress)
    return fed._replace(learned_again=hear(application))


def hear(application: Application) -> int:
    """Bring the memory in line with the ledger and with the incidents that ended; returns how many it learned again."""
    said = application.inbox.ledger() if application.inbox_exists else []
    learned = _learn_again(application, {e.incident_id: e for e in said if e.verdict == "confirmed"})
    memory.apply_ledger(application.knowledge_base, said)
    return learned


def _learn_again(application: Application, said: Mapping[str | None, Entry]) -> int:
    """Take ended incidents from the store that the memory does not know, or whose confirmation was taken back."""
    knowledge_base, store = application.knowledge_base, application.store
    known = {past.incident_id for past in knowledge_base.signatures if not past.confirmed or past.incident_id in said}
    threshold = application.scenario.context.history.correlation_threshold
    learned = 0
    over = (
        [record.incident_id for record in application.inbox.incidents(status=ENDED)] if application.inbox_exists else []
    )
    for identity in over:
        if identity in known or not store.exists(identity):
            continue
        entry = store.read_all(identity, ["knowledge_base_entry"]).get("knowledge_base_entry")
        if entry is not None:
            memory.remember(knowledge_base, entry, said.get(identity), threshold)
            learned += 1
    return learned


def begin(knowledge_base: KnowledgeBase, settings: KnowledgeBaseSettings) -> None:
    """Read the sources of a knowledge base that knows nothing yet, so that the first incident finds something."""
    if not knowledge_base.documents:
        read_sources(knowledge_base, settings)


def configured(settings: KnowledgeBaseSettings) -> list[Path]:
    """The sources that the configuration names."""
    return [Path(source).expanduser() for source in settings.sources]


def sources_state(settings: KnowledgeBaseSettings) -> str:
    """What changes whenever a file of the configured sources does, or the model; cheap enough for every minute.

    So another model re-embeds in the background; searches use the old vectors until the new ones are there.
    """
    digest = hashlib.sha256(f"{settings.model}\0{settings.backend}\n".encode())
    for source in configured(settings):
        for file in _files(source):
            try:
                state = os.lstat(file)
            except OSError:
                continue
            digest.update(f"{file}\0{state.st_mtime_ns}\0{state.st_size}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def ledger_state(application: Application) -> str:
    """What changes whenever somebody says something: on the pages and in Slack nobody tells the memory at once."""
    said = application.inbox.ledger(everything=True) if application.inbox_exists else []
    return str(said[-1].entry_id) if said else ""


def _files(source: Path) -> list[str]:
    """Every file below a folder; links to folders are not followed, so a loop of links ends."""
    if not source.is_dir():
        return [str(source)]
    return sorted(str(Path(root) / name) for root, _, names in os.walk(source) for name in names)
