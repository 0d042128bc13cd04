"""Servers once a session, everything else fresh for each test; all of it ends with pytest."""

import itertools
import os
import pty
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import KafkaError, Message, Producer
from sqlalchemy import Engine, make_url

from db.engine import connect
from dev import ROOT
from dev.broker import Broker, choose
from dev.mariadb import MariaDB
from dev.processes import Folder
from tests.support import FAUST, Worker, environment

#: A Kafka value, or a value with its partition, or with partition and key.
Value = bytes | None | tuple[bytes | None, int] | tuple[bytes | None, int, bytes | None]
Produce = Callable[[Sequence[Value]], None]
RunFaust = Callable[..., "subprocess.CompletedProcess[str]"]
MigrateCli = Callable[[str], "subprocess.CompletedProcess[str]"]


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Mark what uses a broker, and as slow what a module with ``ALWAYS`` does not name there."""
    for item in items:
        if "broker" in item.fixturenames:
            item.add_marker(pytest.mark.broker)
        always = getattr(item.module, "ALWAYS", None)
        if always is not None and item.originalname not in always:
            item.add_marker(pytest.mark.slow)


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


@pytest.fixture
def database_url(mariadb: MariaDB) -> Iterator[str]:
    """URL of an empty database."""
    name = f"test_{uuid4().hex[:12]}"
    yield mariadb.create_database(name)
    mariadb.drop_database(name)


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


def copying(mariadb: MariaDB, migrate_cli: MigrateCli) -> list[str]:
    """Statements that make what ``migrate`` makes: faster than migrating each time."""
    result = migrate_cli(mariadb.create_database("migrated"))
    assert result.returncode == 0, result.stdout + result.stderr
    kinds = {str(name): kind for name, kind in mariadb.execute("SHOW FULL TABLES FROM migrated")}
    tables = [name for name, kind in kinds.items() if kind == "BASE TABLE"]
    views = [
        str(mariadb.execute(f"SHOW CREATE VIEW migrated.`{name}`")[0][1])
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


@pytest.fixture(scope="session")
def _migrated(mariadb: MariaDB, migrate_cli: MigrateCli) -> list[str]:
    return copying(mariadb, migrate_cli)


@pytest.fixture
def migrated_url(database_url: str, mariadb: MariaDB, _migrated: list[str]) -> str:
    """URL of a database with the app's schema and no rows."""
    name = database_url.rpartition("/")[2]
    for statement in _migrated:
        mariadb.execute(statement.format(name))
    return database_url


@pytest.fixture
def migrated_engine(migrated_url: str) -> Iterator[Engine]:
    """The app's own engine on such a database."""
    engine = connect(make_url(migrated_url).set(drivername="mysql+pymysql"))
    yield engine
    engine.dispose()


@pytest.fixture
def topic(broker: Broker) -> str:
    """Name of an empty topic with four partitions."""
    name = f"events_{uuid4().hex[:12]}"
    broker.create_topic(name)
    return name


@pytest.fixture
def apache(broker: Broker) -> Broker:
    """The broker, where it can do all that a real one can."""
    if not broker.has_admin:
        pytest.skip(
            f"the {broker.kind} broker has no transactions, and neither deletes, truncates,"
            " compacts nor extends topics"
        )
    return broker


@pytest.fixture
def produce(broker: Broker, topic: str) -> Produce:
    """Sends values to the topic and returns when all are acknowledged.

    A value alone goes to the partitions in turn.
    """
    producer = Producer(
        {"bootstrap.servers": broker.bootstrap, "enable.idempotence": True, "log_level": 0}
    )
    turns = itertools.cycle(range(4))

    def send(values: Sequence[Value]) -> None:
        failures: list[str] = []

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                failures.append(str(error))

        for value in values:
            parts: tuple[Any, ...] = value if isinstance(value, tuple) else (value, next(turns))
            producer.produce(
                topic,
                parts[0],
                partition=parts[1],
                key=parts[2] if len(parts) > 2 else None,
                on_delivery=delivered,
            )
            producer.poll(0)
        left = producer.flush(30)
        assert not failures, failures[:3]
        assert not left, f"{left} values were not acknowledged"

    return send


