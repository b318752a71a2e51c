"""The table of what people said of causes and suggestions.

Belongs here: the columns. Does not belong here: queries (`ledger.py`).
"""

from __future__ import annotations

import sqlalchemy as sa

from incident_pipeline.storage.inbox.schema import metadata, moment_column

# what people said of suggestions and causes; nothing here is ever changed, a later entry takes an earlier one's place
ledger = sa.Table(
    "ledger",
    metadata,
    sa.Column("entry_id", sa.Integer, primary_key=True),
    moment_column("at", nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("verdict", sa.String(16), nullable=False),
    sa.Column("replaces", sa.Integer),
    sa.Column("incident_id", sa.String(128)),
    sa.Column("document_id", sa.Text),
    sa.Column("question", sa.Text),
    sa.Column("cause", sa.Text),
    sa.Column("category", sa.String(40)),
    sa.Column("fixed_by", sa.Text),
)
sa.Index("ledger_by_incident", ledger.c.incident_id)
