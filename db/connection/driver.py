"""PyMySQL, with three changes, which `install` makes for each process that makes an engine.

- cryptography is imported on first use. PyMySQL needs it only to encrypt a password for a MySQL
  server without TLS, and it takes 7 MB, a sixteenth of a worker.
- Connections that verify nothing do not load the system's CA certificates. PyMySQL loads them for
  each connection with opportunistic TLS, which blocks all threads for 70 ms and takes 1 MB.
- A server that asks for a file never gets one, only lines in memory that a statement of ours sends.

Written against PyMySQL 1.2.4: `tests/unit/test_private_names.py` fails if a replaced name is gone
or takes other arguments.
"""

import functools
import importlib
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

from config import tls

_OF_CRYPTOGRAPHY = "cryptography.hazmat.backends"


def _encrypt(*args: Any) -> Any:
    """In place of ``pymysql._auth.sha2_rsa_encrypt``, until it is called for the first time."""
    # Reloaded, the module finds cryptography and restores its own function.
    return importlib.reload(_auth).sha2_rsa_encrypt(*args)


if "pymysql" not in sys.modules:
    # None makes the import system report the module as missing.
    sys.modules[_OF_CRYPTOGRAPHY] = None  # type: ignore[assignment]
    try:
        importlib.import_module("pymysql._auth")
    finally:
        del sys.modules[_OF_CRYPTOGRAPHY]

from pymysql import _auth, connections, converters  # noqa: E402 - after the block above
from pymysql.constants import FIELD_TYPE  # noqa: E402
from pymysql.err import MySQLError, OperationalError  # noqa: E402

__all__ = ["CONVERSIONS", "MySQLError", "install", "send_lines"]

#: Bytes per packet: PyMySQL copies each, which costs page faults from ``pipeline.memory.LARGE`` on.
_PACKET = 120_000


def _moment(text: str) -> Any:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        # Such as zeros for a day that is none.
        return converters.convert_datetime(text)


#: PyMySQL's, but for times, which it takes 2 µs each to read: as long as a row's other columns.
CONVERSIONS: dict[Any, Any] = {
    **converters.conversions,
    FIELD_TYPE.DATETIME: _moment,
    FIELD_TYPE.TIMESTAMP: _moment,
}

_waiting: WeakKeyDictionary[Any, tuple[bytes, ...]] = WeakKeyDictionary()


@contextmanager
def send_lines(connection: Any, *lines: bytes) -> Iterator[None]:
    """Inside the block, the connection answers a request for a file with these lines.

    ``install`` must have been called.
    """
    _waiting[connection] = lines
    try:
        yield
    finally:
        _waiting.pop(connection, None)


def _send(name: str, connection: Any) -> None:
    """In place of ``pymysql.connections._send_local_file``."""
    lines = _waiting.pop(connection, None)
    if lines is None:
        raise OperationalError(2000, f"The server asked for the file {name!r}, which was refused.")
    for part in lines:
        for start in range(0, len(part), _PACKET):
            connection.write_packet(part[start : start + _PACKET])


_create_context = connections.Connection._create_ssl_ctx  # type: ignore[attr-defined]


def _context(connection: Any, options: Any) -> ssl.SSLContext:
    """In place of ``pymysql.connections.Connection._create_ssl_ctx``."""
    if options:
        context: ssl.SSLContext = _create_context(connection, options)
        return context
    return _unverified()


@functools.cache
def _unverified() -> ssl.SSLContext:
    return tls.client_context(verify=False)


def install() -> None:
    """Replace these functions of PyMySQL, for all of this process; a second call does nothing."""
    if not _auth._have_cryptography:  # type: ignore[attr-defined]
        _auth.sha2_rsa_encrypt = _encrypt  # type: ignore[assignment]
    connections._send_local_file = _send  # type: ignore[attr-defined]
    connections.Connection._create_ssl_ctx = _context  # type: ignore[attr-defined]
