"""The one statement that stores rows: JSON text in, table rows out.

`executemany` escapes every value in Python, 10 to 20 µs a row; here the server takes the rows
apart itself, from one text. Needs JSON_TABLE: MariaDB 10.6, MySQL 8.0.4.
"""

from collections.abc import Iterable, Iterator, Sequence

from sqlalchemy import Connection, column, insert, text

from db.tables import ROW_COLUMNS, flash_sale_events
from models.chunk import Chunk

#: Wider than the table's columns, so that it is the table that judges what fits; the character
#: set is named because the database's default would silently turn other characters into `?`.
_TEXT = "VARCHAR(1000) CHARACTER SET utf8mb4"
_JSON_TYPES = {"price": "DOUBLE", "quantity": "BIGINT", "revenue": "DOUBLE"}

_columns = ", ".join(
    f"{name} {_JSON_TYPES.get(name, _TEXT)} PATH '$[{position}]' ERROR ON ERROR"
    for position, name in enumerate(ROW_COLUMNS)
)
_select = text(
    # Built of column names of our own.
    f"SELECT {', '.join(ROW_COLUMNS)} FROM JSON_TABLE(:rows, '$[*]' COLUMNS ({_columns})) AS r"  # noqa: S608
).columns(*(column(name) for name in ROW_COLUMNS))

_INSERT = insert(flash_sale_events).from_select(list(ROW_COLUMNS), _select)

#: Bytes of JSON in one statement: some thousand rows, enough to make its fixed cost vanish. On its
#: way to the server the text is copied several times, and one emoji makes its copies four times
#: as large. Far below the smallest `max_allowed_packet` in use.
STATEMENT_BYTES = 500_000


def insert_rows(connection: Connection, chunks: Sequence[Chunk], limit: int) -> None:
    """Insert the valid rows of the chunks, in order, ``limit`` bytes of JSON a statement.

    Raises:
        sqlalchemy.exc.DBAPIError: the server refused; the transaction must be rolled back.
    """
    for rows in _statements((chunk for chunk in chunks if chunk.valid), limit):
        connection.execute(_INSERT, {"rows": f"[{rows.decode()}]"})


def _statements(chunks: Iterable[Chunk], limit: int) -> Iterator[bytes]:
    waiting: list[bytes] = []
    size = 0
    for chunk in chunks:
        for rows in _pieces(chunk, limit):
            if waiting and size + len(rows) > limit:
                yield b",".join(waiting)
                waiting, size = [], 0
            waiting.append(rows)
            size += len(rows)
    if waiting:
        yield b",".join(waiting)


def _pieces(chunk: Chunk, limit: int) -> Iterator[bytes]:
    if len(chunk.rows) <= limit or len(chunk.records) < 2:
        if chunk.valid:
            yield chunk.rows
        return
    for half in chunk.halves():
        yield from _pieces(half, limit)
