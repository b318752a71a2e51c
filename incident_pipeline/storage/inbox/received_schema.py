"""The table of what webhooks bring of deployments and code changes.

Belongs here: the table. Does not belong here: queries (`received.py`).
"""

from __future__ import annotations

import sqlalchemy as sa

from incident_pipeline.storage.inbox.schema import metadata, moment_column

received_rows = sa.Table(
    "received_rows",
    metadata,
    sa.Column("kind", sa.String(40), primary_key=True),
    sa.Column("source", sa.String(400), primary_key=True),
    sa.Column("row_id", sa.String(400), primary_key=True),
    sa.Column("row", sa.Text, nullable=False),
    moment_column("at", nullable=False),
    moment_column("received_at", nullable=False),
)
sa.Index("received_rows_by_time", received_rows.c.kind, received_rows.c.at)
