"""Engines whose sessions use UTC, utf8mb4 and strict mode."""

import math
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL

from db.connection import driver, session_variables
from db.connection.driver import MySQLError
from db.connection.errors import classified
from db.connection.pool import spare_round_trips
from pipeline import metrics

#: Seconds. A server that stops answering must not delay a shutdown for long.
CONNECT_TIMEOUT = 5
IO_TIMEOUT = 30

#: Maximum connections of a process: for the write, the roll-up, start offsets and brief work.
#: Nothing takes a second connection while it has one, so there is no deadlock.
POOL_SIZE = 4
#: The same for queries: the database watch, heartbeats, the roll-up, and reports one at a time.
QUERY_POOL_SIZE = 3
#: Seconds to wait for a connection while all are in use.
POOL_TIMEOUT = 10
#: Seconds after which a connection is replaced: the address may point to another server by then.
RECYCLED = 3600

#: The URL and TLS context of a connection that is made now.
Newest = Callable[[], tuple[URL, ssl.SSLContext | None]]

#: Maximum seconds of a query: a day of sums may be millions of rows.
QUERY_TIME_LIMIT = 10.0


def connect(
    url: URL,
    tls: ssl.SSLContext | None = None,
    pool_size: int = POOL_SIZE,
    io_timeout: int = IO_TIMEOUT,
    newest: Newest | None = None,
) -> Engine:
    """Build the engine without connecting.

    Args:
        url: ``mysql+pymysql://…``.
        tls: the context; None for opportunistic TLS without verification.
        pool_size: maximum open connections.
        io_timeout: seconds without an answer until a connection is closed.
        newest: asked for user, password and TLS context at each connection; None if they stay.
    """
    return _engine(url, tls, pool_size, io_timeout, newest, autocommit=False)


def connect_for_queries(
    url: URL,
    tls: ssl.SSLContext | None = None,
    time_limit: float = QUERY_TIME_LIMIT,
    newest: Newest | None = None,
) -> Engine:
    """Build an engine in autocommit mode, with a time limit for each query.

    A query then takes one statement instead of three: some accounts have a limit per hour.

    Args:
        url: ``mysql+pymysql://…``.
        tls: as in ``connect``.
        time_limit: maximum seconds of a query.
        newest: as in ``connect``.
    """
    # The server ends a query that takes too long; one without any answer waits a bit longer.
    io_timeout = math.ceil(time_limit) + CONNECT_TIMEOUT
    engine = _engine(url, tls, QUERY_POOL_SIZE, io_timeout, newest, autocommit=True)

    def limit_time(connection: Any, _record: Any) -> None:
        # Each server reads its own variable and takes the other one for a comment.
        milliseconds = max(1, round(1000 * time_limit))
        with suppress(MySQLError), connection.cursor() as cursor:
            cursor.execute(
                f"SET SESSION /*M! max_statement_time = {time_limit:f} */"
                f" /*!80000 max_execution_time = {milliseconds} */"
            )

    event.listen(engine, "connect", limit_time)
    return engine


def _engine(
    url: URL,
    tls: ssl.SSLContext | None,
    pool_size: int,
    io_timeout: int,
    newest: Newest | None,
    *,
    autocommit: bool,
) -> Engine:
    driver.install()
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT,
        pool_reset_on_return=None,
        pool_recycle=RECYCLED,
        skip_autocommit_rollback=autocommit,
        hide_parameters=True,
        connect_args={
            **_login(url, tls),
            "charset": "utf8mb4",
            "conv": driver.CONVERSIONS,
            "autocommit": autocommit,
            # For lines in memory; files are never sent (db.connection.driver).
            "local_infile": True,
            "connect_timeout": CONNECT_TIMEOUT,
            "read_timeout": io_timeout,
            "write_timeout": io_timeout,
        },
    )
    if newest:

        def log_in(_dialect: Any, _record: Any, _args: Any, options: dict[str, Any]) -> None:
            options.update(_login(*newest()))

        event.listen(engine, "do_connect", log_in)
    # Before SQLAlchemy's own listener, which reads from the session how names are quoted.
    event.listen(engine, "connect", _prepare_session, insert=True)
    spare_round_trips(engine)
    return engine


def _login(url: URL, tls: ssl.SSLContext | None) -> dict[str, Any]:
    # As text, PyMySQL would send the password in Latin-1 and fail on other characters.
    return {"user": url.username, "password": str(url.password or "").encode(), "ssl": tls}


def _prepare_session(connection: Any, _record: Any) -> None:
    metrics.CONNECTIONS.inc()
    with connection.cursor() as cursor:
        session_variables.prepare(cursor)


def ping(engine: Engine) -> None:
    """Verify that the server answers. This does not count as a statement.

    Raises:
        TransientError, FatalError: see ``pipeline.errors``.
    """
    with classified(), engine.connect():
        pass  # the pool has pinged the connection, or used it a moment ago


def is_mariadb(connection: Connection) -> bool:
    """Whether the server is MariaDB rather than MySQL."""
    return bool(getattr(connection.dialect, "is_mariadb", False))


def server_version(engine: Engine) -> str:
    """Verify that the server answers; return its name and version. Blocking.

    Raises:
        TransientError, FatalError: see ``pipeline.errors``.
    """
    with classified(), engine.connect() as connection:
        version = str(connection.scalar(text("SELECT VERSION()")))
    return version if "MariaDB" in version else f"MySQL {version}"
