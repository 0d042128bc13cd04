"""Which servers a test runs on, and what becomes of it where one is missing."""

from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from dev.servers.database import SERVERS
from dev.servers.database.installation import fetched
from tests.helpers.databases import (
    each_server,
    each_server_slow,
    mariadb_only,
    mysql_only,
    require,
    servers_of,
)


def parameters(*marks: Any, broker: bool = False) -> list[Any]:
    """Of a test with these marks."""
    found = {mark.name: mark.mark for mark in marks}
    test: Any = SimpleNamespace(get_closest_marker=found.get)
    return servers_of(test, ["server", *(["broker"] if broker else [])])


def ids(*marks: Any, broker: bool = False) -> list[Any]:
    return [one.id for one in parameters(*marks, broker=broker)]


def test_what_uses_sql_runs_on_both_kinds(monkeypatch):
    monkeypatch.delenv("SERVER", raising=False)
    assert ids() == ["MariaDB", "MySQL"]
    assert ids(mariadb_only) == ["MariaDB"]
    assert ids(mysql_only) == ["MySQL"]


def test_what_uses_a_broker_runs_on_one_unless_marked(monkeypatch):
    monkeypatch.delenv("SERVER", raising=False)
    assert ids(broker=True) == ["MariaDB"]
    assert ids(mysql_only, broker=True) == ["MySQL"]
    assert ids(each_server, broker=True) == ["MariaDB", "MySQL"]
    first, second = parameters(each_server_slow, broker=True)
    assert not first.marks
    assert [mark.name for mark in second.marks] == ["slow"]


def test_a_chosen_server_is_the_only_one(monkeypatch):
    monkeypatch.setenv("SERVER", "mysql-8.0.31")
    for broker in (True, False):
        assert ids(broker=broker) == ["mysql-8.0.31"]
        assert ids(mysql_only, broker=broker) == ["mysql-8.0.31"]
        [skipped] = parameters(mariadb_only, broker=broker)
        assert [mark.name for mark in skipped.marks] == ["skip"]


@pytest.mark.parametrize(
    ("ci", "outcome"), [("", pytest.skip.Exception), ("1", pytest.fail.Exception)]
)
def test_a_missing_server_skips_and_with_ci_fails(monkeypatch, ci, outcome):
    monkeypatch.setenv("CI", ci)
    monkeypatch.setitem(SERVERS, "mysql-9.7", partial(fetched, "mysql-0", "mysqld"))
    with pytest.raises(outcome, match=r"^mysql-0 is not here: run `dev/setup/fetch_server"):
        require("mysql-9.7")
