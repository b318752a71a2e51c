"""The knowledge base: a memory of runbooks, postmortems and incidents that answers in milliseconds."""

from kb.base import KnowledgeBase
from kb.documents import Document, SearchResult
from kb.errors import DamagedIndexError, KnowledgeBaseError, ModelError, UnreadableError
from kb.learning import Feedback, Recurrence, Vote, as_signature, foretold, recurring, vote, vote_accuracy
from kb.merging import Added
from kb.reading import Reading, Skipped, gone, read_paths, starter_documents
from kb.similar import IncidentSignature, Match, find_similar

__all__ = [
    "Added",
    "DamagedIndexError",
    "Document",
    "Feedback",
    "IncidentSignature",
    "KnowledgeBase",
    "KnowledgeBaseError",
    "Match",
    "ModelError",
    "Reading",
    "Recurrence",
    "SearchResult",
    "Skipped",
    "UnreadableError",
    "Vote",
    "as_signature",
    "find_similar",
    "foretold",
    "gone",
    "read_paths",
    "recurring",
    "starter_documents",
    "vote",
    "vote_accuracy",
]
