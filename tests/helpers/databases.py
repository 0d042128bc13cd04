"""Which database servers a test runs on.

A test that uses the fixture ``server`` runs on MariaDB and on MySQL. One that uses a broker as well
runs on the first of them, unless it is marked ``each_server``, or ``each_server_slow``: on the
others in `make test-all` only. With ``SERVER`` set, all run on that one alone.
"""

import os
from collections.abc import Sequence

import pytest

from dev.servers.database import DEFAULT, SERVERS, chosen
from dev.servers.processes import StartError

each_server = pytest.mark.each_server
each_server_slow = pytest.mark.each_server(slow=True)
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
    first, *others = (pytest.param(name, id=title) for title, name in servers.items())
    if not only and "broker" in fixtures:
        each = test.get_closest_marker("each_server")
        if each is None:
            return [first]
        if each.kwargs.get("slow"):
            slow = pytest.mark.slow
            others = [pytest.param(*one.values, id=one.id, marks=slow) for one in others]
    return [first, *others]


def require(name: str) -> None:
    """Skip the test where a server is not here; on a build machine, which sets CI, fail it."""
    try:
        SERVERS[name]()
    except StartError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))
