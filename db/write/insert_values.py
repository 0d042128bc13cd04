"""Rows by ``INSERT … VALUES``: all of a statement or none, and splitting what was rejected.

`executemany` escapes every value in Python, 10 to 20 µs a row. Here the text as a whole becomes
the VALUES of one insert: nearly always by replacing quotes and brackets. A row with an escape in
it is quoted by itself: its texts as hexadecimal literals with their character set, which mean the
same in every `sql_mode` and whatever a proxy makes of the session.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from db.connection.driver import MySQLError
from db.connection.errors import classify
from db.connection.session import Transaction, fenced_sql
from pipeline.errors import RowError, TransientError
from pipeline.stream import Stream

#: What both servers say of a value that does not fit.
_AT_ROW = re.compile(r" at row (\d+)$")
#: What they say of a duplicate entry.
_KEY = re.compile(r"^Duplicate entry '.*' for key '(?:[^']*\.)?([^']+)'$", re.DOTALL)

_SINGLE_QUOTES = bytes.maketrans(b'"', b"'")

_decode = msgspec.json.Decoder().decode


def attempt(transaction: Transaction, lines: bytes) -> RowError | None:
    """Insert lines in one statement; if a row is rejected, return its error and insert none.

    Raises:
        pymysql.err.MySQLError: the server rejected more than a row, or is gone.
    """
    try:
        transaction.execute(insert_statement(transaction.stream, lines, transaction.session))
    except MySQLError as error:
        found = classify(error)
        if isinstance(found, RowError):
            return found
        raise
    return None


def split(transaction: Transaction, lines: bytes, error: RowError | None = None) -> dict[int, str]:
    """Insert lines except those that are rejected alone: nothing else gives up a row.

    A rejected group is split around the row that the server names, or else in two. The name is no
    more than a hint: within a trigger it counts the rows of the trigger's own statements.

    Args:
        transaction: of the write.
        lines: JSON arrays.
        error: of all of them together, where they were rejected already.

    Returns:
        What the database says of each rejected row, by its index.

    Raises:
        pymysql.err.MySQLError: the server rejected more than a row, or is gone.
        TransientError: a row was rejected for the id that the server gave it.
    """
    refused: dict[int, str] = {}
    done = 0
    waiting: list[Sequence[bytes]] = [lines.split(b"\n")]
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


def blames_id(transaction: Transaction, message: str) -> bool:
    """Whether what the database says of a rejected row is about its id, which is no row's fault.

    With `innodb_autoinc_lock_mode = 2`, MySQL's default, a load takes its ids in ranges, between
    which other writers take theirs. If a row is rejected where a range ends, the server gives the
    next row an id that follows the range before, and so one that another writer has; and that same
    id to all rows behind it (*seen* on MySQL 9.7).

    Raises:
        pymysql.err.MySQLError: the server is gone.
    """
    found = _KEY.match(message)
    return found is not None and found[1] in transaction.once(_keys_of_id)


def _keys_of_id(transaction: Transaction) -> set[str]:
    names = transaction.execute(
        "SELECT INDEX_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE()"  # noqa: S608
        f" AND TABLE_NAME = '{transaction.stream.table}' AND COLUMN_NAME = 'id' AND NON_UNIQUE = 0"
    )
    return {name for (name,) in names}


def insert_statement(stream: Stream, lines: bytes, session: int, *, lenient: bool = False) -> bytes:
    """The statement, in UTF-8, that inserts lines of a chunk into its table, in this session only.

    Without parameters: a percent sign or a colon in it is only that.

    Args:
        stream: whose table; all names are our own.
        lines: JSON arrays.
        session: the first row can be stored in this one only.
        lenient: whether the statement stores what it can, or all rows or none.
    """
    first, _, others = lines.partition(b"\n")
    literals = [_literal(value) for value in _decode(first)]
    literals[0] = fenced_sql(session, literals[0], lenient=lenient)
    rows = [f"({','.join(literals)})".encode()]
    if others:
        rows += [_escaped(run) if escaped else _quoted(run) for run, escaped in runs(others)]
    table = f"{stream.table} ({', '.join(stream.columns)})"
    head = f"INSERT {'IGNORE ' if lenient else ''}INTO {table} VALUES "  # noqa: S608
    return head.encode() + b",".join(rows)


def runs(lines: bytes) -> Iterator[tuple[bytes, bool]]:
    """The lines in order: those with a backslash one by one, all between two of them together.

    Yields:
        Lines, and whether there is a backslash in them.
    """
    start = 0
    while (at := lines.find(b"\\", start)) >= 0:
        begin = max(start, lines.rfind(b"\n", start, at) + 1)
        if begin > start:
            yield lines[start : begin - 1], False
        end = lines.find(b"\n", at)
        if end < 0:
            yield lines[begin:], True
            return
        yield lines[begin:end], True
        start = end + 1
    yield lines[start:], False


def _quoted(lines: bytes) -> bytes:
    """Lines without a backslash: every double quote delimits a text, in every `sql_mode`."""
    text = lines.replace(b"'", b"''").translate(_SINGLE_QUOTES).replace(b"]\n[", b"),(")
    return b"(%b)" % text[1:-1]


def _escaped(line: bytes) -> bytes:
    return f"({','.join(map(_literal, _decode(line)))})".encode()


def _literal(value: Any) -> str:
    """A value as SQL that means the same in every ``sql_mode``."""
    if isinstance(value, str):
        return f"_utf8mb4 X'{value.encode().hex()}'"
    return "null" if value is None else repr(value)
