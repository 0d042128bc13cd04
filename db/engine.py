"""Connections: every session speaks UTC and utf8mb4 and refuses what does not fit."""

import ssl
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL

from db.pool import spare_round_trips
from pipeline import metrics

#: Seconds. A server that answers no more must not hold up a shutdown for long.
CONNECT_TIMEOUT = 5
IO_TIMEOUT = 30

#: Connections of a process at most. At once need one each: the write, the roll-up, the page reports
#: (one query at a time), start offsets, the watch, and brief queries besides. Nothing that has one
#: waits for a second, so there is no deadlock.
POOL_SIZE = 6
#: Seconds to wait for a connection while all are in use.
POOL_TIMEOUT = 10

#: Seconds that a statement waits for a lock.
LOCK_WAIT_TIMEOUT = 10

_SESSION = (
    "SET SESSION time_zone = '+00:00',"
    # Without backslash escapes a JSON text is quoted by one replace instead of a table look-up.
    " sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,"
    "ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,NO_BACKSLASH_ESCAPES',"
    # A worker frozen inside a transaction must not keep its partitions' locks for hours.
    " wait_timeout = 30,"
    # Nor one frozen while it sends lines those of the table, for which all others wait.
    " net_read_timeout = 10,"
    # The text of an error says which key and which row it is about.
    " lc_messages = 'en_US',"
    # Enough warnings for every row of a statement; the default is 64.
    " max_error_count = 65535,"
    f" innodb_lock_wait_timeout = {LOCK_WAIT_TIMEOUT}"
)


def connect(
    url: URL,
    tls: ssl.SSLContext | None = None,
    pool_size: int = POOL_SIZE,
    io_timeout: int = IO_TIMEOUT,
) -> Engine:
    """Build the engine; nothing is connected yet.

    Args:
        url: ``mysql+pymysql://…``.
        tls: what to connect with; None for TLS without verification, where the server offers it.
        pool_size: connections open at most.
        io_timeout: seconds without an answer after which a connection is given up.
    """
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT,
        pool_reset_on_return=None,
        pool_recycle=1800,
        isolation_level="READ COMMITTED",
        hide_parameters=True,
        connect_args={
            "charset": "utf8mb4",
            # For lines in memory; no file is ever sent (db.driver).
            "local_infile": True,
            "ssl": tls,
            "connect_timeout": CONNECT_TIMEOUT,
            "read_timeout": io_timeout,
            "write_timeout": io_timeout,
        },
    )
    event.listen(engine, "connect", _prepare_session)
    spare_round_trips(engine)
    return engine


def _prepare_session(connection: Any, _record: Any) -> None:
    metrics.CONNECTIONS.inc()
    with connection.cursor() as cursor:
        cursor.execute(_SESSION)


def is_mariadb(connection: Connection) -> bool:
    """Whether the server is MariaDB, and not MySQL."""
    return bool(getattr(connection.dialect, "is_mariadb", False))
