"""Rows by ``LOAD DATA LOCAL``: a chunk's JSON lines as they are, no SQL to be made and parsed.

It costs the server half to two thirds of what an insert costs, and the worker less than half. The
server stores what it can, leaves out or changes what does not fit, and mentions it in warnings. So
what it did counts only where `db.write.proof` proves it.

A server may ask its client for any file. This client sends nothing but the lines in hand.
"""

import re
from typing import Any

import msgspec

from db.connection.driver import MySQLError, send_lines
from db.connection.session import LENIENT_FAILURE, fenced_sql
from db.write.lines import runs
from db.write.transaction import Transaction
from pipeline.stream import Stream

_STATEMENT = """\
LOAD DATA LOCAL INFILE 'lines' INTO TABLE {table} CHARACTER SET utf8mb4
FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '"' ESCAPED BY X'5C'
LINES STARTING BY '[' TERMINATED BY ']\n'
({columns}) SET {first} = {fence}"""

#: What keeps a server from taking lines; a Galera node that splits a load commits the parts.
_OBSTACLES = (
    "SHOW SESSION VARIABLES WHERE Variable_name = 'local_infile' AND Value = 'OFF'"
    " OR Variable_name = 'wsrep_load_data_splitting' AND Value = 'ON'"
)

_decode = msgspec.json.Decoder(list[Any]).decode

#: What is escaped in a text.
_ESCAPED = re.compile(r'[\\"\n]')


def is_taken(transaction: Transaction) -> bool:
    """Whether the server takes lines; asked once a session."""
    info = transaction.connection.info
    if "load_data" not in info:
        try:
            info["load_data"] = not obstacles(transaction)
        except MySQLError:
            info["load_data"] = False
    return bool(info["load_data"])


def obstacles(transaction: Transaction) -> dict[str, str]:
    """The server's variables for which it takes no lines, with their values.

    Raises:
        pymysql.err.MySQLError: the server refused the question, or is gone.
    """
    return dict(transaction.query(_OBSTACLES))


def send(transaction: Transaction, lines: bytes) -> None:
    """Store lines, in this session only.

    Raises:
        pymysql.err.MySQLError: the server refused the statement, perhaps because it takes no lines.
    """
    statement = load_statement(transaction.stream, transaction.session)
    with send_lines(transaction.cursor.connection, loadable(lines), b"\n"):
        transaction.execute(statement)


def load_statement(stream: Stream, session: int) -> str:
    """The statement that stores the lines sent with it, in this session only."""
    first = stream.columns[0]
    return _STATEMENT.format(
        table=stream.table,
        columns=", ".join(stream.columns),
        first=first,
        fence=fenced_sql(session, first, failure=LENIENT_FAILURE),
    )


def loadable(lines: bytes) -> bytes:
    """Lines of JSON arrays as the statement reads them.

    It knows NULL in capital letters only, and of JSON's escapes neither ``\\u`` nor ``\\f``.
    """
    escaped = b"\\" in lines and (b"\\u" in lines or b"\\f" in lines)
    if not escaped and b"null" not in lines:
        return lines
    return b"\n".join(
        _respelled(run) if has_escape else _capital_nulls(run) for run, has_escape in runs(lines)
    )


def _capital_nulls(lines: bytes) -> bytes:
    if b"null" not in lines:
        return lines
    # Without a backslash every quote delimits a text. Outside of texts, there are only numbers.
    parts = lines.split(b'"')
    parts[::2] = map(bytes.upper, parts[::2])
    return b'"'.join(parts)


def _respelled(line: bytes) -> bytes:
    return f"[{','.join(map(_field, _decode(line)))}]".encode()


def _field(value: Any) -> str:
    if isinstance(value, str):
        return f'"{_ESCAPED.sub(_escape, value)}"'
    return "NULL" if value is None else repr(value)


def _escape(found: re.Match[str]) -> str:
    return "\\n" if found[0] == "\n" else f"\\{found[0]}"
