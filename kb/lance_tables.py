"""Tables of LanceDB: opened, read, added to. Conditions hold nothing but our own hashes of texts from outside."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from kb.errors import DamagedIndexError, KnowledgeBaseError

Row = dict[str, Any]


class Tables:
    """The tables at a URL; each changes at once, and a reader sees the newest version.

    Raises:
        KnowledgeBaseError: LanceDB is not installed.
        DamagedIndexError: there is something else at the URL.
    """

    def __init__(self, url: str) -> None:
        self._database = _connected(url)

    def rows(self, name: str, condition: str | None = None, columns: list[str] | None = None) -> list[Row]:
        """The rows of a table, or those that meet a condition; all columns, or some."""
        table = self.table(name)
        if table is None:
            return []
        query = table.search().select(columns) if columns else table.search()
        found: list[Row] = (query.where(condition) if condition else query).limit(None).to_list()
        return found

    def table(self, name: str) -> Any:
        """A table of the engine; None while nothing was added to it."""
        listed = self._database.list_tables()
        return self._database.open_table(name) if name in getattr(listed, "tables", listed) else None

    def count(self, name: str, condition: str | None = None) -> int:
        """How many rows a table has, or how many meet a condition."""
        table = self.table(name)
        return 0 if table is None else int(table.count_rows(condition))

    def drop(self, name: str) -> None:
        """Take a table away, if there is one."""
        if self.table(name) is not None:
            self._database.drop_table(name)

    def append(self, name: str, rows: list[Row]) -> None:
        """Add rows; the first ones make the table."""
        if rows:
            table = self.table(name)
            if table is None:
                self._database.create_table(name, rows)
            else:
                table.add(rows)

    def upsert(self, name: str, rows: list[Row]) -> None:
        """Add rows in place of those with the same `key`."""
        table = self.table(name)
        if rows and table is not None:
            table.merge_insert("key").when_matched_update_all().when_not_matched_insert_all().execute(rows)
        else:
            self.append(name, rows)


def _connected(url: str) -> Any:
    try:
        import lancedb
    except ImportError as error:
        raise KnowledgeBaseError(
            f"the knowledge base {url} needs LanceDB: pip install 'incident-pipeline[lancedb]'"
        ) from error
    place = url.removeprefix("lancedb+").removeprefix("lancedb://")
    try:
        return lancedb.connect(place, read_consistency_interval=timedelta(0))
    except (OSError, ValueError, RuntimeError) as error:
        raise DamagedIndexError(f"the knowledge base {url} cannot be opened: {str(error)[:200]}") from error


def key_of(text: str) -> str:
    """What stands in a condition in place of a text from outside."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]


def among(column: str, keys: Iterable[str]) -> str:
    """A condition; the keys are our own hashes."""
    return f"{column} IN ({', '.join(repr(key) for key in keys)})"
