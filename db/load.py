"""Rows by ``LOAD DATA LOCAL``: a chunk's JSON lines as they are, no SQL to be made and parsed.

It costs the server two thirds of what an insert costs, and the worker less than half. But the
server stores what it can, leaves out or changes what does not fit, and mentions it in warnings.
Which rows they are about it does not say reliably. So only a statement counts that stored every
line, without a warning. A trigger could hide what happened to a row: where one ran, nothing counts.
The caller undoes that, and inserts the rows with other statements.

A server may ask its client for any file. This client sends nothing but the lines in hand.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from sqlalchemy import Connection

from db.driver import MySQLError, send_lines
from db.engine import is_mariadb
from db.fence import fenced_sql
from pipeline.stream import Stream

#: Bytes of lines in one statement: each is a sign of life to those who watch the worker.
LOAD_BYTES = 1_000_000

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

_TRIGGERS = """\
SELECT COALESCE((SELECT VARIABLE_VALUE FROM information_schema.SESSION_STATUS
WHERE VARIABLE_NAME = 'EXECUTED_TRIGGERS'), 1) <> 0"""

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
) -> bool:
    """Load the lines of a write.

    Args:
        connection: in the transaction of the write; ``can_load``.
        cursor: the driver's, of this connection.
        stream: whose rows.
        pieces: the lines, a statement each.
        session: of that transaction; in any other one nothing is stored.
        alive: called after each statement.

    Returns:
        Whether each line is stored as it is; if not, what was stored must be undone.

    Raises:
        pymysql.err.MySQLError: the server refused a statement; undo it as well.
    """
    statement = load_statement(stream, session)
    for lines in pieces:
        try:
            with send_lines(cursor.connection, loadable(lines), b"\n"):
                cursor.execute(statement)
        except MySQLError as error:
            if error.args[:1] and error.args[0] in _NOT_TAKEN:
                connection.info["can_load"] = False
                return False
            raise
        finally:
            alive()
        if cursor.warning_count or cursor.rowcount != lines.count(b"\n") + 1:
            return False
    cursor.execute(_TRIGGERS)
    [triggered] = cursor.fetchone()
    return not triggered


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
