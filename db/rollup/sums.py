"""The statements that add rows to the sales sums.

Keys are bytes in the tables, and rows are grouped by bytes, because collations treat `E1` as `e1`
and ignore a trailing space. A subquery groups rows by keys no wider than necessary.
`SQL_BIG_RESULT` makes the server sort them; a hash of many keys would go to disk (*measured*:
three times as slow when every row has its own key).
"""

from collections.abc import Collection

from sqlalchemy import Connection, Table, TextClause, text

from db.connection.session import fenced_sql
from db.schema.sales_tables import (
    flash_sale_events,
    rollup_categories,
    rollup_minutes,
    rollup_products,
)
from models.funnel import NO_TIME, OTHERS, PURCHASE, STEPS

#: A range of rows. A locking read of it waits for inserts there (every server understands
#: `LOCK IN SHARE MODE`). The primary key is forced because an index added by someone else would be
#: read, and locked, beyond the range.
ROWS = f"{flash_sale_events.name} FORCE INDEX (PRIMARY) WHERE id > :last AND id <= :upto"

#: All sums.
TABLES = (rollup_minutes, rollup_products, rollup_categories)

#: Maximum characters of a key: a server compares only 1024 bytes when it sorts.
WIDEST = 255

#: The year 1970 as the server's `TO_SECONDS`, which accepts every type of time.
_EPOCH = 62_167_219_200

_TYPE = "CAST(event_type AS BINARY)"
_COLUMNS = [*dict.fromkeys(STEPS.values()), OTHERS]
_STEP = " ".join(
    ["CASE", _TYPE]
    + [f"WHEN '{name}' THEN {_COLUMNS.index(step)}" for name, step in STEPS.items()]
    + [f"ELSE {_COLUMNS.index(OTHERS)} END"]
)
_PURCHASES = _COLUMNS.index(STEPS[PURCHASE])


def _time(unit: str, seconds: int) -> str:
    """The time for a key that counts units of ``seconds`` seconds."""
    shifted = f"DATE '1970-01-01' + INTERVAL (k - {_EPOCH // seconds}) {unit}"
    return f"COALESCE({shifted}, '{NO_TIME}')"


def _key(column: str, *, wide: bool) -> str:
    """A text as UTF-8 bytes; if too wide, cut and completed by a digest of the whole text."""
    whole = f"CONVERT({column} USING utf8mb4)"
    if wide:
        cut = f"CONCAT(LEFT({whole}, {WIDEST - 40}), LEFT(SHA2({column}, 256), 40))"
        whole = f"IF(CHAR_LENGTH({column}) > {WIDEST}, {cut}, {whole})"
    return f"CAST({whole} AS BINARY)"


def _insert(table: Table, select: str) -> TextClause:
    """One statement that adds all sums of a range to those stored under the same keys."""
    names = [column.name for column in table.columns]
    sums = ", ".join(
        f"{column.name} = {table.name}.{column.name} + VALUES({column.name})"
        for column in table.columns
        if not column.primary_key
    )
    return text(
        f"INSERT INTO {table.name} ({', '.join(names)}) "
        f"SELECT SQL_BIG_RESULT {fenced_sql(':session', ':generation')}, {select} "
        f"ON DUPLICATE KEY UPDATE {sums}"
    )


_SUMS = "COALESCE(SUM(quantity), 0) AS units, COALESCE(SUM(revenue + 0E0), 0) AS revenue"
_COUNTS = ", ".join(f"SUM(IF(step = {place}, n, 0))" for place in range(len(_COLUMNS)))
_ADD_MINUTES = _insert(
    rollup_minutes,
    f"{_time('MINUTE', 60)}, {_COUNTS}, SUM(IF(step = {_PURCHASES}, units, 0)), "  # noqa: S608 - of texts of our own
    f"SUM(IF(step = {_PURCHASES}, revenue, 0)) "
    f"FROM (SELECT SQL_BIG_RESULT TO_SECONDS(ts) DIV 60 AS k, {_STEP} AS step, COUNT(*) AS n, "
    f"{_SUMS} FROM {ROWS} GROUP BY k, step) AS sums GROUP BY k",
)


def _add_purchases(table: Table, unit: str, seconds: int, *texts: str, wide: bool) -> TextClause:
    """Adds purchases to sums by time and these texts."""
    keys = ", ".join(f"{_key(text, wide=wide)} AS {text}_key" for text in texts)
    names = ", ".join(f"{text}_key" for text in texts)
    shown = ", ".join(f"COALESCE({text}_key, '')" for text in texts)
    return _insert(
        table,
        f"{_time(unit, seconds)}, {shown}, orders, units, revenue "  # noqa: S608
        f"FROM (SELECT SQL_BIG_RESULT TO_SECONDS(ts) DIV {seconds} AS k, {keys}, "
        f"COUNT(*) AS orders, {_SUMS} "
        f"FROM {ROWS} AND {_TYPE} = '{PURCHASE}' GROUP BY k, {names}) AS sums",
    )


#: By whether keys are wide.
_ADD_PRODUCTS, _ADD_CATEGORIES = (
    {wide: _add_purchases(*of, wide=wide) for wide in (False, True)}
    for of in (
        (rollup_products, "HOUR", 3600, "product_id", "category"),
        (rollup_categories, "MINUTE", 60, "category"),
    )
)
# Checked each time, because allowing for wide keys makes the statement half as slow again.
_IS_WIDE = text(
    "SELECT MAX(CHARACTER_MAXIMUM_LENGTH) > :widest FROM information_schema.COLUMNS "
    "WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = :events "
    "AND COLUMN_NAME IN ('product_id', 'category')"
).bindparams(widest=WIDEST, events=flash_sale_events.name)


def add_sums(
    connection: Connection,
    last: int,
    upto: int,
    generation: int,
    session: int,
    tables: Collection[Table] = TABLES,
) -> None:
    """Add the rows with ids in ``(last, upto]`` to the sums, inside the caller's transaction.

    Args:
        connection: in that transaction.
        last, upto: ids of rows.
        generation: of the sums.
        session: id of that transaction's session; in any other session the statements fail.
        tables: of the sums.

    Raises:
        sqlalchemy.exc.DBAPIError: the server refused; the transaction must be rolled back.
    """
    given = {"last": last, "upto": upto, "generation": generation, "session": session}
    wide = bool(connection.scalar(_IS_WIDE))
    for table, statement in (
        (rollup_minutes, _ADD_MINUTES),
        (rollup_products, _ADD_PRODUCTS[wide]),
        (rollup_categories, _ADD_CATEGORIES[wide]),
    ):
        if table in tables:
            connection.execute(statement, given)
