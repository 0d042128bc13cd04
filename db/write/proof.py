"""What a lenient statement has stored: proven by counting, or undone.

`LOAD DATA LOCAL` and `INSERT IGNORE` store the rows they can. They leave out what breaks a CHECK or
a unique or foreign key, at no cost; but they also change values to make them fit. So what they did
counts only where

- rows stored + rows named as refused = rows given. Always counted: that there was no warning proves
  nothing, as some servers leave rows out without one;
- there is one warning for each row that is missing, all of kinds that leave a row out, and none
  besides, not even a note: then no value was changed;
- which rows are missing is read from the table: of the keys sent, those that are not there. Servers
  do not say it, or count lines in more than one way;
- no trigger ran. It may have hidden what happened to a row, or done something for a row that was
  left out.

All of it happens in the transaction of the write. Whatever is not proven is undone by a savepoint.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from db.connection.driver import MySQLError
from db.connection.engine import is_mariadb
from db.write.id_keys import blames_id
from db.write.lines import count
from db.write.transaction import Transaction

#: What says that a row was left out: duplicate entry, foreign key, no partition, CHECK.
LEFT_OUT = frozenset({1062, 1216, 1452, 1526, 1586, 1748, 3819, 4025})

#: Rows of a statement that may be missing: servers keep no more warnings than so many.
_MOST = 1_000

#: How a server counts what shows that triggers ran in a session: MariaDB their runs, MySQL from 9.1
#: on the tables with triggers that were opened to write.
_TRIGGERS = {
    True: (
        "SELECT CONNECTION_ID(), SUM(VARIABLE_VALUE) FROM information_schema.SESSION_STATUS"
        " WHERE VARIABLE_NAME = 'EXECUTED_TRIGGERS'"
    ),
    False: (
        "SELECT CONNECTION_ID(), SUM(VARIABLE_VALUE) FROM performance_schema.session_status WHERE"
        " VARIABLE_NAME IN ('Table_open_cache_triggers_hits', 'Table_open_cache_triggers_misses')"
    ),
}


class Unproven(Exception):  # noqa: N818 - not an error: another way stores these rows
    """Nobody knows what a statement stored, and it was undone.

    Args:
        reason: in words.
        share: of its lines that can be proven, where only their number was too large.
    """

    def __init__(self, reason: str, share: float = 0.0) -> None:
        super().__init__(reason)
        self.share = share


def can_prove(transaction: Transaction) -> bool:
    """Whether the server shows that triggers ran; asked once a session."""
    info = transaction.connection.info
    if "triggers" not in info:
        try:
            info["triggers"] = _triggers(transaction)
        except MySQLError:
            info["triggers"] = None
    return info["triggers"] is not None


def refused_rows(transaction: Transaction, lines: bytes) -> dict[int, str]:
    """What the last statement left out of these lines.

    Returns:
        What the server says of each missing row, by its index; empty where all are stored.

    Raises:
        Unproven: it cannot be said which rows are stored.
        pymysql.err.MySQLError: the server is gone.
    """
    stored, warnings = transaction.cursor.rowcount, transaction.cursor.warning_count
    missing = count(lines) - stored
    if missing != warnings or missing < 0:
        raise Unproven(f"{stored} of {count(lines)} rows stored, {warnings} warnings")
    if missing > _MOST:
        raise _too_many(missing, _MOST)
    refused = _named(transaction, lines, missing) if missing else {}
    info = transaction.connection.info
    before, info["triggers"] = info["triggers"], _triggers(transaction)
    if info["triggers"] != before:
        raise Unproven("a trigger ran")
    return refused


def _too_many(missing: int, named: int) -> Unproven:
    return Unproven(f"{missing} rows refused, {named} named", named / missing / 2)


def _named(transaction: Transaction, lines: bytes, missing: int) -> dict[int, str]:
    said = transaction.query("SHOW WARNINGS")
    if not all(code in LEFT_OUT for _, code, _ in said):
        raise Unproven("warnings of another kind")
    if len(said) != missing:
        raise _too_many(missing, len(said))
    if any(blames_id(transaction, message) for _, _, message in said):
        raise Unproven("the server gave an id twice")
    places = _missing(transaction, lines, count(lines) - missing)
    return {place: message for place, (_, _, message) in zip(places, said, strict=True)}


def _missing(transaction: Transaction, lines: bytes, stored: int) -> list[int]:
    """Which of the lines are not rows of the table, in order: the statement stored so many."""
    stream = transaction.stream
    if not stream.key:
        raise Unproven("nothing tells one row from another")
    keys: list[str] = stream.column(stream.key, lines)
    there = Counter(_keys_since_statement(transaction, stored)) if stored else Counter()
    there = Counter({key: there[key] for key in set(keys)})
    sent = Counter(keys)
    # Of two with the same key, nobody could tell which one is there.
    if there.total() != stored or any(0 < there[key] < sent[key] for key in sent):
        raise Unproven("the rows that are there are not told apart by their key")
    return [place for place, key in enumerate(keys) if not there[key]]


def _keys_since_statement(transaction: Transaction, stored: int) -> Iterable[Any]:
    [[first]] = transaction.query("SELECT LAST_INSERT_ID()")
    if not first:
        raise Unproven(f"the server did not number {stored} rows itself")
    stream = transaction.stream
    rows = transaction.query(f"SELECT {stream.key} FROM {stream.table} WHERE id >= {first}")  # noqa: S608
    return (key for (key,) in rows)


def _triggers(transaction: Transaction) -> int | None:
    [[session, found]] = transaction.query(_TRIGGERS[is_mariadb(transaction.connection)])
    return None if found is None or session != transaction.session else int(found)
