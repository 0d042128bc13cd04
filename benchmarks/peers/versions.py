"""Which versions of the peers are installed."""

import re
import shutil
import subprocess
from pathlib import Path

from benchmarks import BENCH
from benchmarks.measuring.machine import packages
from benchmarks.peers.peer_list import GO_LOOP, PYTHON

_PACKAGES = ("faust-streaming", "confluent-kafka", "PyMySQL", "bytewax", "quixstreams", "pyspark")
_JARS = (
    "spark/spark-sql-kafka-0-10_2.12",
    "spark/mysql-connector-j",
    "connect/connect-runtime",
    "connect/plugins/debezium-connector-jdbc/debezium-connector-jdbc",
    "connect/plugins/debezium-connector-jdbc/mariadb-java-client",
    "flink/flink-runtime",
    "flink/flink-connector-kafka",
    "flink/flink-connector-jdbc",
    "flink/mysql-connector-j",
    "java/kafka-clients",
    "java/jackson-core",
    "java/mariadb-java-client",
)
_GO_MODULES = (
    "github.com/twmb/franz-go",
    "github.com/bytedance/sonic",
    "github.com/go-sql-driver/mysql",
)


def versions() -> str:
    """Names and versions of what the peers are made of."""
    return ", ".join(filter(None, (packages(PYTHON, _PACKAGES), _jars(), _go_modules())))


def _jars() -> str:
    found = ((Path(name).name, path) for name in _JARS for path in BENCH.glob(f"{name}-[0-9]*.jar"))
    return ", ".join(f"{name} {path.stem.removeprefix(f'{name}-')}" for name, path in found)


def _go_modules() -> str:
    if not GO_LOOP.exists() or not shutil.which("go"):
        return ""
    listed = subprocess.run(
        ["go", "version", "-m", GO_LOOP], capture_output=True, text=True, check=False
    )
    found = re.findall(r"^\tdep\t(\S+)\tv(\S+)", listed.stdout, re.MULTILINE)
    return ", ".join(f"{name} {version}" for name, version in found if name in _GO_MODULES)
