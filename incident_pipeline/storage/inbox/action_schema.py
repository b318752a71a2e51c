"""The inbox's tables of what people decided on actions and what was carried out.

Belongs here: tables. Does not belong here: queries (`approvals.py`, `executions.py`).
"""

from __future__ import annotations

import sqlalchemy as sa

from incident_pipeline.storage.inbox.schema import metadata, moment_column

LIVE_EXECUTION_STATES = ("queued", "executing", "unknown")

action_decisions = sa.Table(
    "action_decisions",
    metadata,
    sa.Column("decision_id", sa.Integer, primary_key=True),
    sa.Column("incident_id", sa.String(128), nullable=False),
    sa.Column("action_id", sa.String(80), nullable=False),
    sa.Column("action_hash", sa.String(64), nullable=False),
    sa.Column("decision", sa.String(16), nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("via", sa.String(16), nullable=False),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("comment", sa.Text, nullable=False),
    sa.Column("rule", sa.Text, nullable=False),
    # the action as it was decided on, and what the dry run had said
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("dry_run", sa.Text, nullable=False),
    moment_column("at", nullable=False),
    moment_column("valid_until"),
)
sa.Index("action_decisions_by_incident", action_decisions.c.incident_id)

executions = sa.Table(
    "executions",
    metadata,
    sa.Column("execution_id", sa.Integer, primary_key=True),
    sa.Column("incident_id", sa.String(128), nullable=False),
    sa.Column("action_id", sa.String(80), nullable=False),
    sa.Column("action_hash", sa.String(64), nullable=False),
    sa.Column("decision_id", sa.Integer, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("manual", sa.Boolean, nullable=False),
    sa.Column("automatic", sa.Boolean, nullable=False),
    sa.Column("rule", sa.Text, nullable=False),
    sa.Column("quorum", sa.Integer, nullable=False),
    moment_column("queued_at", nullable=False),
    moment_column("valid_until", nullable=False),
    sa.Column("fence", sa.Integer, nullable=False),
    sa.Column("run_id", sa.String(64)),
    moment_column("intent_at"),
    moment_column("lease_until"),
    sa.Column("planned", sa.Text, nullable=False),
    moment_column("finished_at"),
    sa.Column("output", sa.Text, nullable=False),
    sa.Column("exit_status", sa.Integer),
    sa.Column("verification", sa.String(16), nullable=False),
    moment_column("verification_due"),
    sa.Column("verification_text", sa.Text, nullable=False),
)
sa.Index("executions_by_incident", executions.c.incident_id)
sa.Index("executions_by_state", executions.c.state)
_IS_LIVE = executions.c.state.in_(LIVE_EXECUTION_STATES)
sa.Index(
    "one_live_execution_of_an_action",
    executions.c.incident_id,
    executions.c.action_id,
    unique=True,
    sqlite_where=_IS_LIVE,
    postgresql_where=_IS_LIVE,
)

rehearsals = sa.Table(
    "rehearsals",
    metadata,
    sa.Column("incident_id", sa.String(128), primary_key=True),
    sa.Column("action_hash", sa.String(64), primary_key=True),
    sa.Column("planned", sa.Text, nullable=False),
    sa.Column("output", sa.Text, nullable=False),
    sa.Column("succeeded", sa.Boolean, nullable=False),
    moment_column("at", nullable=False),
)

freezes = sa.Table(
    "freezes",
    metadata,
    sa.Column("freeze_id", sa.Integer, primary_key=True),
    sa.Column("frozen", sa.Boolean, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    moment_column("at", nullable=False),
)
