"""Connections: every session speaks UTC and utf8mb4 and refuses what does not fit."""

import ssl
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL

import metrics

#: Seconds. A server that answers no more must not hold up a shutdown for long.
CONNECT_TIMEOUT = 5
IO_TIMEOUT = 30

_SESSION = (
    "SET SESSION time_zone = '+00:00',"
    # Without backslash escapes a JSON text is quoted by one replace instead of a table look-up.
    " sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,"
    "ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,NO_BACKSLASH_ESCAPES',"
    # A worker frozen inside a transaction must not keep its partitions' locks for hours.
    " wait_timeout = 30,"
    " innodb_lock_wait_timeout = 10"
)


def connect(url: URL, tls: ssl.SSLContext | None = None, pool_size: int = 3) -> Engine:
    """Build the engine; nothing is connected yet.

    Args:
        url: ``mysql+pymysql://…``.
        tls: what to connect with; None for TLS without verification, where the server offers it.
        pool_size: connections kept open at most.
    """
    engine = create_engine(
        url,
        pool_size=pool_size,
        pool_pre_ping=True,
        pool_recycle=1800,
        isolation_level="READ COMMITTED",
        hide_parameters=True,
        connect_args={
            "charset": "utf8mb4",
            "ssl": tls,
            "connect_timeout": CONNECT_TIMEOUT,
            "read_timeout": IO_TIMEOUT,
            "write_timeout": IO_TIMEOUT,
        },
    )
    event.listen(engine, "connect", _prepare_session)
    return engine


def _prepare_session(connection: Any, _record: Any) -> None:
    metrics.CONNECTIONS.inc()
    with connection.cursor() as cursor:
        cursor.execute(_SESSION)
