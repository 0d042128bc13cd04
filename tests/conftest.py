"""Servers once a session, everything else fresh for each test; all of it ends with pytest."""

import functools
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine, make_url
from xdist.scheduler import LoadFileScheduling

from db.engine import connect
from dev import ROOT
from dev.broker import Broker, choose
from dev.mariadb import MariaDB
from dev.processes import Folder
from tests.helpers.databases import ON_MYSQL
from tests.helpers.mysql_server import MySQL
from tests.helpers.worker import FAUST, environment

MigrateCli = Callable[[str], "subprocess.CompletedProcess[str]"]


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Mark what uses a broker; tests without servers come last, to fill the processes."""
    for item in items:
        if "broker" in item.fixturenames:
            item.add_marker(pytest.mark.broker)
    items.sort(key=lambda item: "unit" in item.path.parts)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadFileScheduling:
    """Share out the tests file by file, and let one process have all that needs MySQL."""
    return _ByFile(config, log)


class _ByFile(LoadFileScheduling):  # type: ignore[misc] # it has no types
    def _split_scope(self, nodeid: str) -> str:
        return ON_MYSQL if ON_MYSQL in nodeid else str(super()._split_scope(nodeid))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say how to run the tests in this order again."""
    seed = getattr(config.option, "randomly_seed", None)
    if seed is not None:
        terminalreporter.write_line(f"In random order; for the same one: --randomly-seed={seed}")


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """Where this session's servers have their data."""
    with Folder("tests") as path:
        yield path


@pytest.fixture(scope="session")
def broker(folder: Path) -> Iterator[Broker]:
    kind, _ = choose()
    with kind(folder / "broker") as running:
        yield running


@pytest.fixture(scope="session")
def mariadb(folder: Path) -> Iterator[MariaDB]:
    """Its defaults are not ours: neither charset nor time zone may be leaned on."""
    with MariaDB(folder / "mariadb", charset="latin1", time_zone="+05:30") as running:
        yield running


@pytest.fixture(scope="session")
def mysql(folder: Path) -> Iterator[MySQL]:
    if MySQL.missing():
        pytest.skip("set-up could not fetch a MySQL 8 that runs here")
    with MySQL(folder / "mysql", "--default-time-zone=+05:30") as running:
        yield running


@pytest.fixture
def server(request: pytest.FixtureRequest) -> MariaDB:
    """The database server: MariaDB, or what `tests.helpers.databases` has said of this test."""
    running = request.getfixturevalue(getattr(request, "param", "mariadb"))
    assert isinstance(running, MariaDB)
    return running


@pytest.fixture
def database_url(server: MariaDB) -> Iterator[str]:
    """URL of an empty database."""
    name = f"test_{uuid4().hex[:12]}"
    yield server.create_database(name)
    server.drop_database(name)


@pytest.fixture(scope="session")
def migrate_cli() -> MigrateCli:
    """Runs ``faust -A app migrate`` on the database at a URL."""

    def run(url: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*FAUST, "migrate"],
            cwd=ROOT,
            env=environment(DATABASE_URL=url, KAFKA_URL="kafka://127.0.0.1:9"),
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@functools.cache
def _copying(server: MariaDB, migrate_cli: MigrateCli) -> list[str]:
    """Statements that make what ``migrate`` makes: faster than migrating each time."""
    result = migrate_cli(server.create_database("migrated"))
    assert result.returncode == 0, result.stdout + result.stderr
    kinds = {str(name): kind for name, kind in server.execute("SHOW FULL TABLES FROM migrated")}
    tables = [name for name, kind in kinds.items() if kind == "BASE TABLE"]
    views = [
        str(server.execute(f"SHOW CREATE VIEW migrated.`{name}`")[0][1])
        for name, kind in kinds.items()
        if kind == "VIEW"
    ]
    return [
        statement
        for table in tables
        for statement in (
            f"CREATE TABLE `{{0}}`.`{table}` LIKE migrated.`{table}`",
            f"INSERT INTO `{{0}}`.`{table}` SELECT * FROM migrated.`{table}`",
        )
    ] + [view.replace("`migrated`", "`{0}`") for view in views]


@pytest.fixture
def migrated_url(database_url: str, server: MariaDB, migrate_cli: MigrateCli) -> str:
    """URL of a database with the app's schema and no rows."""
    name = database_url.rpartition("/")[2]
    for statement in _copying(server, migrate_cli):
        server.execute(statement.format(name))
    return database_url


@pytest.fixture
def migrated_engine(migrated_url: str) -> Iterator[Engine]:
    """The app's own engine on such a database."""
    engine = connect(make_url(migrated_url).set(drivername="mysql+pymysql"))
    yield engine
    engine.dispose()
