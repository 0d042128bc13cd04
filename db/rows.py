"""The statements that store rows: a chunk's JSON text in, table rows out.

`executemany` escapes every value in Python, 10 to 20 µs a row. Here the text as a whole becomes
the VALUES of one insert: nearly always by replacing quotes and brackets. A row with an escape in
it is quoted by itself: its texts as hexadecimal literals with their character set, which mean the
same in every `sql_mode` and whatever a proxy makes of the session.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from db.fence import fenced_sql
from pipeline.chunk import Chunk
from pipeline.stream import Stream

#: Bytes of JSON in one statement: some thousand rows, enough to make its fixed cost vanish. On its
#: way to the server the text is copied several times, and one emoji makes its copies four times
#: as large. Far below the smallest `max_allowed_packet` in use.
STATEMENT_BYTES = 250_000

_decode = msgspec.json.Decoder().decode


def statements(chunks: Sequence[Chunk], limit: int) -> Iterator[bytes]:
    """The chunks' lines, in order, as many together as one statement may have."""
    return _joined(_pieces(chunks, limit), limit)


def insert_statement(stream: Stream, rows: bytes, session: int) -> str:
    """The statement that inserts lines of a chunk into its table, in this session only.

    Without parameters: a percent sign or a colon in it is only that.
    """
    return f"INSERT INTO {into(stream)} VALUES {_fenced_values(rows, session)}"  # noqa: S608


def into(stream: Stream) -> str:
    """The stream's table and columns, all names of our own."""
    return f"{stream.table} ({', '.join(stream.columns)})"


def _pieces(chunks: Sequence[Chunk], limit: int) -> Iterator[bytes]:
    """The chunks' lines, none of the pieces longer than the limit unless one line is."""
    for chunk in chunks:
        rows = chunk.rows
        while len(rows) > limit:
            cut = rows.rfind(b"\n", 0, limit)
            if cut < 0:
                cut = rows.find(b"\n")
            if cut < 0:
                break
            yield rows[:cut]
            rows = rows[cut + 1 :]
        if rows:
            yield rows


def _joined(pieces: Iterator[bytes], limit: int) -> Iterator[bytes]:
    waiting: list[bytes] = []
    size = 0
    for piece in pieces:
        if waiting and size + len(piece) > limit:
            yield b"\n".join(waiting)
            waiting, size = [], 0
        waiting.append(piece)
        size += len(piece)
    if waiting:
        yield b"\n".join(waiting)


def _fenced_values(rows: bytes, session: int) -> str:
    """As ``values``, the first row of which can be stored in this session only."""
    first, _, others = rows.partition(b"\n")
    literals = [literal(value) for value in _decode(first)]
    literals[0] = fenced_sql(session, literals[0])
    fenced = f"({','.join(literals)})"
    return f"{fenced},{values(others)}" if others else fenced


def values(rows: bytes) -> str:
    """Lines of JSON arrays as the rows of VALUES."""
    if b"\\" not in rows:
        return _quoted(rows)
    return ",".join(
        _escaped(line) if b"\\" in line else _quoted(line) for line in rows.split(b"\n")
    )


def _quoted(rows: bytes) -> str:
    """Lines without a backslash: every double quote delimits a text, in every `sql_mode`."""
    text = rows.replace(b"'", b"''").replace(b'"', b"'").replace(b"]\n[", b"),(")
    return f"({text[1:-1].decode()})"


def _escaped(line: bytes) -> str:
    return f"({','.join(map(literal, _decode(line)))})"


def literal(value: Any) -> str:
    """A value as SQL that means the same in every ``sql_mode``."""
    if isinstance(value, str):
        return f"_utf8mb4 X'{value.encode().hex()}'"
    return "null" if value is None else repr(value)
