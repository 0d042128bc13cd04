"""``python -m benchmarks.scale``: the arithmetic of docs/scaling.md, played through step by step.

Workers transform chunks into a bounded buffer and write batches of it, one at a time each; all
share the cores they are given evenly, and nobody uses more than one at once.
"""

import argparse
import sys
from dataclasses import dataclass

#: Seconds of a step, and of a run; the first quarter fills the buffers and is not counted.
STEP = 0.0005
RUN = 20.0
#: Events: of a fetch, of a write, in memory.
CHUNK, BATCH, BUFFER = 2000, 30_000, 60_000


@dataclass(frozen=True)
class Costs:
    """Microseconds an event: of the worker, the database, the broker; and of a write's commit."""

    worker: float
    database: float
    broker: float
    commit: float = 3000.0


@dataclass
class Worker:
    """Seconds left of the chunk being transformed and of the batch being written."""

    transforming: float = 0.0
    writing: float = 0.0
    waiting: int = 0
    in_flight: int = 0
    stored: int = 0

    def begin(self, costs: Costs) -> None:
        """Take up whatever can be."""
        if not self.transforming and self.waiting + self.in_flight + CHUNK <= BUFFER:
            self.transforming = CHUNK * costs.worker / 1e6
        if not self.writing and self.waiting >= BATCH:
            self.in_flight = BATCH
            self.waiting -= BATCH
            self.writing = (BATCH * costs.database + costs.commit) / 1e6

    def advance(self, worker: float, database: float) -> None:
        """Use so many seconds of the worker's core and of the database's."""
        if self.transforming:
            self.transforming = max(0.0, self.transforming - worker)
            if not self.transforming:
                self.waiting += CHUNK
        if self.writing:
            self.writing = max(0.0, self.writing - database)
            if not self.writing:
                self.stored += self.in_flight
                self.in_flight = 0


def simulate(costs: Costs, workers: int, partitions: int, cores: int, database_cores: int) -> float:
    """Events a second of a group.

    Args:
        cores: of the machine that holds the workers; with ``database_cores`` 0 it holds broker
            and database too.
        database_cores: of the database's own machine.
    """
    everyone = [Worker() for _ in range(min(workers, partitions))]
    steps = int(RUN / STEP)
    counted = 0
    for step in range(steps):
        for one in everyone:
            one.begin(costs)
        transforming = sum(bool(one.transforming) for one in everyone)
        writing = sum(bool(one.writing) for one in everyone)
        shared = not database_cores
        # The broker works as much as is being transformed, in proportion.
        broker = transforming * costs.broker / costs.worker if shared else 0.0
        here = min(1.0, cores / max(transforming + broker + (writing if shared else 0), 1e-9))
        there = here if shared else min(1.0, database_cores / max(writing, 1e-9))
        for one in everyone:
            one.advance(STEP * here, STEP * there)
        if step == steps // 4:
            counted = sum(one.stored for one in everyone)
    return (sum(one.stored for one in everyone) - counted) / (RUN * 0.75)


def main() -> int:
    """Print the table; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale")
    parser.add_argument("--worker", type=float, required=True, help="µs an event")
    parser.add_argument("--database", type=float, required=True, help="µs an event")
    parser.add_argument("--broker", type=float, default=0.5, help="µs an event")
    options = parser.parse_args()
    costs = Costs(options.worker, options.database, options.broker)
    print(
        "| workers | one machine of 2 cores | workers' own 8, database's own 8 |\n|---|---:|---:|"
    )
    for workers in (1, 2, 4, 8):
        together = simulate(costs, workers, 8, cores=2, database_cores=0)
        apart = simulate(costs, workers, 8, cores=8, database_cores=8)
        print(f"| {workers} | {together:,.0f} | {apart:,.0f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
