"""Rows by ``LOAD DATA LOCAL``: a chunk's JSON lines as they are, no SQL to be made and parsed.

It costs the server two thirds of what an insert costs, and the worker less than half. But the
server stores what it can, leaves out or changes what does not fit, and mentions it in warnings. So
only what is proven counts:

- every line is a row, and there was no warning; or for each line that is missing there is one, of a
  kind that left a row out, and no row that is there has the key of one of these lines. The last is
  asked of the table, because servers count lines in more than one way;
- no trigger ran, which could hide what happened to a row.

The caller undoes all else, and inserts the rows with other statements.

A server may ask its client for any file. This client sends nothing but the lines in hand.
"""

import re
from collections.abc import Callable, Collection, Iterator
from typing import Any

import msgspec
from sqlalchemy import Connection

from db.driver import MySQLError, send_lines
from db.engine import is_mariadb
from db.fence import fenced_sql
from db.left_out import (
    DECLARE_CONDITIONS,
    READ_CONDITIONS,
    TRIGGERS_RAN,
    can_name_rows,
    conditions,
)
from db.rows import literal
from pipeline.stream import Stream

#: Bytes of lines in one statement: at first, at least and at most.
LOAD_BYTES, LEAST_BYTES, MOST_BYTES = 1_000_000, 250_000, 4_000_000
#: Seconds that a statement should take: each is a sign of life to those who watch the worker.
LOAD_SECONDS = 0.5

#: A server, or a proxy before it, that takes no such statement.
_NOT_TAKEN = {1047, 1148, 1235, 3948, 4166}

_TAKES_IT = """\
SELECT @@GLOBAL.local_infile = 1 AND NOT EXISTS (
  SELECT 1 FROM information_schema.SESSION_VARIABLES
  WHERE VARIABLE_NAME = 'WSREP_LOAD_DATA_SPLITTING' AND VARIABLE_VALUE = 'ON')"""

_STATEMENT = """\
LOAD DATA LOCAL INFILE 'lines' INTO TABLE {table} CHARACTER SET utf8mb4
FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '"' ESCAPED BY X'5C'
LINES STARTING BY '[' TERMINATED BY ']\n'
({columns}) SET {first} = {fence}"""

#: What it says of up to so many refused rows: naming one takes the longer the more there are. So
#: a statement should have no more than a few.
NAMED, FEW_NAMED = 500, 60

#: A row that breaks a CHECK is not counted by the number that the server gives the next ones.
_CHECK = 4025

_CONDITIONS = f"""\
BEGIN NOT ATOMIC
{DECLARE_CONDITIONS}
{READ_CONDITIONS}
  SELECT found, others, LAST_INSERT_ID();
END"""

_decode = msgspec.json.Decoder(list[Any]).decode

#: What is escaped in a text.
_ESCAPED = re.compile(r'[\\"\n]')


def can_load(connection: Connection) -> bool:
    """Whether the server takes lines, and can tell whether triggers ran; asked once a session."""
    known = connection.info.get("can_load")
    if known is None:
        known = is_mariadb(connection) and bool(connection.exec_driver_sql(_TAKES_IT).scalar())
        connection.info["can_load"] = known
    return bool(known)


def load(
    connection: Connection,
    cursor: Any,
    stream: Stream,
    pieces: Iterator[bytes],
    session: int,
    alive: Callable[[], None],
) -> dict[int, str] | None:
    """Load the lines of a write.

    Args:
        connection: in the transaction of the write; ``can_load``.
        cursor: the driver's, of this connection.
        stream: whose rows.
        pieces: the lines, a statement each.
        session: of that transaction; in any other one nothing is stored.
        alive: called after each statement.

    Returns:
        What the database says of its refused rows, by the row's index; None where it is not proven
        what is stored: that must be undone.

    Raises:
        pymysql.err.MySQLError: the server refused a statement; undo it as well.
    """
    statement = load_statement(stream, session)
    refused: dict[int, str] = {}
    before = 0
    for lines in pieces:
        count = lines.count(b"\n") + 1
        try:
            with send_lines(cursor.connection, loadable(lines), b"\n"):
                cursor.execute(statement)
            found = _refused(connection, cursor, stream, lines, count)
        except MySQLError as error:
            if error.args[:1] and error.args[0] in _NOT_TAKEN:
                connection.info["can_load"] = False
                return None
            raise
        finally:
            alive()
        if found is None:
            return None
        refused |= {before + row: message for row, message in found.items()}
        before += count
    cursor.execute(f"SELECT {TRIGGERS_RAN}")
    [triggered] = cursor.fetchone()
    return None if triggered else refused


def _refused(
    connection: Connection, cursor: Any, stream: Stream, lines: bytes, count: int
) -> dict[int, str] | None:
    """What the server says of the rows it did not load; None where that is not proven."""
    warnings = cursor.warning_count
    if cursor.rowcount + warnings != count or warnings > NAMED:
        return None
    if not warnings:
        return {}
    if not stream.key or not can_name_rows(connection):
        return None
    cursor.execute(_CONDITIONS)
    found, others, first = cursor.fetchone()
    refused: dict[int, str] = {}
    checks = 0
    for row, code, message in conditions(found):
        refused[row + checks] = message
        checks += code == _CHECK
    if others or len(refused) != warnings or not all(0 <= row < count for row in refused):
        return None
    return None if _any_stored(cursor, stream, lines, refused, first) else refused


def _any_stored(
    cursor: Any, stream: Stream, lines: bytes, rows: Collection[int], first: int
) -> bool:
    """Whether a row of this statement, the first of which has that id, has the key of one of these.

    Of an id that was not given by the server nothing is known: then it is taken for stored.
    """
    if not first:
        return True
    place = stream.columns.index(stream.key or "")
    of_lines = lines.split(b"\n")
    keys = ", ".join(literal(_decode(of_lines[row])[place]) for row in rows)
    cursor.execute(
        f"SELECT EXISTS (SELECT 1 FROM {stream.table} "  # noqa: S608 - names of our own
        f"WHERE id >= {first} AND {stream.key} IN ({keys}))"
    )
    [found] = cursor.fetchone()
    return bool(found)


def load_statement(stream: Stream, session: int) -> str:
    """The statement that stores the lines sent with it, in this session only."""
    first = stream.columns[0]
    return _STATEMENT.format(
        table=stream.table,
        columns=", ".join(stream.columns),
        first=first,
        fence=fenced_sql(session, first),
    )


def loadable(lines: bytes) -> bytes:
    """Lines of JSON arrays as the statement reads them.

    It knows NULL in capital letters only, and of JSON's escapes neither ``\\u`` nor ``\\f``.
    """
    if b"\\" in lines and (b"\\u" in lines or b"\\f" in lines or b"null" in lines):
        return b"\n".join(
            _respelled(line) if b"\\" in line else loadable(line) for line in lines.split(b"\n")
        )
    if b"null" in lines:
        # Without a backslash every quote delimits a text. Outside of texts, there are only numbers.
        parts = lines.split(b'"')
        parts[::2] = map(bytes.upper, parts[::2])
        return b'"'.join(parts)
    return lines


def _respelled(line: bytes) -> bytes:
    return f"[{','.join(map(_field, _decode(line)))}]".encode()


def _field(value: Any) -> str:
    if isinstance(value, str):
        return f'"{_ESCAPED.sub(_escape, value)}"'
    return "NULL" if value is None else repr(value)


def _escape(found: re.Match[str]) -> str:
    return "\\n" if found[0] == "\n" else f"\\{found[0]}"
