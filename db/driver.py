"""PyMySQL, imported without cryptography, which is loaded when a server asks for it.

PyMySQL needs it to encrypt a password for a MySQL server that offers no TLS. Its import takes 7 MB,
a sixteenth of a worker.
"""

import importlib
import sys
from typing import Any

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

from pymysql.err import MySQLError  # noqa: E402 - behind what PyMySQL finds when it is imported

__all__ = ["MySQLError"]
