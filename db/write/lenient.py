"""Rows by `LOAD DATA LOCAL` and `INSERT IGNORE`, which store what they can: proven, or undone.

A load takes a chunk's JSON lines as they are, no SQL to be made and parsed. It costs the server
half to two thirds of what an insert costs, and the worker less than half. A server may ask its
client for any file. This client sends nothing but the lines in hand.

Both ways skip what breaks a CHECK or a unique or foreign key, at no cost; but they also change
values to make them fit. So what they did counts only where

- rows stored + rows named as rejected = rows given. Always counted: that there was no warning
  proves nothing, as some servers skip rows without one;
- there is one warning for each row that is missing, all of kinds that skip a row, and none besides,
  not even a note: then no value was changed;
- which rows are missing is read from the table: of the keys sent, those that are not there. Servers
  do not say it, or count lines in more than one way;
- no trigger ran. It may have hidden what happened to a row, or done something for one skipped.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import msgspec

from db.connection.driver import MySQLError, send_lines
from db.connection.errors import classify
from db.connection.session import Transaction, fenced_sql
from db.write.insert_values import blames_id, insert_statement, runs
from pipeline.errors import RowError
from pipeline.stream import Stream

#: What says that a row was skipped: duplicate entry, foreign key, no partition, CHECK.
_SKIPPED = frozenset({1062, 1216, 1452, 1526, 1586, 1748, 3819, 4025})

#: Kinds of errors after which another way may store the rows.
_OTHERS = ("other", "cluster")
#: Rows of a statement that may be missing: servers keep no more warnings than so many.
_MOST = 1_000

_LOAD = """\
LOAD DATA LOCAL INFILE 'lines' INTO TABLE {table} CHARACTER SET utf8mb4
FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '"' ESCAPED BY X'5C'
LINES STARTING BY '[' TERMINATED BY ']\n'
({columns}) SET {first} = {fence}"""

#: What keeps a server from taking lines; a Galera node that splits a load commits the parts.
_OBSTACLES = (
    "SHOW SESSION VARIABLES WHERE Variable_name = 'local_infile' AND Value = 'OFF'"
    " OR Variable_name = 'wsrep_load_data_splitting' AND Value = 'ON'"
)
#: What shows that triggers ran in a session: MariaDB counts their runs, MySQL from 9.1 on the
#: tables with triggers that were opened to write. Each takes the other's table for a comment.
_TRIGGERS = (
    "SELECT CONNECTION_ID(), SUM(VARIABLE_VALUE) FROM"
    " /*M! information_schema.SESSION_STATUS */ /*!80000 performance_schema.session_status */"
    " WHERE VARIABLE_NAME IN ('Executed_triggers', 'Table_open_cache_triggers_hits',"
    " 'Table_open_cache_triggers_misses')"
)

_decode = msgspec.json.Decoder(list[Any]).decode

_NULL = re.compile(b"null")
#: What is escaped in a text.
_ESCAPED = re.compile(r'[\\"\n]')


class Unproven(Exception):  # noqa: N818 - not an error: another way stores these rows
    """Nobody knows what a statement would have stored, and it was undone.

    Args:
        reason: in words.
        share: of its lines that can be proven, where only their number was too large.
    """

    def __init__(self, reason: str, share: float = 0.0) -> None:
        super().__init__(reason)
        self.share = share


def store(
    transaction: Transaction, lines: bytes, send: Callable[[Transaction, bytes], None]
) -> dict[int, str]:
    """Store lines by ``load`` or ``ignore``.

    Returns:
        What the database says of each rejected row, by its index; the others are stored.

    Raises:
        Unproven: none is stored.
        pymysql.err.MySQLError: no way can store them now, or the server is gone.
        TransientError: the server has ended the transaction; nothing of it is stored.
    """
    if not can_prove(transaction):
        raise Unproven("the server does not count triggers")
    transaction.savepoint("before_statement")
    try:
        send(transaction, lines)
        return _refused(transaction, lines)
    except Unproven:
        transaction.rollback_to("before_statement")
        raise
    except MySQLError as error:
        found = classify(error)
        # A row's fault, or a server or proxy that takes no such statement, in whatever words.
        if not isinstance(found, RowError) and getattr(found, "kind", "") not in _OTHERS:
            raise
        transaction.rollback_to("before_statement")
        raise Unproven(str(error)) from error


def load(transaction: Transaction, lines: bytes) -> None:
    """Send lines to be loaded, in this session only."""
    text = loadable(lines)
    statement = load_statement(transaction.stream, transaction.session)
    with send_lines(transaction.cursor.connection, text, b"\n"):
        # The server asks for the lines, and then for nothing more.
        transaction.execute(statement, trips=2)


def ignore(transaction: Transaction, lines: bytes) -> None:
    """Insert lines by a statement that continues after a rejected row, in this session only."""
    stream, session = transaction.stream, transaction.session
    transaction.execute(insert_statement(stream, lines, session, lenient=True))


def can_load(transaction: Transaction) -> bool:
    """Whether the server takes lines, as far as it says."""
    with suppress(MySQLError):
        return not obstacles(transaction)
    return False


def obstacles(transaction: Transaction) -> dict[str, str]:
    """The server's variables for which it takes no lines, with their values.

    Raises:
        pymysql.err.MySQLError: the server refused the question, or is gone.
    """
    return dict(transaction.execute(_OBSTACLES))


def can_prove(transaction: Transaction) -> bool:
    """Whether the server shows that triggers ran; asked once a session."""
    info = transaction.connection.info
    if "triggers" not in info:
        info["triggers"] = None
        with suppress(MySQLError):
            info["triggers"] = _triggers(transaction)
    return info["triggers"] is not None


def _refused(transaction: Transaction, lines: bytes) -> dict[int, str]:
    """What the server says of each of the lines that the last statement skipped, by index."""
    stored, warnings = transaction.cursor.rowcount, transaction.cursor.warning_count
    given = lines.count(b"\n") + 1
    if given - stored != warnings:
        raise Unproven(f"{stored} of {given} rows stored, {warnings} warnings")
    if warnings > _MOST:
        raise _too_many(warnings, _MOST)
    refused = _named(transaction, lines, stored, warnings) if warnings else {}
    info = transaction.connection.info
    before, info["triggers"] = info["triggers"], _triggers(transaction)
    if info["triggers"] != before:
        raise Unproven("a trigger ran")
    return refused


def _too_many(missing: int, named: int) -> Unproven:
    return Unproven(f"{missing} rows rejected, {named} named", named / missing / 2)


def _named(transaction: Transaction, lines: bytes, stored: int, missing: int) -> dict[int, str]:
    said = transaction.execute("SHOW WARNINGS")
    if not all(code in _SKIPPED for _, code, _ in said):
        raise Unproven("warnings of another kind")
    if len(said) != missing:
        raise _too_many(missing, len(said))
    if any(blames_id(transaction, message) for _, _, message in said):
        raise Unproven("the server gave an id twice")
    places = _missing(transaction, lines, stored)
    return {place: message for place, (_, _, message) in zip(places, said, strict=True)}


def _missing(transaction: Transaction, lines: bytes, stored: int) -> list[int]:
    """Which of the lines are not rows of the table, in order: the statement stored so many."""
    stream = transaction.stream
    if not stream.key:
        raise Unproven("nothing tells one row from another")
    keys: list[str] = stream.column(stream.key, lines)
    sent = Counter(keys)
    there = Counter(key for key in _new_keys(transaction, stored) if key in sent)
    # Of two with the same key, nobody could tell which one is there.
    if there.total() != stored or any(0 < there[key] < sent[key] for key in sent):
        raise Unproven("the rows that are there are not told apart by their key")
    return [place for place, key in enumerate(keys) if not there[key]]


def _new_keys(transaction: Transaction, stored: int) -> Iterator[str]:
    """The keys of the last statement's rows, and maybe of other writers' since then."""
    if not stored:
        return
    [[first]] = transaction.execute("SELECT LAST_INSERT_ID()")
    if not first:
        raise Unproven(f"the server did not number {stored} rows itself")
    stream = transaction.stream
    sql = f"SELECT {stream.key} FROM {stream.table} WHERE id >= {first}"  # noqa: S608
    yield from (key for (key,) in transaction.execute(sql))


def _triggers(transaction: Transaction) -> int | None:
    [[session, found]] = transaction.execute(_TRIGGERS)
    return None if found is None or session != transaction.session else int(found)


def load_statement(stream: Stream, session: int) -> str:
    """The statement that loads the lines sent with it, in this session only."""
    first = stream.columns[0]
    return _LOAD.format(
        table=stream.table,
        columns=", ".join(stream.columns),
        first=first,
        fence=fenced_sql(session, first, lenient=True),
    )


def loadable(lines: bytes) -> bytes:
    """Lines of JSON arrays as a load reads them.

    It knows NULL in capital letters only, and of JSON's escapes neither ``\\u`` nor ``\\f``.
    """
    if b"\\" not in lines:
        return _capital_nulls(lines)
    if b"null" not in lines and b"\\u" not in lines and b"\\f" not in lines:
        return lines
    return b"\n".join(
        _respelled(run) if escaped else _capital_nulls(run) for run, escaped in runs(lines)
    )


def _capital_nulls(lines: bytes) -> bytes:
    def capital(found: re.Match[bytes]) -> bytes:
        # Without a backslash every quote delimits a text.
        line = lines.rfind(b"\n", 0, found.start()) + 1
        return b"null" if lines.count(b'"', line, found.start()) % 2 else b"NULL"

    return _NULL.sub(capital, lines)


def _respelled(line: bytes) -> bytes:
    return f"[{','.join(map(_field, _decode(line)))}]".encode()


def _field(value: Any) -> str:
    if isinstance(value, str):
        return f'"{_ESCAPED.sub(_escape, value)}"'
    return "NULL" if value is None else repr(value)


def _escape(found: re.Match[str]) -> str:
    return "\\n" if found[0] == "\n" else f"\\{found[0]}"
