"""Sales sums, moved in the transaction that stores their rows.

A sum is split into shards, and a writer adds to the shard of its lowest partition: that
partition's offset is locked by its transaction already, so that no two writers of a group meet
at the same row. The views add the shards up.
"""

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, Table, TextClause, text

from db.fence import fenced_sql
from db.tables import sales_by_minute, sales_by_product
from models.sales import Sales
from pipeline.chunk import Chunk

#: The shard of what no partition's lock covers: replayed dead letters, and rows from before.
NO_PARTITION = -1

_TEXT = "VARCHAR(1000) CHARACTER SET utf8mb4"
_JSON_TYPES = {
    "minute": "DATETIME",
    "hour": "DATETIME",
    "product_id": _TEXT,
    "category": _TEXT,
    "revenue": "DOUBLE",
}


def add_sales(connection: Connection, chunks: Sequence[Chunk], shard: int, session: int) -> None:
    """Add what the chunks' rows amount to, inside the caller's transaction.

    Args:
        connection: in that transaction.
        chunks: whose rows.
        shard: where they are added.
        session: of that transaction; in any other one nothing is added.

    Raises:
        sqlalchemy.exc.DBAPIError: the server refused; the transaction must be rolled back.
    """
    sales = Sales()
    for chunk in chunks:
        sales.add(chunk.sales)
    for statement, rows in (
        (_ADD_MINUTES, sales.by_minute()),
        (_ADD_PRODUCTS, sales.by_product()),
    ):
        if rows:
            text_of_rows = msgspec.json.encode(rows).decode()
            given = {"rows": text_of_rows, "shard": shard, "session": session}
            connection.execute(statement, given)


def _add(table: Table) -> TextClause:
    """One statement for all rows, each added to what is there under its key."""
    given = [column for column in table.columns if column.name != "shard"]
    names = ", ".join(column.name for column in given)
    fields = ", ".join(
        f"{column.name} {_JSON_TYPES.get(column.name, 'BIGINT')} PATH '$.{column.name}' "
        f"ERROR ON ERROR"
        for column in given
    )
    sums = ", ".join(
        f"{column.name} = {table.name}.{column.name} + VALUES({column.name})"
        for column in given
        if not column.primary_key
    )
    return text(
        f"INSERT INTO {table.name} (shard, {names}) "  # noqa: S608 - names of our own
        f"SELECT {fenced_sql(':session', ':shard')}, {names} "
        f"FROM JSON_TABLE(:rows, '$[*]' COLUMNS ({fields})) AS r "
        f"ON DUPLICATE KEY UPDATE {sums}"
    )


_ADD_MINUTES = _add(sales_by_minute)
_ADD_PRODUCTS = _add(sales_by_product)
