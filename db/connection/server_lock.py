"""Locks by name that the server keeps for a session, and releases with it."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, text

#: Held while rows are purged, and while dead letters are replayed.
PURGE, REPLAY = "purge", "replay"

#: Contains the database's name, because locks are global to the server; up to 64 characters.
_NAME = "LEFT(CONCAT('flash-sale-etl ', :name, ' ', DATABASE()), 64)"
_GET, _RELEASE, _HOLDER = (
    text(f"SELECT {function}")
    for function in (
        f"GET_LOCK({_NAME}, 0)",
        f"RELEASE_LOCK({_NAME})",
        f"IS_USED_LOCK({_NAME})",
    )
)


@contextmanager
def server_lock(connection: Connection, name: str) -> Iterator[bool]:
    """Hold the lock while the block runs; the value says whether it could be had.

    Behind a proxy that shares sessions it may not work: what it guards must stay right without.

    Args:
        connection: of a session that is used at least every 30 s, else the server ends it.
        name: ``PURGE`` or ``REPLAY``.
    """
    had = bool(connection.scalar(_GET, {"name": name}))
    connection.rollback()
    try:
        yield had
    finally:
        if had and not connection.invalidated:
            connection.scalar(_RELEASE, {"name": name})
            connection.rollback()


def is_locked(connection: Connection, name: str) -> bool:
    """Whether a session holds the lock."""
    return connection.scalar(_HOLDER, {"name": name}) is not None
