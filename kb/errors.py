"""The errors of the knowledge base.

KnowledgeBaseError
├── DamagedIndexError    the file is not readable; it is derived, so index the sources again
├── UnreadableError      a document cannot be read; it is listed and skipped
└── ModelError           the embedding model is missing or is not the one that was pinned
"""

from __future__ import annotations


class KnowledgeBaseError(Exception):
    """Anything this library raises on purpose."""


class DamagedIndexError(KnowledgeBaseError):
    """The index file is damaged or of a newer version."""


class UnreadableError(KnowledgeBaseError):
    """One document cannot be read."""


class ModelError(KnowledgeBaseError):
    """The embedding model cannot be used."""
