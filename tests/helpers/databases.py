"""Which database server a test runs on: MariaDB, unless one of these says otherwise."""

import pytest

#: What the names of tests on MySQL have.
ON_MYSQL = "on MySQL"

_MARIADB = pytest.param("mariadb", id="on MariaDB")
_MYSQL = pytest.param("mysql", id=ON_MYSQL)
_MYSQL_SLOW = pytest.param("mysql", id=ON_MYSQL, marks=pytest.mark.slow)

#: On MariaDB and on MySQL 8.
also_mysql = pytest.mark.parametrize("server", [_MARIADB, _MYSQL], indirect=True)
#: The same; `make test` leaves MySQL out, where an empty schema takes more than a second.
also_mysql_slow = pytest.mark.parametrize("server", [_MARIADB, _MYSQL_SLOW], indirect=True)
mysql_only = pytest.mark.parametrize("server", [_MYSQL], indirect=True)
