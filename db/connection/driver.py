"""PyMySQL, imported without cryptography, which is loaded when a server asks for it.

PyMySQL needs it to encrypt a password for a MySQL server that offers no TLS. Its import takes 7 MB,
a sixteenth of a worker.

Without the system's CA certificates on connections that verify nothing: PyMySQL loads them for each
connection that takes TLS only where it is offered. That blocks all threads for 70 ms, and takes
1 MB for as long as the connection is open.

And without the function that sends a server whatever file it asks for: what is sent are lines in
memory, and only where a statement of ours has them.
"""

import functools
import importlib
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from config import tls

_OF_CRYPTOGRAPHY = "cryptography.hazmat.backends"


def _encrypt(*args: Any) -> Any:
    """In place of ``pymysql._auth.sha2_rsa_encrypt``, until it is called for the first time."""
    # Loaded again, the module finds cryptography, and has its own function again.
    return importlib.reload(_auth).sha2_rsa_encrypt(*args)


if "pymysql" not in sys.modules:
    # To the import system, None means that there is no such module.
    sys.modules[_OF_CRYPTOGRAPHY] = None  # type: ignore[assignment]
    try:
        from pymysql import _auth
    finally:
        del sys.modules[_OF_CRYPTOGRAPHY]
    _auth.sha2_rsa_encrypt = _encrypt  # type: ignore[assignment]

from pymysql import connections  # noqa: E402 - behind what PyMySQL finds when it is imported
from pymysql.err import MySQLError, OperationalError  # noqa: E402

__all__ = ["MySQLError", "send_lines"]

#: Bytes of a packet: the server reads them one after the other.
_PACKET = 256 * 1024

_waiting: WeakKeyDictionary[Any, tuple[bytes, ...]] = WeakKeyDictionary()


@contextmanager
def send_lines(connection: Any, *lines: bytes) -> Iterator[None]:
    """Have the driver's connection send these when the server asks for a file, meanwhile."""
    _waiting[connection] = lines
    try:
        yield
    finally:
        _waiting.pop(connection, None)


def _send(name: str, connection: Any) -> None:
    """In place of ``pymysql.connections._send_local_file``."""
    lines = _waiting.pop(connection, None)
    if lines is None:
        raise OperationalError(2000, f"The server asked for the file {name!r}: it got none.")
    for part in lines:
        for start in range(0, len(part), _PACKET):
            connection.write_packet(part[start : start + _PACKET])


connections._send_local_file = _send  # type: ignore[attr-defined]

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


connections.Connection._create_ssl_ctx = _context  # type: ignore[attr-defined]
