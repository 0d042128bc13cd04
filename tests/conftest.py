"""Servers once a session, everything else fresh for each test; all of it ends with pytest."""

import functools
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine, make_url

from db.connection.engine import connect
from dev.servers.broker import Broker
from dev.servers.chosen_broker import choose
from dev.servers.database import DatabaseServer, private_server
from dev.servers.processes import Folder
from tests.helpers import commands
from tests.helpers.accounts import OWNER, WORKER, close, grant, make_accounts
from tests.helpers.databases import require, servers_of
from tests.helpers.worker import environment

MigrateCli = Callable[[str], "subprocess.CompletedProcess[str]"]


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Mark what uses a broker; tests without servers come last, to fill the processes."""
    for item in items:
        if "broker" in item.fixturenames:
            item.add_marker(pytest.mark.broker)
    items.sort(key=lambda item: "unit" in item.path.parts)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what uses a database server on each that it is for."""
    if "server" in metafunc.fixturenames:
        on = servers_of(metafunc.definition, metafunc.fixturenames)
        metafunc.parametrize("server", on, indirect=True)


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
def start_server(folder: Path) -> Iterator[Callable[[str], DatabaseServer]]:
    """Starts a database server by its name, once a session.

    Its defaults are not ours: neither charset nor time zone may be leaned on.
    """
    with ExitStack() as stack:

        @functools.cache
        def start(name: str) -> DatabaseServer:
            options = ("--local-infile=ON",)  # MySQL's default is OFF
            server = private_server(
                folder / name, name, charset="latin1", time_zone="+05:30", options=options
            )
            stack.enter_context(server)
            make_accounts(server)
            return server

        yield start


@pytest.fixture
def server(
    request: pytest.FixtureRequest, start_server: Callable[[str], DatabaseServer]
) -> DatabaseServer:
    """The database server; `tests.helpers.databases` says which ones a test runs on."""
    require(request.param)
    return start_server(request.param)


@pytest.fixture
def database_url(server: DatabaseServer) -> Iterator[str]:
    """URL of an empty database, for the account that migrates."""
    name = f"test_{uuid4().hex[:12]}"
    server.create_database(name)
    yield grant(server, OWNER, name)
    server.drop_database(name)


@pytest.fixture(scope="session")
def migrate_cli() -> MigrateCli:
    """Runs ``faust -A app migrate`` on the database at a URL."""

    def run(url: str) -> "subprocess.CompletedProcess[str]":
        settings = environment(DATABASE_URL=url, KAFKA_URL="kafka://127.0.0.1:9")
        return commands.run(["migrate"], settings)

    return run


@functools.cache
def _copying(server: DatabaseServer, migrate_cli: MigrateCli) -> list[str]:
    """Statements that make what ``migrate`` makes: faster than migrating each time."""
    server.create_database("migrated")
    result = migrate_cli(grant(server, OWNER, "migrated"))
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
            # MySQL takes no value for a computed column, not even of no row.
            f"INSERT INTO `{{0}}`.`{table}` SELECT * FROM migrated.`{table}`",
        )[: 1 + bool(server.execute(f"SELECT 1 FROM migrated.`{table}` LIMIT 1"))]
    ] + [view.replace("`migrated`", "`{0}`") for view in views]


@pytest.fixture
def migrated_url(database_url: str, server: DatabaseServer, migrate_cli: MigrateCli) -> str:
    """URL of a database with the app's schema and no rows, for the account of workers."""
    name = database_url.rpartition("/")[2]
    for statement in _copying(server, migrate_cli):
        server.execute(statement.format(name))
    return grant(server, WORKER, name)


@pytest.fixture
def migrated_engine(migrated_url: str) -> Iterator[Engine]:
    """The app's own engine on such a database."""
    engine = connect(make_url(migrated_url).set(drivername="mysql+pymysql"))
    yield engine
    close(engine)
