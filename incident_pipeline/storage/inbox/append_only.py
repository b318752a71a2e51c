"""Tables that are only ever appended to, held by the database itself: whoever has the file or the password included.

Belongs here: the triggers, for SQLite and Postgres. Does not belong here: the tables.

A decision is never changed. It goes with its incident, once that is over (`prune`). What the freeze switch did stays.
"""

from __future__ import annotations

import sqlalchemy as sa

_LIVES = (
    "EXISTS (SELECT 1 FROM incidents WHERE incident_id = OLD.incident_id"
    " AND status NOT IN ('resolved', 'closed', 'merged'))"
)
RULES = (
    ("action_decisions", "UPDATE", None),
    ("action_decisions", "DELETE", _LIVES),
    ("freezes", "UPDATE", None),
    ("freezes", "DELETE", None),
)
"""Table, what is refused, and when; None: always."""


def forbid_changes(connection: sa.Connection) -> None:
    """Create the triggers; those that exist are made anew."""
    postgres = connection.dialect.name == "postgresql"
    for table, verb, condition in RULES:
        name = f"{table}_no_{verb.lower()}"
        for statement in (_postgres if postgres else _sqlite)(name, table, verb, condition):
            connection.execute(sa.text(statement))


def _sqlite(name: str, table: str, verb: str, condition: str | None) -> tuple[str, ...]:
    when = f"WHEN {condition} " if condition else ""
    refuse = f"SELECT RAISE(ABORT, '{_sentence(table)}');"
    create = f"CREATE TRIGGER {name} BEFORE {verb} ON {table} FOR EACH ROW {when}BEGIN {refuse} END"
    return f"DROP TRIGGER IF EXISTS {name}", create


def _postgres(name: str, table: str, verb: str, condition: str | None) -> tuple[str, ...]:
    refuse = f"RAISE EXCEPTION '{_sentence(table)}';"
    body = f"IF {condition} THEN {refuse} END IF; RETURN OLD;" if condition else refuse
    function = f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $body$ BEGIN {body} END $body$"
    create = f"CREATE TRIGGER {name} BEFORE {verb} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()"
    return function, f"DROP TRIGGER IF EXISTS {name} ON {table}", create


def _sentence(table: str) -> str:
    return f"{table} is only ever appended to"