@pytest.fixture
def transactional(apache: Broker) -> Callable[[], Producer]:
    """Makes producers that write in transactions."""

    def make() -> Producer:
        producer = Producer(
            {
                "bootstrap.servers": apache.bootstrap,
                "transactional.id": uuid4().hex,
                "linger.ms": 0,
                "log_level": 0,
            }
        )
        producer.init_transactions(20)
        return producer

    return make


@pytest.fixture
def worker(
    broker: Broker, migrated_url: str, topic: str, tmp_path: Path
) -> Iterator[Callable[..., Worker]]:
    """Starts workers on this test's database and topic; settings given override these.

    A new group starts at the earliest event, and flushes every second.
    """
    started: list[Worker] = []

    def start(**settings: object) -> Worker:
        defaults = {
            "KAFKA_URL": broker.url,
            "DATABASE_URL": migrated_url,
            "TOPIC": topic,
            "CONSUMER_GROUP": f"group-{topic}",
            "STARTING_OFFSETS": "earliest",
            "FLUSH_INTERVAL": 1,
            "SESSION_TIMEOUT": 4,
        }
        log = tmp_path / f"worker-{len(started)}.log"
        started.append(Worker(log, **{**defaults, **settings}))
        return started[-1]

    yield start
    for running in started:
        running.kill()
        # Shown where the test failed.
        print(running.log_text()[-5000:])


@pytest.fixture
def its_settings(broker: Broker, migrated_url: str, topic: str) -> dict[str, object]:
    """Of a command on this test's database and topic."""
    return {
        "KAFKA_URL": broker.url,
        "DATABASE_URL": migrated_url,
        "TOPIC": topic,
        "CONSUMER_GROUP": f"group-{topic}",
    }


@pytest.fixture
def run_faust(its_settings: dict[str, object]) -> RunFaust:
    """Runs a command of the app on this test's database and topic.

    It must end with ``status``, and without a traceback.
    """

    def run(
        *arguments: object, status: int = 0, **settings: object
    ) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [*FAUST, *map(str, arguments)],
            cwd=ROOT,
            env=environment(**{**its_settings, **settings}),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    return run


@pytest.fixture
def faust(run_faust: RunFaust) -> Callable[..., str]:
    """As ``run_faust``; returns what it printed, errors last."""

    def run(*arguments: object, **settings: Any) -> str:
        done = run_faust(*arguments, **settings)
        return done.stdout + done.stderr

    return run


@pytest.fixture
def faust_out(run_faust: RunFaust) -> Callable[..., str]:
    """As ``run_faust``; returns what programs read of it."""
    return lambda *arguments, **settings: run_faust(*arguments, **settings).stdout


@pytest.fixture
def on_a_terminal(its_settings: dict[str, object]) -> Callable[..., str]:
    """Runs a command as ``run_faust`` does, on a terminal; returns what that showed.

    It is ended by Ctrl-C as soon as it has shown ``until``; ``answers`` are typed beforehand.
    """

    def run(*arguments: object, answers: str = "", until: str = "", **settings: object) -> str:
        ours, theirs = pty.openpty()
        child = subprocess.Popen(
            [*FAUST, *map(str, arguments)],
            cwd=ROOT,
            env=environment(**{**its_settings, "TERM": "xterm", **settings}),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        os.write(ours, answers.encode())
        shown, stopped = b"", False
        # The terminal answers with an error once nobody is on its other side.
        with suppress(OSError):
            while part := os.read(ours, 10_000):
                shown += part
                if until and not stopped and until.encode() in shown:
                    stopped = True
                    child.send_signal(signal.SIGINT)
        child.wait(30)
        os.close(ours)
        return shown.decode()

    return run
