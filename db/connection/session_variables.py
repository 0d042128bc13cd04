"""What a session is set to when it is opened, so that it owes nothing to the server's globals.

An ordinary account may set each of these on every supported server: MySQL wants an administrator's
right for `max_error_count`, so only MariaDB is asked for that. Where a server or a proxy refuses
the statement all the same, they are set one by one, and only those that rows depend on must
succeed.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from db.connection.driver import MySQLError

#: Seconds that a statement waits for a lock.
LOCK_WAIT_TIMEOUT = 10

#: The largest value of `sql_select_limit`, which means no limit.
_ALL_ROWS = 2**64 - 1


class _Variable(NamedTuple):
    name: str
    value: str
    #: Whether rows would be stored otherwise without it.
    needed: bool = False


_VARIABLES = (
    # `ts` is a TIMESTAMP: the server converts what it is given from the session's zone.
    _Variable("time_zone", "'+00:00'", needed=True),
    # A value that does not fit is refused. Without backslash escapes a JSON text is quoted by one
    # replace instead of a table look-up. No ANSI_QUOTES: the dialect quotes names with backticks.
    _Variable(
        "sql_mode",
        "'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,"
        "ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,NO_BACKSLASH_ESCAPES'",
        needed=True,
    ),
    # InnoDB may skip a unique index without it, and so may a duplicate.
    _Variable("unique_checks", "1", needed=True),
    # A row that the owner's key refuses is refused.
    _Variable("foreign_key_checks", "1", needed=True),
    # CHAIN would begin a transaction with each COMMIT, RELEASE would end the connection.
    _Variable("completion_type", "'NO_CHAIN'", needed=True),
    # A query returns all its rows, however many it joins; an update needs no key in its WHERE.
    _Variable("sql_select_limit", str(_ALL_ROWS), needed=True),
    _Variable("sql_big_selects", "1"),
    _Variable("sql_safe_updates", "0"),
    # The roll-up sorts by keys of so many bytes, and must tell them apart to the last one.
    _Variable("max_sort_length", "1024", needed=True),
    # `WHERE id IS NULL` finds nothing.
    _Variable("sql_auto_is_null", "0"),
    # Notes count as warnings: what the server did to a row is proven by their number.
    _Variable("sql_notes", "1"),
    _Variable("group_concat_max_len", "1048576"),
    # A table that names no engine: Alembic's own.
    _Variable("default_storage_engine", "InnoDB"),
    # Migrations read columns from SHOW CREATE TABLE, where quotes tell names from words.
    _Variable("sql_quote_show_create", "1"),
    # The text of an error says which key and which row it is about.
    _Variable("lc_messages", "'en_US'"),
    # A worker frozen inside a transaction must not keep its partitions' locks for hours.
    _Variable("wait_timeout", "30"),
    # Nor one frozen while it sends lines those of the table, for which all others wait.
    _Variable("net_read_timeout", "10"),
    _Variable("innodb_lock_wait_timeout", str(LOCK_WAIT_TIMEOUT)),
)

_OF_MARIADB = (
    # A duplicate is never left out unmentioned.
    _Variable("old_mode", "''"),
    # A warning for every row of a statement; the default is 64.
    _Variable("max_error_count", "65535"),
    # A row that a CHECK refuses is refused.
    _Variable("check_constraint_checks", "1", needed=True),
    # What takes longer than the server likes would be ended again at each attempt.
    _Variable("max_statement_time", "0"),
    _Variable("idle_transaction_timeout", "0"),
    _Variable("idle_write_transaction_timeout", "0"),
    # A migration may copy a table where there is no other way.
    _Variable("alter_algorithm", "'DEFAULT'"),
)
_OF_MYSQL = (
    # As `max_statement_time`.
    _Variable("max_execution_time", "0"),
)

#: The server has no such variable, nor what it is about.
_UNKNOWN = 1193

#: Each statement locks what it reads and no gaps beside it, and may write.
_TRANSACTIONS = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE"


def prepare(cursor: Any) -> None:
    """Set a new session up.

    Args:
        cursor: the driver's, of a connection that was just opened.

    Raises:
        pymysql.err.MySQLError: the connection is gone, or the server refuses what rows depend on.
    """
    try:
        # What is not of the server at hand is a comment to it.
        cursor.execute(
            f"SET SESSION {_assignments(_VARIABLES)} /*M! , {_assignments(_OF_MARIADB)} */"
            f" /*!80000 , {_assignments(_OF_MYSQL)} */"
        )
    except MySQLError:
        for one in (*_VARIABLES, *_OF_MARIADB, *_OF_MYSQL):
            try:
                cursor.execute(f"SET SESSION {one.name} = {one.value}")
            except MySQLError as error:
                if one.needed and error.args[:1] != (_UNKNOWN,):
                    raise
    cursor.execute(_TRANSACTIONS)


def _assignments(variables: Iterable[_Variable]) -> str:
    return ", ".join(f"{one.name} = {one.value}" for one in variables)
