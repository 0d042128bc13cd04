"""Rows by ``INSERT … VALUES``: all of a statement or none, and splitting what was refused.

`executemany` escapes every value in Python, 10 to 20 µs a row. Here the text as a whole becomes
the VALUES of one insert: nearly always by replacing quotes and brackets. A row with an escape in
it is quoted by itself: its texts as hexadecimal literals with their character set, which mean the
same in every `sql_mode` and whatever a proxy makes of the session.
"""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from db.connection.session import fenced_sql
from db.write.id_keys import blames_id
from db.write.lines import runs
from db.write.transaction import Transaction
from pipeline.errors import RowError, TransientError
from pipeline.stream import Stream

#: What both servers say of a value that does not fit.
_AT_ROW = re.compile(r" at row (\d+)$")

_decode = msgspec.json.Decoder().decode


def insert_statement(stream: Stream, lines: bytes, session: int) -> str:
    """The statement that inserts lines of a chunk into its table, in this session only.

    Without parameters: a percent sign or a colon in it is only that.
    """
    return f"INSERT INTO {into(stream)} VALUES {fenced_values(lines, session)}"  # noqa: S608


def into(stream: Stream) -> str:
    """The stream's table and columns, all names of our own."""
    return f"{stream.table} ({', '.join(stream.columns)})"


def attempt(transaction: Transaction, lines: bytes) -> RowError | None:
    """Insert lines in one statement; if a row is refused, return its error and insert none.

    Raises:
        pymysql.err.MySQLError: the server refused more than a row.
    """
    statement = insert_statement(transaction.stream, lines, transaction.session)
    return transaction.attempt(statement)


def split(
    transaction: Transaction, lines: Sequence[bytes], error: RowError | None = None
) -> dict[int, str]:
    """Insert lines except those that are refused alone: nothing else gives up a row.

    A refused group is split around the row that the server names, or else in two. The name is no
    more than a hint: within a trigger it counts the rows of the trigger's own statements.

    Args:
        transaction: of the write.
        lines: a row each.
        error: of all of them together, where they were refused already.

    Returns:
        What the database says of each refused row, by its index.

    Raises:
        pymysql.err.MySQLError: the server refused more than a row.
        TransientError: a row was refused for the id that the server gave it.
    """
    refused: dict[int, str] = {}
    done = 0
    waiting = [lines]
    while waiting:
        group = waiting.pop()
        error = error or attempt(transaction, b"\n".join(group))
        if error is not None and len(group) > 1:
            waiting += reversed(_parts(group, error))
        else:
            if error is not None:
                if blames_id(transaction, str(error)):
                    raise TransientError(f"The server gave an id twice: {error}", "deadlock")
                refused[done] = str(error)
            done += len(group)
        error = None
    return refused


def _parts(group: Sequence[bytes], error: RowError) -> list[Sequence[bytes]]:
    found = _AT_ROW.search(str(error))
    named = int(found[1]) if found else 0
    if 0 < named <= len(group):
        parts = [group[: named - 1], group[named - 1 : named], group[named:]]
        return [part for part in parts if part]
    middle = len(group) // 2
    return [group[:middle], group[middle:]]


def fenced_values(lines: bytes, session: int, **failure: str) -> str:
    """As ``values``, the first row of which can be stored in this session only."""
    first, _, others = lines.partition(b"\n")
    literals = [literal(value) for value in _decode(first)]
    literals[0] = fenced_sql(session, literals[0], **failure)
    fenced = f"({','.join(literals)})"
    return f"{fenced},{values(others)}" if others else fenced


def values(lines: bytes) -> str:
    """Lines of JSON arrays as the rows of VALUES."""
    return ",".join(_escaped(run) if escaped else _quoted(run) for run, escaped in runs(lines))


def _quoted(lines: bytes) -> str:
    """Lines without a backslash: every double quote delimits a text, in every `sql_mode`."""
    text = lines.replace(b"'", b"''").replace(b'"', b"'").replace(b"]\n[", b"),(")
    return f"({text[1:-1].decode()})"


def _escaped(line: bytes) -> str:
    return f"({','.join(map(literal, _decode(line)))})"


def literal(value: Any) -> str:
    """A value as SQL that means the same in every ``sql_mode``."""
    if isinstance(value, str):
        return f"_utf8mb4 X'{value.encode().hex()}'"
    return "null" if value is None else repr(value)
