"""The key of the unique index over event ids: its names, and how a query spells it.

It compares ids byte by byte, though the column's collation does not: `E1`, `e1` and `e1 ` are three
events. So it is the bytes of the id in UTF-8, whatever the column's character set is. MySQL has
such a key as an expression of the index, MariaDB as an invisible virtual column.
"""

from sqlalchemy import Connection

from db.connection.engine import is_mariadb

#: The index, and MariaDB's column.
NAME = "uq_event_id"
KEY_COLUMN = "event_key"

#: What to do about an index that is not there.
MISSING = (
    f"DEDUPLICATE is true, but {{table}} has no unique index {NAME}: run `faust -A app migrate` "
    "with DEDUPLICATE=true, which makes it."
)


def as_bytes(column: str) -> str:
    """The expression of a column's bytes."""
    return f"CAST(CONVERT({column} USING utf8mb4) AS BINARY)"


def key(connection: Connection, column: str) -> str:
    """The key over a column: an index over an expression is used where the same expression is."""
    return KEY_COLUMN if is_mariadb(connection) else as_bytes(column)
