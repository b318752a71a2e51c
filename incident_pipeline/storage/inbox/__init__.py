"""The inbox: alerts received, incidents, claims, decisions, messages; one relational database for all incidents."""

from incident_pipeline.storage.inbox.claims import Claim
from incident_pipeline.storage.inbox.inbox import Inbox
from incident_pipeline.storage.inbox.intake import GroupingResult
from incident_pipeline.storage.inbox.ledger import Entry
from incident_pipeline.storage.inbox.records import Event, InboxState, IncidentRecord

__all__ = ["Claim", "Entry", "Event", "GroupingResult", "Inbox", "InboxState", "IncidentRecord"]
