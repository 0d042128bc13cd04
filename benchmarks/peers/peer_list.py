"""The peers: how each is started, what it needs on this machine, and what it lacks."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from benchmarks import BENCH
from benchmarks.measuring.programs import OURS, Job, Lack, Program
from dev import ROOT
from dev.servers.processes import Process, free_port

#: Those in Python.
_SCRIPTS = Path(__file__).with_name("python")
PYTHON = BENCH / "venv" / "bin" / "python"
GO_LOOP = BENCH / "go" / "loop"

#: Flink looks into classes that Java 17 closes; its own distribution opens the same.
_FLINK_OPENS = [
    f"--add-opens=java.base/java.{name}=ALL-UNNAMED"
    for name in ("lang", "lang.reflect", "net", "io", "nio", "text", "time", "util")
]
_PLAIN = Lack.UNCHECKED, Lack.FORGETS, Lack.NO_SUMS
_AT_LEAST_ONCE = Lack.DOUBLES, *_PLAIN


def _python(name: str, *arguments: str) -> Callable[[Job], list[Process]]:
    return lambda job: [job.start([PYTHON, _SCRIPTS / f"{name}.py", *arguments])]


def _spark(**variables: str) -> Callable[[Job], list[Process]]:
    return lambda job: [
        job.start(
            [PYTHON, _SCRIPTS / "spark_job.py"], BATCH=job.batch, JARS=BENCH / "spark", **variables
        )
    ]


def _connect(job: Job) -> list[Process]:
    command: list[str | Path] = [PYTHON, _SCRIPTS / "kafka_connect.py"]
    return [job.start(command, PORT=free_port(), HOME_OF_CONNECT=BENCH / "connect")]


def _java(
    home: str, name: str, *arguments: str, options: list[str]
) -> Callable[[Job], list[Process]]:
    path = f"{BENCH / home / 'classes'}:{BENCH / home}/*"

    def start(job: Job) -> list[Process]:
        scratch = f"-Djava.io.tmpdir={job.scratch}"
        return [job.start(["java", *options, scratch, "-cp", path, f"peers.{name}", *arguments])]

    return start


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
    return _needs_made("spark", BENCH / "spark", "mvn")() or _needs("pyspark")()


def _needs_made(name: str, made: Path, *tools: str) -> Callable[[], str]:
    def missing() -> str:
        if made.exists():
            return ""
        if absent := [tool for tool in tools if not shutil.which(tool)]:
            return f"there is no {' and no '.join(absent)} to make it with"
        return f"it could not be made with {' and '.join(tools)} (see .local/bench/{name}.log)"

    return missing


_needs_connect = _needs_made("connect", BENCH / "connect" / "plugins" / "transform", "mvn", "javac")
_needs_flink = _needs_made("flink", BENCH / "flink" / "classes", "mvn", "javac")
_needs_java = _needs_made("java", BENCH / "java" / "classes", "mvn", "javac")
_needs_go = _needs_made("go", GO_LOOP, "go")

PROGRAMS = (
    OURS,
    Program(
        "plain Faust",
        _python("plain_faust", "worker", "-l", "warn"),
        _needs("faust", "cramjam"),
        events=60_000,
        quick=60_000,
        lacks=(Lack.LOSES, *_AT_LEAST_ONCE),
    ),
    Program(
        "confluent-kafka loop",
        _python("confluent_loop"),
        _needs("confluent_kafka"),
        events=300_000,
        quick=200_000,
        lacks=_AT_LEAST_ONCE,
    ),
    Program(
        "Bytewax",
        _python("bytewax_flow"),
        _needs("bytewax"),
        events=300_000,
        quick=200_000,
        lacks=(Lack.REPEATS, *_PLAIN),
    ),
    Program(
        "Quix Streams",
        _python("quix_streams"),
        _needs("quixstreams"),
        events=300_000,
        lacks=_AT_LEAST_ONCE,
    ),
    Program(
        "PySpark (the job replaced)",
        _spark(),
        _needs_spark,
        events=200_000,
        quick=200_000,
        batch=100_000,
        lacks=_AT_LEAST_ONCE,
    ),
    Program(
        "PySpark, rewriteBatchedStatements",
        _spark(REWRITE="1"),
        _needs_spark,
        events=300_000,
        batch=150_000,
        lacks=_AT_LEAST_ONCE,
    ),
    Program(
        "Kafka Connect, Debezium's JDBC sink",
        _connect,
        _needs_connect,
        events=300_000,
        lacks=_AT_LEAST_ONCE,
    ),
    Program(
        "Flink SQL, JDBC sink",
        _java("flink", "FlinkJob", options=["-Xmx1g", *_FLINK_OPENS]),
        _needs_flink,
        events=600_000,
        lacks=_AT_LEAST_ONCE,
    ),
    Program(
        "Java loop, text inserts (a limit)",
        _java("java", "JavaLoop", "text", options=["-Xmx512m"]),
        _needs_java,
        events=1_000_000,
        lacks=_AT_LEAST_ONCE,
    ),
    Program(
        "Java loop, bulk protocol (a limit)",
        _java("java", "JavaLoop", "bulk", options=["-Xmx512m"]),
        _needs_java,
        events=1_000_000,
        lacks=_AT_LEAST_ONCE,
    ),
    Program(
        "Go loop, text inserts (a limit)",
        lambda job: [job.start([GO_LOOP, "text"])],
        _needs_go,
        events=1_000_000,
        lacks=_AT_LEAST_ONCE,
    ),
    Program(
        "Go loop, LOAD DATA LOCAL (a limit)",
        lambda job: [job.start([GO_LOOP, "load"])],
        _needs_go,
        events=1_500_000,
        lacks=_AT_LEAST_ONCE,
    ),
)
