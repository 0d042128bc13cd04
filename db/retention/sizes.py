"""How large the tables are, how fast they grow, and when the space is used up. Blocking.

Once an hour a worker notes the sizes and the newest row's id. So the growth of a week is known, and
which rows were stored before a day, without an index on any time.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, bindparam, text

from db.connection.errors import classified
from db.schema.sales_tables import (
    flash_sale_events,
    rollup_categories,
    rollup_minutes,
    rollup_products,
)
from db.schema.tables import batches, dead_letters
from pipeline.background.storage import Storage, TableSize

#: The tables that grow.
TABLES = [
    table.name
    for table in (
        flash_sale_events,
        dead_letters,
        batches,
        rollup_minutes,
        rollup_products,
        rollup_categories,
    )
]
_SIZES = text(
    "SELECT TABLE_NAME AS name, COALESCE(TABLE_ROWS, 0) AS number,"
    " COALESCE(DATA_LENGTH + INDEX_LENGTH, 0) AS bytes"
    " FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN :names"
).bindparams(bindparam("names", TABLES, expanding=True))
#: The oldest note of the last week, and its age in days.
_THEN = text(
    "SELECT bytes, TIMESTAMPDIFF(SECOND, noted_at, CURRENT_TIMESTAMP(3)) / 86400 AS days"
    " FROM growth WHERE noted_at >= CURRENT_TIMESTAMP(3) - INTERVAL 7 DAY"
    " ORDER BY noted_at LIMIT 1"
)
#: Less than an hour says nothing of a day.
_LEAST = 1 / 25
_NOTE = text(
    "INSERT INTO growth (noted_at, newest_id, bytes) SELECT CURRENT_TIMESTAMP(3),"
    " (SELECT COALESCE(MAX(id), 0) FROM flash_sale_events), :bytes FROM DUAL"
    " WHERE NOT EXISTS (SELECT 1 FROM growth WHERE noted_at >"
    " CURRENT_TIMESTAMP(3) - INTERVAL 50 MINUTE)"
)
#: Older notes than any retention are of no use.
_FORGET = text("DELETE FROM growth WHERE noted_at < CURRENT_TIMESTAMP(3) - INTERVAL 11 YEAR")


class Sizes:
    """The sizes of a database's tables.

    Args:
        engine: from ``db.connection.engine.connect_for_queries``.
        limit: bytes that the database may take; None if unknown.

    Raises (every method):
        TransientError, FatalError: see ``pipeline.errors``.
    """

    def __init__(self, engine: Engine, limit: int | None = None) -> None:
        self._engine = engine
        self._limit = limit

    def read(self) -> Storage:
        """The sizes now, and how fast they grow."""
        with self._begin() as connection:
            return self._read(connection)

    def note(self) -> Storage:
        """The same, noted where the last note is an hour old."""
        with self._begin() as connection:
            found = self._read(connection)
            noted = json.dumps({one.name: one.bytes for one in found.tables})
            connection.execute(_NOTE, {"bytes": noted})
            connection.execute(_FORGET)
            return found

    def _read(self, connection: Connection) -> Storage:
        sizes = {row.name: row for row in connection.execute(_SIZES)}
        then, days = {}, 0.0
        if noted := connection.execute(_THEN).first():
            days = float(noted.days)
            then = json.loads(noted.bytes) if isinstance(noted.bytes, str) else noted.bytes
        return Storage(
            [
                TableSize(
                    name,
                    int(sizes[name].number),
                    int(sizes[name].bytes),
                    (int(sizes[name].bytes) - then[name]) / days
                    if days > _LEAST and name in then
                    else None,
                )
                for name in TABLES
                if name in sizes
            ],
            self._limit,
        )

    @contextmanager
    def _begin(self) -> Iterator[Connection]:
        with classified(), self._engine.begin() as connection:
            yield connection


def rehearse(connection: Connection) -> None:
    """Note nothing; the caller rolls back.

    Raises:
        sqlalchemy.exc.DBAPIError: the server refused, perhaps because a right is missing.
    """
    connection.execute(_NOTE, {"bytes": "{}"})
    connection.execute(_FORGET)
