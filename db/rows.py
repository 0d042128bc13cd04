"""The statements that store rows: JSON text of a chunk in, table rows out.

`executemany` escapes every value in Python, 10 to 20 µs a row. Here a chunk's JSON becomes SQL as
a whole: nearly always the VALUES of one insert, by replacing quotes and brackets; where a value
needs an escape, the text is a parameter, and the server takes it apart with JSON_TABLE, which costs
it half as much again. Needs MariaDB 10.6 or a MySQL 8.0 that keeps nulls.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

from sqlalchemy import Connection, column, insert, text

from db.tables import ROW_COLUMNS, flash_sale_events
from pipeline.chunk import Chunk

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

_INSERT_JSON = insert(flash_sale_events).from_select(list(ROW_COLUMNS), _select)

# Built of names of our own.
_INSERT_VALUES = f"INSERT INTO {flash_sale_events.name} ({', '.join(ROW_COLUMNS)}) VALUES "  # noqa: S608

#: Bytes of JSON in one statement: some thousand rows, enough to make its fixed cost vanish. On its
#: way to the server the text is copied several times, and one emoji makes its copies four times
#: as large. Far below the smallest `max_allowed_packet` in use.
STATEMENT_BYTES = 500_000


def insert_rows(connection: Connection, chunks: Sequence[Chunk], limit: int) -> None:
    """Insert the valid rows of the chunks, in order, ``limit`` bytes of JSON a statement.

    Raises:
        sqlalchemy.exc.DBAPIError: the server refused; the transaction must be rolled back.
    """
    pieces = [piece for chunk in chunks for piece in _pieces(chunk, limit)]
    for plain, alike in groupby(pieces, _is_plain):
        for rows in _joined(alike, limit):
            if plain:
                # No parameters: a percent sign or a colon in a value is only that.
                connection.exec_driver_sql(
                    _INSERT_VALUES + _values(rows), execution_options={"no_parameters": True}
                )
            else:
                connection.execute(_INSERT_JSON, {"rows": f"[{rows.decode()}]"})


def _is_plain(piece: Chunk) -> bool:
    """Whether there is no escape in the JSON, and brackets that part rows do nothing else.

    Then every double quote delimits a string, whatever the session's mode says of backslashes.
    """
    return b"\\" not in piece.rows and piece.rows.count(b"],[") == piece.valid - 1


def _values(rows: bytes) -> str:
    """Plain rows as SQL, quoted as the driver quotes where backslashes are letters."""
    quoted = rows.replace(b"'", b"''").replace(b'"', b"'").replace(b"],[", b"),(")
    return f"({quoted[1:-1].decode()})"


def _joined(pieces: Iterator[Chunk], limit: int) -> Iterator[bytes]:
    waiting: list[bytes] = []
    size = 0
    for piece in pieces:
        if waiting and size + len(piece.rows) > limit:
            yield b",".join(waiting)
            waiting, size = [], 0
        waiting.append(piece.rows)
        size += len(piece.rows)
    if waiting:
        yield b",".join(waiting)


def _pieces(chunk: Chunk, limit: int) -> Iterator[Chunk]:
    if len(chunk.rows) <= limit or len(chunk.records) < 2:
        if chunk.valid:
            yield chunk
        return
    for half in chunk.halves():
        yield from _pieces(half, limit)
