"""The key of the unique index over event ids: its names, and its SQL.

`E1`, `e1` and `e1 ` are three events, though the column's collation may treat them as equal. So
the key is the id's UTF-8 bytes, whatever the column's character set. MySQL has it as an expression
in the index, MariaDB as an invisible virtual column.
"""

from sqlalchemy import Connection

from db.connection.engine import is_mariadb

#: The index, and MariaDB's column.
NAME = "uq_event_id"
KEY_COLUMN = "event_key"

#: What to do about a missing index.
MISSING = (
    f"DEDUPLICATE is true, but {{table}} has no unique index {NAME}: run `faust -A app migrate` "
    "with DEDUPLICATE=true to create it."
)


def as_bytes(column: str) -> str:
    """The SQL expression for a column's bytes."""
    return f"CAST(CONVERT({column} USING utf8mb4) AS BINARY)"


def key(connection: Connection, column: str) -> str:
    """The SQL for the key: MySQL uses the index only if the query has the same expression."""
    return KEY_COLUMN if is_mariadb(connection) else as_bytes(column)
