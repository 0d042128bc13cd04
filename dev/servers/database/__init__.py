"""Private database servers: own data, own port on 127.0.0.1, never the system's server or its data.

``SERVERS`` has the supported ones by name; the variable ``SERVER`` selects one.
"""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from dev.servers.database.installation import Installation, fetched, installed_mariadb
from dev.servers.database.mariadb import MariaDB
from dev.servers.database.mysql import MySQL
from dev.servers.database.server import DatabaseServer, SecretURL
from dev.servers.processes import StartError

__all__ = ["DEFAULT", "SERVERS", "DatabaseServer", "SecretURL", "chosen", "private_server"]

#: By name, where its files are; raises StartError where there are none.
SERVERS: dict[str, Callable[[], Installation]] = {
    "mariadb": installed_mariadb,
    "mariadb-10.11": partial(fetched, "mariadb-10.11", "usr/sbin/mariadbd"),
    "mariadb-11.8": partial(fetched, "mariadb-11.8", "usr/sbin/mariadbd"),
    "mysql-8.0.31": partial(fetched, "mysql-8.0.31", "bin/mysqld"),
    "mysql-9.7": partial(fetched, "mysql-9.7", "usr/sbin/mysqld"),
}
#: What demo, chaos and benchmarks run on unless SERVER names another.
DEFAULT = "mariadb"


def chosen() -> str | None:
    """The server that the variable ``SERVER`` names; None where it names none.

    Raises:
        StartError: there is no server of that name.
    """
    name = os.environ.get("SERVER") or None
    if name is not None and name not in SERVERS:
        raise StartError(f"SERVER is {name!r}: it must be one of {', '.join(SERVERS)}")
    return name


def private_server(folder: Path, name: str | None = None, **options: Any) -> DatabaseServer:
    """A server in a folder, not started yet.

    Args:
        folder: its data, log and password.
        name: one of ``SERVERS``; None for the selected one or the default.
        options: more arguments of ``DatabaseServer``.

    Raises:
        StartError: it is not installed.
    """
    name = name or chosen() or DEFAULT
    kind = MySQL if name.startswith("mysql") else MariaDB
    return kind(folder, SERVERS[name](), **options)
