"""The programs that are measured: this app, and its peers in their own words."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import BENCH, PEERS
from config.settings import Settings
from dev import ROOT
from dev.processes import Process, free_port

PYTHON = BENCH / "venv" / "bin" / "python"


@dataclass(frozen=True)
class Job:
    """What a program is given: a topic to read from its beginning, a database to write to."""

    bootstrap: str
    topic: str
    group: str
    database_url: str
    #: Events of a batch, for a program that is told.
    batch: int
    #: Where it may leave what it needs, and where its log goes.
    scratch: Path

    def start(self, command: list[str | Path], *, log: str = "log", **variables: object) -> Process:
        """Start a command in an environment without settings but these."""
        ours = {name.upper() for name in Settings.model_fields}
        env = {name: value for name, value in os.environ.items() if name not in ours}
        env |= {
            "PYTHONUNBUFFERED": "1",
            "KAFKA": self.bootstrap,
            "TOPIC": self.topic,
            "CONSUMER_GROUP": self.group,
            "DATABASE_URL": self.database_url,
            "SCRATCH": str(self.scratch),
        }
        env |= {name: str(value) for name, value in variables.items()}
        return Process(command, self.scratch / log, env=env, cwd=ROOT)


@dataclass(frozen=True)
class Program:
    """One program.

    Args:
        name: in the table.
        start: starts it.
        missing: why it cannot be started; empty when it can.
        events: of the topic it gets in the full comparison; fewer for a slow one, because
            what is compared is a steady rate.
        quick: the same for the short comparison; 0 where it takes no part.
        batch: events of a batch, for a program that is told and commits each in pieces; its
            first batch is not measured.
    """

    name: str
    start: Callable[[Job], list[Process]]
    missing: Callable[[], str]
    events: int
    quick: int = 0
    batch: int = 0


def workers(number: int, **settings: object) -> Callable[[Job], list[Process]]:
    """So many of this app's workers, with its default settings but for those given."""
    return lambda job: [
        job.start(
            [sys.executable, "-m", "faust", "-A", "app", "worker", "-l", "info"],
            log=f"log-{worker}",
            KAFKA_URL=f"kafka://{job.bootstrap}",
            STARTING_OFFSETS="earliest",
            PORT=free_port(),
            **settings,
        )
        for worker in range(number)
    ]


def _python(name: str, *arguments: str) -> Callable[[Job], list[Process]]:
    return lambda job: [job.start([PYTHON, PEERS / f"{name}.py", *arguments])]


def _spark(**variables: str) -> Callable[[Job], list[Process]]:
    return lambda job: [
        job.start(
            [PYTHON, PEERS / "spark_job.py"], BATCH=job.batch, JARS=BENCH / "spark", **variables
        )
    ]


def _needs(*modules: str) -> Callable[[], str]:
    def missing() -> str:
        if not PYTHON.exists():
            return f"there is no {PYTHON.relative_to(ROOT)}"
        find = "import sys, importlib.util as u; sys.exit(not all(map(u.find_spec, sys.argv[1:])))"
        done = subprocess.run([PYTHON, "-c", find, *modules], capture_output=True, check=False)
        if done.returncode:
            return f"{' or '.join(modules)} could not be installed (see .local/bench/pip.log)"
        return ""

    return missing


def _needs_spark() -> str:
    if not (BENCH / "spark").is_dir():
        return "its jars could not be fetched with Maven (see .local/bench/spark.log)"
    return _needs("pyspark")()


def _connect(job: Job) -> list[Process]:
    command: list[str | Path] = [PYTHON, PEERS / "kafka_connect.py"]
    return [job.start(command, PORT=free_port(), HOME_OF_CONNECT=BENCH / "connect")]


def _needs_connect() -> str:
    if not (BENCH / "connect" / "plugins" / "transform").is_dir():
        return "it could not be made with Maven and javac (see .local/bench/connect.log)"
    return ""


OURS = Program("flash-sale ETL", workers(1), lambda: "", events=1_000_000, quick=600_000)

PROGRAMS = (
    OURS,
    Program(
        "plain Faust",
        _python("plain_faust", "worker", "-l", "warn"),
        _needs("faust", "cramjam"),
        events=100_000,
        quick=60_000,
    ),
    Program(
        "confluent-kafka loop",
        _python("confluent_loop"),
        _needs("confluent_kafka"),
        events=400_000,
        quick=200_000,
    ),
    Program("Bytewax", _python("bytewax_flow"), _needs("bytewax"), events=400_000, quick=200_000),
    Program("Quix Streams", _python("quix_streams"), _needs("quixstreams"), events=300_000),
    Program(
        "PySpark (the job replaced)",
        _spark(),
        _needs_spark,
        events=300_000,
        quick=200_000,
        batch=100_000,
    ),
    Program(
        "PySpark, rewriteBatchedStatements",
        _spark(REWRITE="1"),
        _needs_spark,
        events=600_000,
        batch=200_000,
    ),
    Program(
        "Kafka Connect, Debezium's JDBC sink",
        _connect,
        _needs_connect,
        events=200_000,
    ),
)
