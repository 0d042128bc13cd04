"""The unique index over event ids that DEDUPLICATE needs: checks for it and creates it."""

from itertools import groupby

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from db.connection.engine import is_mariadb
from db.connection.errors import classified
from db.schema.event_key import KEY_COLUMN, MISSING, NAME, as_bytes
from db.schema.sales_tables import flash_sale_events
from pipeline.errors import FatalError
from pipeline.printable import printable

DROP = f"ALTER TABLE {flash_sale_events.name} DROP INDEX {NAME}"

_TABLE = flash_sale_events.name
_COLUMN = flash_sale_events.c.event_id.name


_KEY = as_bytes(_COLUMN)

#: Maximum characters of the column: a key may have 3072 bytes, and MySQL treats an expression of
#: more than 512 bytes as a text, which cannot be a key.
_LONGEST, _LONGEST_ON_MYSQL = 768, 128
#: Repeated ids shown as examples, and rows shown of each.
_EXAMPLES = 5
_ROWS = 5

#: The examples, one row each, with the total of repeated ids and of surplus rows. No GROUP_CONCAT:
#: the server may cut its result (`group_concat_max_len`).
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

_DUPLICATE = 1062
_TOO_LONG = f"its key is too long: run `ALTER TABLE {_TABLE} ROW_FORMAT=DYNAMIC` first"
#: Other reasons why a server refuses the index, and what to do.
_REFUSALS = {
    1061: f"another index has the name {NAME}: rename or drop it",
    1071: _TOO_LONG,
    1709: _TOO_LONG,
    1142: "the account may not change the table: grant it ALTER and INDEX",
    1503: f"{_TABLE} is partitioned by another column: remove its partitions, or set "
    "DEDUPLICATE=false",
}


def exists(connection: Connection) -> bool:
    """Whether the index exists."""
    # MySQL names no column if the key is an expression.
    found = connection.scalar(
        text(
            "SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE()"
            " AND table_name = :table AND index_name = :index AND non_unique = 0"
            " AND COALESCE(column_name, :column) = :column"
        ),
        {"table": _TABLE, "index": NAME, "column": KEY_COLUMN},
    )
    return bool(found)


def check(engine: Engine, wanted: bool) -> str | None:
    """Verify that the index exists if wanted; return a warning if it exists but is not wanted.

    Args:
        engine: the database.
        wanted: the setting DEDUPLICATE.

    Raises:
        TransientError, FatalError: see ``pipeline.errors``.
    """
    with classified(), engine.connect() as connection:
        found = exists(connection)
    if wanted and not found:
        raise FatalError(MISSING.format(table=_TABLE))
    if found and not wanted:
        return (
            f"{_TABLE} has the unique index {NAME}, but DEDUPLICATE is false, so an event whose "
            f"event_id is already stored becomes a dead letter: set DEDUPLICATE=true, or run "
            f"`{DROP}`"
        )
    return None


def make(connection: Connection) -> bool:
    """Create the index if it is missing; return whether it was. Safe to run again.

    Args:
        connection: one with a long read timeout.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database is away.
        FatalError: ids are not unique, or the server refuses the index; nothing was changed.
    """
    if exists(connection):
        return False
    _add(connection)
    return True


def _add(connection: Connection) -> None:
    length = _length(connection)
    key = f"({_KEY})"
    if is_mariadb(connection):
        key = KEY_COLUMN
        # A virtual column is added instantly.
        connection.exec_driver_sql(
            f"ALTER TABLE {_TABLE} ADD COLUMN IF NOT EXISTS {KEY_COLUMN} VARBINARY({4 * length})"
            f" GENERATED ALWAYS AS ({_KEY}) VIRTUAL INVISIBLE"
        )
    try:
        # Block writes meanwhile: on MariaDB 11.8 the index lacked rows that were written then.
        connection.exec_driver_sql(
            f"ALTER TABLE {_TABLE} ADD UNIQUE INDEX {NAME} ({key}), LOCK=SHARED"
        )
    except DBAPIError as error:
        if exists(connection):
            return  # another process has created it, behind a proxy that hides the lock
        code = error.orig.args[0] if error.orig and error.orig.args else None
        if is_mariadb(connection):
            connection.exec_driver_sql(f"ALTER TABLE {_TABLE} DROP COLUMN {KEY_COLUMN}")
        if code == _DUPLICATE:
            raise FatalError(_duplicates(connection)) from error
        if code in _REFUSALS:
            raise FatalError(
                f"The index for DEDUPLICATE was not created: {_REFUSALS[code]}."
            ) from error
        raise


def _length(connection: Connection) -> int:
    """Characters of the ids' column."""
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
            f"{_TABLE}.{_COLUMN} is {name}, which cannot be indexed byte by byte: run "
            f"`ALTER TABLE {_TABLE} MODIFY {_COLUMN} {declared}` first, or set DEDUPLICATE=false."
        )
    return int(length)


def _duplicates(connection: Connection) -> str:
    """Which ids are not unique, in words."""
    found = connection.execute(_REPEATED).all()
    if not found:
        return f"The duplicate event_ids in {_TABLE} are gone: run `faust -A app migrate` again."
    examples = ""
    for id_bytes, rows in groupby(found, lambda row: row.id_bytes):
        [*same] = rows
        more = ", …" if same[0].times > _ROWS else ""
        ids = ", ".join(str(row.id) for row in same)
        examples += f"\n  '{printable(id_bytes)}': {same[0].times} rows, id {ids}{more}"
    return (
        f"The index for DEDUPLICATE was not created: {found[0].total} event ids in {_TABLE} are "
        f"not unique, with {found[0].more} surplus rows. Keep one row of each (a statement for it "
        "is in docs/database.md) and run this again, or set DEDUPLICATE=false. "
        f"For example:{examples}"
    )
