"""The inbox's tables and how they came to be.

Belongs here: tables, and migrations as named functions that run once each, in order.
Does not belong here: queries.

Moments are seconds since 1970 as double precision, so that both databases sort and compare them alike.
"""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from incident_pipeline.errors import StoreError
from incident_pipeline.storage.inbox.append_only import forbid_changes

metadata = sa.MetaData()


def moment_column(name: str, nullable: bool = True) -> sa.Column[float]:
    """A column of seconds since 1970."""
    return sa.Column(name, sa.Double(), nullable=nullable)


LIVE_CLAIM_STATES = ("claimed", "launched", "running")

migrations = sa.Table("migrations", metadata, sa.Column("name", sa.String(80), primary_key=True))

alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("alert_id", sa.Integer, primary_key=True),
    sa.Column("delivery", sa.String(32), nullable=False, unique=True, info={"upsert": True}),
    # what the deliveries about one alert share: triggered, acknowledged and resolved
    sa.Column("identity", sa.String(32), nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("source_id", sa.Text, nullable=False),
    sa.Column("dedup_key", sa.Text, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("summary", sa.Text, nullable=False),
    sa.Column("severity", sa.String(2), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("service", sa.Text),
    sa.Column("environment", sa.Text),
    sa.Column("labels", sa.Text, nullable=False),
    moment_column("started_at", nullable=False),
    moment_column("received_at", nullable=False),
    moment_column("resolved_at"),
    sa.Column("url", sa.Text),
    sa.Column("raw", sa.Text),
    sa.Column("deliveries", sa.Integer, nullable=False),
    sa.Column("incident_id", sa.String(128)),
)
sa.Index("alerts_by_incident", alerts.c.incident_id)
sa.Index("alerts_by_arrival", alerts.c.received_at)
sa.Index(
    "alerts_pending",
    alerts.c.alert_id,
    sqlite_where=alerts.c.incident_id.is_(None),
    postgresql_where=alerts.c.incident_id.is_(None),
)

incidents = sa.Table(
    "incidents",
    metadata,
    sa.Column("incident_id", sa.String(128), primary_key=True),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("severity", sa.String(2), nullable=False),
    sa.Column("environment", sa.Text),
    sa.Column("merged_into", sa.String(128)),
    # incidents that a person took apart are never joined again by grouping
    sa.Column("pinned", sa.Boolean, nullable=False),
    sa.Column("replayed_from", sa.Text),
    sa.Column("slack_channel", sa.Text),
    sa.Column("slack_thread_ts", sa.Text),
    moment_column("started_at", nullable=False),
    moment_column("last_alert_at", nullable=False),
    moment_column("received_at", nullable=False),
    moment_column("newest_received_at", nullable=False),
    moment_column("acknowledged_at"),
    moment_column("mitigated_at"),
    moment_column("resolved_at"),
    moment_column("closed_out_at"),
    moment_column("muted_until"),
    # work that waits
    moment_column("due_at"),
    moment_column("due_since"),
    sa.Column("due_job", sa.String(16)),
    sa.Column("due_reason", sa.Text),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("losses", sa.Integer, nullable=False),
    sa.Column("repeats", sa.Integer, nullable=False),
    moment_column("last_claimed_at"),
    moment_column("responded_at"),
    moment_column("failed_at"),
    sa.Column("failure", sa.Text),
    # the newest diagnosis
    moment_column("diagnosed_at"),
    moment_column("last_diagnosed_at"),
    sa.Column("cause", sa.Text),
    sa.Column("confidence", sa.Double()),
    sa.Column("category", sa.String(40)),
)
sa.Index("incidents_due", incidents.c.due_at)
sa.Index("incidents_by_activity", incidents.c.last_alert_at)
sa.Index("incidents_by_arrival", incidents.c.received_at)
incidents_by_status = sa.Index("incidents_by_status", incidents.c.status, incidents.c.received_at)
incidents_given_up = sa.Index(
    "incidents_given_up",
    incidents.c.failed_at,
    sqlite_where=incidents.c.failed_at.is_not(None),
    postgresql_where=incidents.c.failed_at.is_not(None),
)

# what grouping knows: which incident holds which dedup key, and which services since when
alert_keys = sa.Table(
    "alert_keys",
    metadata,
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("dedup_key", sa.Text, primary_key=True),
    sa.Column("source_id", sa.Text, nullable=False),
    sa.Column("incident_id", sa.String(128), nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    moment_column("at", nullable=False),
)
sa.Index("alert_keys_by_incident", alert_keys.c.incident_id)
sa.Index("alert_keys_by_source_id", alert_keys.c.source_id)

tracks = sa.Table(
    "tracks",
    metadata,
    sa.Column("incident_id", sa.String(128), primary_key=True),
    sa.Column("service", sa.Text, primary_key=True),
    sa.Column("environment", sa.Text, primary_key=True),
    # the wording of alerts without a service; empty where there is one
    sa.Column("wording", sa.Text, primary_key=True),
    moment_column("onset", nullable=False),
    moment_column("last", nullable=False),
    sa.Column("alerts", sa.Integer, nullable=False),
)

claims = sa.Table(
    "claims",
    metadata,
    sa.Column("claim_id", sa.String(160), primary_key=True),
    sa.Column("incident_id", sa.String(128), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("job", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("severity", sa.String(2), nullable=False),
    sa.Column("again", sa.Boolean, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("run_id", sa.String(64)),
    sa.Column("error", sa.Text),
    moment_column("claimed_at", nullable=False),
    moment_column("lease_until", nullable=False),
    moment_column("finished_at"),
)
sa.Index("claims_by_incident", claims.c.incident_id)
sa.Index("claims_by_time", claims.c.claimed_at)
claims_by_state = sa.Index("claims_by_state", claims.c.state)
sa.Index(
    "one_live_claim_of_an_incident",
    claims.c.incident_id,
    unique=True,
    sqlite_where=claims.c.state.in_(LIVE_CLAIM_STATES),
    postgresql_where=claims.c.state.in_(LIVE_CLAIM_STATES),
)

IS_LIVE = claims.c.state.in_(
    sa.bindparam("live_states", LIVE_CLAIM_STATES, expanding=True, literal_execute=True, unique=True)
)
"""Written into the statement as it is: only then does a database see that the index above answers it, however many
claims have ended."""

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("run_id", sa.String(64), primary_key=True),
    sa.Column("incident_id", sa.String(128), nullable=False),
    moment_column("at", nullable=False),
)
sa.Index("runs_by_incident", runs.c.incident_id)

events = sa.Table(
    "events",
    metadata,
    sa.Column("event_id", sa.Integer, primary_key=True),
    moment_column("at", nullable=False),
    sa.Column("incident_id", sa.String(128)),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("details", sa.Text, nullable=False),
)
sa.Index("events_by_incident", events.c.incident_id)

mutes = sa.Table(
    "mutes",
    metadata,
    sa.Column("mute_id", sa.Integer, primary_key=True),
    sa.Column("service", sa.Text),
    sa.Column("pattern", sa.Text),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    moment_column("created_at", nullable=False),
    moment_column("until", nullable=False),
)

heartbeats = sa.Table(
    "heartbeats", metadata, sa.Column("name", sa.String(80), primary_key=True), moment_column("at", nullable=False)
)

counters = sa.Table(
    "counters",
    metadata,
    sa.Column("name", sa.String(80), primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)


def create_tables(connection: sa.Connection) -> None:
    """0001: every table as it is described above."""
    metadata.create_all(connection)


def create_outbox(connection: sa.Connection) -> None:
    """0002: what people are told; of what happened before, nobody is told afterwards."""
    metadata.create_all(connection)
    newest = connection.execute(sa.select(sa.func.max(events.c.event_id))).scalar()
    connection.execute(counters.insert().values(name="told_up_to", value=newest or 0))


def create_ledger(connection: sa.Connection) -> None:
    """0003: the ledger of what people said; the table `signatures` that nothing ever read goes."""
    metadata.create_all(connection)
    connection.execute(sa.text("DROP TABLE IF EXISTS signatures"))


def create_actions(connection: sa.Connection) -> None:
    """0004: what people decide on actions, what is carried out, and the switch that stops it."""
    metadata.create_all(connection)


def create_received_rows(connection: sa.Connection) -> None:
    """0005: what webhooks bring of deployments and code changes."""
    metadata.create_all(connection)


def index_what_is_counted(connection: sa.Connection) -> None:
    """0006: lists by status and `/metrics` read no more of a large inbox than an index."""
    for index in (incidents_by_status, incidents_given_up, claims_by_state):
        index.create(connection, checkfirst=True)


def hold_what_is_appended(connection: sa.Connection) -> None:
    """0007: the database refuses to change what people decided."""
    forbid_changes(connection)


MIGRATIONS: dict[str, Callable[[sa.Connection], None]] = {
    "0001_create_tables": create_tables,
    "0002_create_outbox": create_outbox,
    "0003_create_ledger": create_ledger,
    "0004_create_actions": create_actions,
    "0005_create_received_rows": create_received_rows,
    "0006_index_what_is_counted": index_what_is_counted,
    "0007_hold_what_is_appended": hold_what_is_appended,
}


def is_current(connection: sa.Connection) -> bool:
    """Whether there is nothing to migrate.

    Raises:
        StoreError: the inbox was written by a newer version.
    """
    if not sa.inspect(connection).has_table(migrations.name):
        return False
    done = set(connection.execute(sa.select(migrations.c.name)).scalars())
    unknown = sorted(done - set(MIGRATIONS))
    if unknown:
        raise StoreError(f"the inbox was written by a newer version ({unknown[0]}); upgrade incident-pipeline")
    return done == set(MIGRATIONS)


def migrate(connection: sa.Connection) -> None:
    """Bring an inbox of any older version up to this one; in one transaction."""
    migrations.create(connection, checkfirst=True)
    done = set(connection.execute(sa.select(migrations.c.name)).scalars())
    for name, apply in MIGRATIONS.items():
        if name not in done:
            apply(connection)
            connection.execute(migrations.insert().values(name=name))
