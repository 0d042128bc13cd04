"""A topic, workers and commands on this test's database, all of them ended with the test."""

import itertools
import os
import pty
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import KafkaError, Message, Producer
from sqlalchemy import Engine, make_url

from db.connection.engine import connect
from db.write import insert_values, lenient
from db.write.offsets import OffsetStore
from dev import ROOT
from dev.servers.broker import Broker
from pipeline.partition import Partition
from tests.helpers import commands
from tests.helpers.accounts import close
from tests.helpers.sink import write
from tests.helpers.worker import FAUST, Worker, environment

#: A Kafka value, or a value with its partition, or with partition and key.
Value = bytes | None | tuple[bytes | None, int] | tuple[bytes | None, int, bytes | None]
Produce = Callable[[Sequence[Value]], None]
RunFaust = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def empty(database_url: str) -> Iterator[Engine]:
    """The app's own engine on a database without tables."""
    engine = connect(make_url(database_url).set(drivername="mysql+pymysql"))
    yield engine
    close(engine)


@pytest.fixture
def begun(migrated_engine: Engine) -> Engine:
    """The app's schema, where group ``g`` begins at 0 in two partitions of topic ``t``."""
    OffsetStore(migrated_engine, "g").begin({Partition("t", 0): 0, Partition("t", 1): 0})
    return migrated_engine


@pytest.fixture
def inserts_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are inserted, also into a server that takes LOAD DATA LOCAL."""
    monkeypatch.setattr("db.write.lenient.can_load", lambda _: False)


@pytest.fixture
def proving(begun: Engine) -> Engine:
    """As ``begun``, on a server that can prove what a lenient statement stored."""
    with begun.connect() as connection:
        if not lenient.can_prove(write(connection)):
            pytest.skip("this server does not count triggers")
    return begun


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How each statement sent rows to the server: ``load``, ``ignore`` or ``values``."""
    seen: list[str] = []

    def spy(module: ModuleType, name: str, way: str) -> None:
        function = getattr(module, name)

        def noted(*arguments: Any) -> Any:
            seen.append(way)
            return function(*arguments)

        monkeypatch.setattr(module, name, noted)

    spy(lenient, "load", "load")
    spy(lenient, "ignore", "ignore")
    spy(insert_values, "attempt", "values")
    return seen


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

    def start(*under: str, **settings: object) -> Worker:
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
        started.append(Worker(log, *under, **{**defaults, **settings}))
        return started[-1]

    yield start
    for running in started:
        running.end()
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
def run_faust(its_settings: dict[str, object], database_url: str) -> RunFaust:
    """Runs a command of the app on this test's database and topic.

    It must end with ``status``, and without a traceback. ``migrate`` is the account's that owns the
    tables, all else the worker's.
    """

    def run(
        *arguments: object, status: int = 0, **settings: object
    ) -> "subprocess.CompletedProcess[str]":
        account = {"DATABASE_URL": database_url} if arguments[0] == "migrate" else {}
        done = commands.run(arguments, environment(**{**its_settings, **account, **settings}))
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
