"""What tests share: a worker of one's own, looks into the tables, waiting."""

import asyncio
import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from sqlalchemy import text

from config.fields import DEPRECATED_VARIABLES
from config.settings import Settings
from dev import ROOT
from dev.audit import count_stored, engine
from dev.servers.broker import Broker
from dev.servers.processes import Process, StartError, free_port
from tests.helpers.forks import Fork

#: The program under test, from the environment the tests run in.
FAUST = (sys.executable, "-m", "faust", "-A", "app")
SETTINGS = frozenset(
    name.upper()
    for one in (*Settings.model_fields, *DEPRECATED_VARIABLES)
    for name in (one, f"{one}_file")
)
#: What `make test` leaves in the environment, and a `make` under test must not find there.
MAKE = frozenset({"MAKEFLAGS", "MAKELEVEL", "MFLAGS"})
#: Whether coverage is measured: what a process that is killed has run is not counted.
MEASURED = "COVERAGE_PROCESS_CONFIG" in os.environ
#: The terminal that the tests run in, by which tables would be cut.
TERMINAL = frozenset({"COLUMNS", "LINES"})


def environment(**settings: object) -> dict[str, str]:
    """Our environment, of the app's settings only those given, as ``DATABASE_URL="…"``."""
    not_ours = SETTINGS | MAKE | TERMINAL
    ours = {name: value for name, value in os.environ.items() if name not in not_ours}
    # What a `.env` here says is for another worker.
    own = {"PYTHONUNBUFFERED": "1", "ENV_FILE": "/dev/null"}
    return {**ours, **own, **{name: str(v) for name, v in settings.items()}}


class Worker(Process):
    """A running ``faust -A app worker``.

    Args:
        log: where its output goes.
        under: the command and options of a program that runs it.
        settings: its environment; ``PORT`` is a free one unless given.

    ``host``: where its pages are.
    """

    host = "127.0.0.1"

    def __init__(self, log: Path, *under: str, **settings: object) -> None:
        self.port = int(str(settings.setdefault("PORT", free_port())))
        words = ["worker", "-l", "info"]
        env = environment(**settings)
        if under or MEASURED:
            super().__init__([*under, *FAUST, *words], log, env=env, cwd=ROOT)
        else:
            log.touch()
            self._follow(Fork(words, log, log, env, ROOT), log)

    def request(self, path: str) -> tuple[int, str]:
        """Status and body of a web page.

        Raises:
            OSError: there was no answer.
        """
        url = f"http://{self.host}:{self.port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()

    def get(self, path: str) -> Any:
        """The JSON of a web page, whatever its status.

        Raises:
            OSError: there was no answer.
        """
        return json.loads(self.request(path)[1])

    def is_ready(self) -> bool:
        """Whether ``/ready/`` says so."""
        try:
            return self.request("/ready/")[0] == 200
        except OSError:
            return False

    def wait_ready(self, timeout: float = 30) -> "Worker":
        """Wait until ``/ready/`` says so.

        Raises:
            StartError: it ended, or was not ready in time; with the end of its log.
        """
        try:
            self.wait_for(self.is_ready, timeout, "the worker")
        except StartError as error:
            raise StartError(f"{error}\n{self.log_text()[-3000:]}") from None
        return self

    def wait_first_flush(self) -> "Worker":
        """Wait until its early first write is over; the next comes after ``FLUSH_INTERVAL``.

        Raises:
            StartError: it ended, or has not tried to write in time.
        """
        self.wait_for(lambda: self.get("/batches/")["empty_flushes"] > 0, 20, "the worker")
        return self

    def memory(self) -> float:
        """Resident memory in MB."""
        return self._status("VmRSS")

    def peak_memory(self) -> float:
        """The most resident memory it ever had, in MB."""
        return self._status("VmHWM")

    def wait_stored(self, url: str, count: int, timeout: float = 30) -> None:
        """Wait until this many events are rows or dead letters of the database at ``url``.

        Raises:
            StartError: it ended, or they are not in time; with the end of its log.
        """
        try:
            self.wait_for(lambda: count_stored(url) >= count, timeout, "the worker")
        except StartError as error:
            raise StartError(
                f"{error}\n{count_stored(url)} of {count} stored\n{self.log_text()[-2000:]}"
            ) from None

    def _status(self, field: str) -> float:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition(f"{field}:")[2].split()[0]) / 1000

    def terminate(self, timeout: float = 30) -> int:
        """SIGTERM; returns its exit status.

        Raises:
            subprocess.TimeoutExpired: it still runs after ``timeout`` seconds.
        """
        self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def end(self) -> None:
        """End it with its test: at once, or in order where coverage has to hear of what it ran."""
        if MEASURED:
            self.resume()
            self.stop(5)
        self.kill()

    def pause(self) -> None:
        """SIGSTOP."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self.signal(signal.SIGCONT)


def rows(url: str) -> list[dict[str, Any]]:
    """The stored events in the order of their ids, ``ts`` in UTC."""
    return _select(url, "SELECT * FROM flash_sale_events ORDER BY id")


def dead_letters(url: str) -> list[dict[str, Any]]:
    """The dead letters in the order of their ids."""
    return _select(url, "SELECT * FROM dead_letters ORDER BY id")


def stored_offsets(url: str) -> dict[tuple[str, str, int], int]:
    """The next offset of each (consumer group, topic, partition)."""
    found = _select(url, "SELECT * FROM stream_offsets")
    return {
        (row["consumer_group"], row["kafka_topic"], row["kafka_partition"]): row["next_offset"]
        for row in found
    }


def configure(broker: Broker, topic: str, **settings: object) -> None:
    """Change settings of a topic, ``max_message_bytes=…`` for ``max.message.bytes``."""
    entries = [
        ConfigEntry(name.replace("_", "."), str(value), incremental_operation=AlterConfigOpType.SET)
        for name, value in settings.items()
    ]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(20)


def wait_until(condition: Callable[[], object], timeout: float, what: str = "") -> float:
    """Wait until ``condition()`` is true; returns how many seconds that took.

    Raises:
        AssertionError: it is not after ``timeout`` seconds; with ``what``.
    """
    begun = time.monotonic()
    while not condition():
        waited = time.monotonic() - begun
        assert waited < timeout, f"after {waited:.1f} s not yet: {what or condition}"
        time.sleep(0.05)
    return time.monotonic() - begun


async def until(condition: Callable[[], object], timeout: float = 5) -> None:  # noqa: ASYNC109
    """Wait until ``condition()`` is true, and let tasks of this loop run meanwhile.

    Raises:
        TimeoutError: it is not after ``timeout`` seconds.
    """
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.005)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not waited for does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def children(pid: int) -> list[int]:
    """Pids of the processes that a process started."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += map(int, task.read_text().split())
    return found


def _select(url: str, query: str) -> list[dict[str, Any]]:
    with engine(url).connect() as connection:
        connection.execute(text("SET time_zone = '+00:00'"))
        return [dict(row) for row in connection.execute(text(query)).mappings()]
