"""Which database servers a test runs on.

A test that uses the fixture ``server`` runs on MariaDB and on MySQL; one that uses a broker as well
runs on the first of them, unless it is marked ``each_server``. With ``SERVER`` set, all run on that
one alone.
"""

from collections.abc import Sequence

import pytest

from dev.database import DEFAULT, SERVERS, chosen
from dev.processes import StartError

each_server = pytest.mark.each_server
mariadb_only = pytest.mark.only_on("mariadb")
mysql_only = pytest.mark.only_on("mysql")

#: Those of `make test`, by what their tests are called.
_USUAL = {"MariaDB": DEFAULT, "MySQL": "mysql-9.7"}


def servers_of(test: pytest.Function, fixtures: Sequence[str]) -> list[object]:
    """The parameters of the fixture ``server`` for a test."""
    servers = {one: one} if (one := chosen()) else _USUAL
    if only := test.get_closest_marker("only_on"):
        servers = {title: name for title, name in servers.items() if name.startswith(only.args[0])}
        if not servers:
            return [pytest.param(one, marks=pytest.mark.skip(f"it is about {only.args[0]}"))]
    elif "broker" in fixtures and not test.get_closest_marker("each_server"):
        servers = dict(list(servers.items())[:1])
    return [pytest.param(name, id=title) for title, name in servers.items()]


def missing(name: str) -> str | None:
    """Why a server is not here; None where it is."""
    try:
        SERVERS[name]()
    except StartError as error:
        return str(error)
    return None
