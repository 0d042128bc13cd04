"""The unique index over event ids that DEDUPLICATE needs: creating it, finding it, querying it.

It compares ids byte by byte, though the column's collation does not: `E1`, `e1` and `e1 ` are three
events. So its key is the bytes of the id in UTF-8, whatever the column's character set is. MySQL
has such a key as an expression of the index, MariaDB as an invisible virtual column.
"""

from collections.abc import Collection
from itertools import groupby

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from db.engine import is_mariadb
from db.errors import classified
from db.sales_tables import flash_sale_events
from models.printable import printable
from pipeline.errors import FatalError
from pipeline.stream import Stream

NAME = "uq_event_id"
DROP = f"ALTER TABLE {flash_sale_events.name} DROP INDEX {NAME}"

_TABLE = flash_sale_events.name
_COLUMN = flash_sale_events.c.event_id.name
_KEY_COLUMN = "event_key"


def _as_bytes(column: str) -> str:
    return f"CAST(CONVERT({column} USING utf8mb4) AS BINARY)"


_KEY = _as_bytes(_COLUMN)

#: Characters of the column at most: a key has 3072 bytes, and MySQL takes an expression of more
#: than 512 for a text, which is no key.
_LONGEST, _LONGEST_ON_MYSQL = 768, 128
#: Ids that stand more than once which are named, and rows named of each.
_EXAMPLES = 5
_ROWS = 5

#: The rows of the examples, a line each, and on each how many ids there are and how many rows too
#: many. Nothing is joined into one text: the server may cut that (`group_concat_max_len`).
_REPEATED = text(
    f"""
    WITH examples AS (
        SELECT *, COUNT(*) OVER () AS total, SUM(times - 1) OVER () AS more FROM (
            SELECT {_KEY} AS id_bytes, COUNT(*) AS times, MIN(id) AS first
            FROM {_TABLE} WHERE {_COLUMN} IS NOT NULL GROUP BY id_bytes HAVING COUNT(*) > 1
        ) AS repeated
        ORDER BY times DESC, first LIMIT {_EXAMPLES}
    ), numbered AS (
        SELECT examples.*, id, ROW_NUMBER() OVER (PARTITION BY id_bytes ORDER BY id) AS place
        FROM examples JOIN {_TABLE} ON {_KEY} = id_bytes
    )
    SELECT * FROM numbered WHERE place <= {_ROWS} ORDER BY times DESC, first, place
    """  # noqa: S608 - of names of our own
)

_MISSING = (
    f"DEDUPLICATE is true, but {_TABLE} has no unique index {NAME}: run `faust -A app migrate` "
    "with DEDUPLICATE=true, which makes it."
)

_DUPLICATE = 1062
_NO_INDEX = 1176
_TOO_LONG = f"its key is too long: run `ALTER TABLE {_TABLE} ROW_FORMAT=DYNAMIC` first"
#: What else a server may have against the index, and what to do then.
_REFUSALS = {
    1061: f"another index has the name {NAME}: rename or drop it",
    1071: _TOO_LONG,
    1709: _TOO_LONG,
    1142: "the account may not change the table: grant it ALTER and INDEX",
    1503: f"{_TABLE} is partitioned by another column: remove its partitions, or set "
    "DEDUPLICATE=false",
}


def exists(connection: Connection) -> bool:
    """Whether the index is there."""
    # MySQL names no column where a key is an expression.
    found = connection.scalar(
        text(
            "SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE()"
            " AND table_name = :table AND index_name = :index AND non_unique = 0"
            " AND COALESCE(column_name, :column) = :column"
        ),
        {"table": _TABLE, "index": NAME, "column": _KEY_COLUMN},
    )
    return bool(found)


def check(engine: Engine, wanted: bool) -> str | None:
    """Verify that the index exists if it is wanted; return a warning if it is not wanted.

    Args:
        engine: the database.
        wanted: the setting DEDUPLICATE.

    Raises:
        TransientError, FatalError: see ``pipeline.errors``.
    """
    with classified(), engine.connect() as connection:
        found = exists(connection)
    if wanted and not found:
        raise FatalError(_MISSING)
    if found and not wanted:
        return (
            f"{_TABLE} has the unique index {NAME}, but DEDUPLICATE is false, so that an event "
            f"with a known event_id becomes a dead letter: set DEDUPLICATE=true, or run `{DROP}`"
        )
    return None


def hold(connection: Connection) -> None:
    """Verify that the index is there, and keep it from being dropped until the transaction ends.

    To be called before the first savepoint: going back to one gives up what was held since.

    Args:
        connection: in a transaction.

    Raises:
        FatalError: it is not there.
        sqlalchemy.exc.DBAPIError: the server refused otherwise.
    """
    try:
        # Finds nothing, and looks nowhere: naming the index is enough.
        connection.exec_driver_sql(f"SELECT 1 FROM {_TABLE} USE INDEX ({NAME}) WHERE 1 = 0")  # noqa: S608
    except DBAPIError as error:
        if error.orig is not None and error.orig.args[0] == _NO_INDEX:
            raise FatalError(_MISSING) from error
        raise


