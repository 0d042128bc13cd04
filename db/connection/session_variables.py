"""The variables a new session sets, so that the server's global values do not matter.

On every supported server an ordinary account may set them; `max_error_count` is set on MariaDB
only, because MySQL requires an administrator for it. If a server or proxy refuses the statement,
the variables are set one by one, and only those that affect stored rows must succeed.
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
    #: Whether stored rows depend on it.
    needed: bool = False


_VARIABLES = (
    # `ts` is a TIMESTAMP: the server converts values from the session's time zone.
    _Variable("time_zone", "'+00:00'", needed=True),
    # Values that do not fit are rejected. Without backslash escapes, quoting a JSON text takes one
    # replace instead of a table look-up. No ANSI_QUOTES: the dialect quotes names with backticks.
    _Variable(
        "sql_mode",
        "'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,"
        "ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,NO_BACKSLASH_ESCAPES'",
        needed=True,
    ),
    # Without it InnoDB may skip a unique index and store a duplicate.
    _Variable("unique_checks", "1", needed=True),
    # Foreign keys are enforced.
    _Variable("foreign_key_checks", "1", needed=True),
    # CHAIN would begin a transaction with each COMMIT, RELEASE would end the connection.
    _Variable("completion_type", "'NO_CHAIN'", needed=True),
    # Queries return all rows and may join many; updates need no key in their WHERE.
    _Variable("sql_select_limit", str(_ALL_ROWS), needed=True),
    _Variable("sql_big_selects", "1"),
    _Variable("sql_safe_updates", "0"),
    # The roll-up sorts by keys of up to 1024 bytes, all of which must count.
    _Variable("max_sort_length", "1024", needed=True),
    # `WHERE id IS NULL` finds nothing.
    _Variable("sql_auto_is_null", "0"),
    # Notes count as warnings: their number proves what the server did to each row.
    _Variable("sql_notes", "1"),
    # For Alembic's table, which names no engine.
    _Variable("default_storage_engine", "InnoDB"),
    # Migrations parse SHOW CREATE TABLE and need quoted names.
    _Variable("sql_quote_show_create", "1"),
    # Error messages are parsed for the key and the row.
    _Variable("lc_messages", "'en_US'"),
    # A worker frozen inside a transaction must not hold its partitions' locks for hours.
    _Variable("wait_timeout", "30"),
    # A worker frozen while it sends lines must not hold the table's locks.
    _Variable("net_read_timeout", "10"),
    _Variable("innodb_lock_wait_timeout", str(LOCK_WAIT_TIMEOUT)),
)

_OF_MARIADB = (
    # The server always reports a skipped duplicate.
    _Variable("old_mode", "''"),
    # Keep a warning for every row of a statement; the default is 64.
    _Variable("max_error_count", "65535"),
    # CHECK constraints are enforced.
    _Variable("check_constraint_checks", "1", needed=True),
    # No time limits: a statement that exceeds one would fail again at each attempt.
    _Variable("max_statement_time", "0"),
    _Variable("idle_transaction_timeout", "0"),
    _Variable("idle_write_transaction_timeout", "0"),
    # A migration may copy a table if there is no other way.
    _Variable("alter_algorithm", "'DEFAULT'"),
)
_OF_MYSQL = (
    # As `max_statement_time`.
    _Variable("max_execution_time", "0"),
    # Tables' sizes as they are, not as of yesterday.
    _Variable("information_schema_stats_expiry", "0"),
)

#: The server has no such variable, nor the feature it controls.
_UNKNOWN = 1193

#: Statements lock the rows they read but no gaps between them, and may write.
_TRANSACTIONS = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE"


def prepare(cursor: Any) -> None:
    """Set a new session up.

    Args:
        cursor: the driver's, of a connection that was just opened.

    Raises:
        pymysql.err.MySQLError: the connection is gone, or the server refuses what rows depend on.
    """
    try:
        # Each server takes the other one's variables for a comment.
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
