"""A worker on a topic of its own, for what is measured at a steady rate."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.measuring.programs import OURS, Job
from benchmarks.measuring.runs import STALL_TIMEOUT
from benchmarks.measuring.stage import Stage
from benchmarks.measuring.table import count
from dev.servers.processes import Process, StartError


@contextmanager
def worker(stage: Stage, topic: str, partitions: int) -> Iterator[tuple[str, Process]]:
    """A worker on a new topic, and the address of its database."""
    stage.broker.create_topic(topic, partitions)
    scratch = stage.folder / topic
    scratch.mkdir()
    with stage.database() as url:
        [process] = OURS.start(Job(stage.broker.bootstrap, topic, topic, url, OURS.batch, scratch))
        try:
            yield url, process
        finally:
            process.kill()


def wait_for_rows(table: Any, rows: int, process: Process) -> None:
    """Wait until the table has so many rows.

    Raises:
        StartError: they did not come.
    """
    deadline = time.monotonic() + STALL_TIMEOUT
    while (found := count(table)) < rows:
        if time.monotonic() > deadline:
            raise StartError(f"{found} rows came, not {rows}: see {process.log}")
        time.sleep(0.2)