def make(connection: Connection) -> bool:
    """Make the index if it is missing; return whether it was. May be run again.

    Args:
        connection: one that waits for an answer as long as it takes.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database is away.
        FatalError: ids stand more than once, or the server refuses it; nothing was changed.
    """
    if exists(connection):
        return False
    _add(connection)
    return True


def known(connection: Connection, stream: Stream, ids: Collection[bytes]) -> set[bytes]:
    """Those of the ids that rows have, also rows of this transaction.

    Args:
        connection: in a transaction that reads what is committed.
        stream: whose table has the index, over the stream's key.
        ids: in UTF-8; some thousand at most.
    """
    if not ids:
        return set()
    # An index over an expression is used where the same expression stands.
    key = _KEY_COLUMN if is_mariadb(connection) else _as_bytes(stream.key or "")
    literals = ",".join([f"X'{one.hex()}'" for one in ids])
    found = connection.exec_driver_sql(
        # Of hexadecimal digits and names of our own.
        f"SELECT {key} FROM {stream.table} FORCE INDEX ({NAME}) WHERE {key} IN ({literals})"  # noqa: S608
    )
    return set(found.scalars())


def is_duplicate(message: str) -> bool:
    """Whether a server's message on a duplicate entry (error 1062) is about this index."""
    # Newer versions of MySQL name the table as well. The entry itself stands before.
    return message.endswith((f"'{NAME}'", f".{NAME}'"))


def _add(connection: Connection) -> None:
    length = _length(connection)
    key = f"({_KEY})"
    if is_mariadb(connection):
        key = _KEY_COLUMN
        # By itself it takes no time.
        connection.exec_driver_sql(
            f"ALTER TABLE {_TABLE} ADD COLUMN IF NOT EXISTS {_KEY_COLUMN} VARBINARY({4 * length})"
            f" GENERATED ALWAYS AS ({_KEY}) VIRTUAL INVISIBLE"
        )
    try:
        # Others must not write meanwhile: on MariaDB 11.8 the index lacked rows written then.
        connection.exec_driver_sql(
            f"ALTER TABLE {_TABLE} ADD UNIQUE INDEX {NAME} ({key}), LOCK=SHARED"
        )
    except DBAPIError as error:
        if exists(connection):
            return  # another process has made it, behind a proxy that hides the lock
        code = error.orig.args[0] if error.orig and error.orig.args else None
        if is_mariadb(connection):
            connection.exec_driver_sql(f"ALTER TABLE {_TABLE} DROP COLUMN {_KEY_COLUMN}")
        if code == _DUPLICATE:
            raise FatalError(_duplicates(connection)) from error
        if code in _REFUSALS:
            raise FatalError(
                f"The index for DEDUPLICATE was not made: {_REFUSALS[code]}."
            ) from error
        raise


def _length(connection: Connection) -> int:
    """Characters of the column of ids."""
    kind, length, name = connection.execute(
        text(
            "SELECT data_type, character_maximum_length, column_type FROM"
            " information_schema.columns WHERE table_schema = DATABASE() AND table_name = :table"
            " AND column_name = :column"
        ),
        {"table": _TABLE, "column": _COLUMN},
    ).one()
    longest = _LONGEST if is_mariadb(connection) else _LONGEST_ON_MYSQL
    if kind != "varchar" or length > longest:
        declared = flash_sale_events.c.event_id.type.compile(connection.dialect)
        raise FatalError(
            f"{_TABLE}.{_COLUMN} is {name}, in which ids cannot be compared byte by byte: run "
            f"`ALTER TABLE {_TABLE} MODIFY {_COLUMN} {declared}` first, or set DEDUPLICATE=false."
        )
    return int(length)


def _duplicates(connection: Connection) -> str:
    """Which ids stand more than once, in words."""
    found = connection.execute(_REPEATED).all()
    if not found:
        return f"An event_id stood twice in {_TABLE}, and no longer does: run it again."
    examples = ""
    for id_bytes, rows in groupby(found, lambda row: row.id_bytes):
        [*same] = rows
        more = ", …" if same[0].times > _ROWS else ""
        ids = ", ".join(str(row.id) for row in same)
        examples += f"\n  '{printable(id_bytes)}': {same[0].times} rows, id {ids}{more}"
    return (
        f"The index for DEDUPLICATE was not made: {found[0].total} of the event ids in {_TABLE} "
        f"stand more than once, in {found[0].more} rows too many. Leave one row of each (a "
        "statement for it is in docs/database.md) and run this again, or set DEDUPLICATE=false. "
        f"For example:{examples}"
    )
