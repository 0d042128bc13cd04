"""``python -m tests.chaos.soak``: a fault a minute for an hour; one worker lives through it.

At the end it must need what it needed at the start: memory, file descriptors, threads, connections.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from dev.servers.chosen_broker import choose
from dev.servers.processes import Folder
from tests.chaos.campaign import drawn
from tests.chaos.faults import (
    BROKER_FAULTS,
    FAULTS,
    kill_worker,
    kill_worker_and_database,
    terminate_worker,
)
from tests.chaos.stage import TOPIC, Stage
from tests.helpers.traffic import Traffic, audit
from tests.helpers.worker import Worker, wait_until

#: These end the worker.
_DEADLY = (kill_worker, terminate_worker, kill_worker_and_database)
#: What may be added in an hour: MB; the rest in numbers.
MORE_MEMORY = 15
MORE = 3


@dataclass(frozen=True)
class Needs:
    """What a worker needs."""

    memory: float
    descriptors: int
    threads: int
    connections: int

    @classmethod
    def of(cls, worker: Worker) -> Self:
        """Now; descriptors and threads of its process, memory in MB."""
        home = Path(f"/proc/{worker.pid}")
        found = [_target(one) for one in (home / "fd").iterdir()]
        return cls(
            worker.memory(),
            len(found),
            len(list((home / "task").iterdir())),
            sum(one.startswith("socket:") for one in found),
        )

    def is_like(self, before: "Needs") -> bool:
        """Whether they are those from before, and little more."""
        return (
            self.memory <= before.memory + MORE_MEMORY
            and self.descriptors <= before.descriptors + MORE
            and self.threads <= before.threads + MORE
            and self.connections <= before.connections + MORE
        )

    def __str__(self) -> str:
        return (
            f"{self.memory:.0f} MB, {self.descriptors} descriptors, {self.threads} threads, "
            f"{self.connections} connections"
        )


def _target(descriptor: Path) -> str:
    try:
        return str(descriptor.readlink())
    except FileNotFoundError:
        # The one with which the folder was read.
        return ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; returns the exit status, 1 where the worker needs more at the end, or has ended.

    Raises:
        AssertionError: events are missing or doubled.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak")
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    kind, why = choose()
    print(f"{why} {options.minutes} minutes at {options.rate} events/s.", flush=True)
    faults = [one for one in FAULTS if one not in _DEADLY]
    order = drawn([*faults, *(BROKER_FAULTS if kind.can_restart else ())], options.seed)
    with Folder("soak") as folder, Stage(folder, kind, options.seed) as stage:
        (worker,) = stage.workers
        traffic = Traffic(stage.broker, TOPIC, rate=options.rate)
        time.sleep(20)
        first = Needs.of(worker)
        print(f"At the start {first}.", flush=True)
        for minute in range(options.minutes):
            due = time.monotonic() + 60
            fault = next(order)
            fault(stage)
            wait_until(worker.is_ready, 120, "ready again")
            time.sleep(max(0.0, due - time.monotonic()))
            print(f"{minute + 1} {fault.__name__}: {Needs.of(worker)}", flush=True)
        last = Needs.of(worker)
        traffic.stop()
        print(audit(stage.url, traffic.sent, timeout=300))
        print(f"At the end {last}; workers that ended by themselves: {len(stage.ended_alone)}.")
        # Here, because the stage ends its workers.
        survived = worker.exit_code is None and not stage.ended_alone
    return 0 if last.is_like(first) and survived else 1


if __name__ == "__main__":
    sys.exit(main())
