"""The rate as the topic gets more partitions, and the group more workers."""

from dataclasses import replace
from functools import partial
from typing import Any

from benchmarks.measuring.programs import OURS, workers
from benchmarks.measuring.runs import run
from benchmarks.measuring.stage import Stage
from benchmarks.scenarios.rounds import as_json, each, in_rounds, table
from benchmarks.traffic.mixes import shop

PARTITIONS = (1, 4, 12, 50, 300)
WORKERS = (1, 2, 4, 8)
#: Partitions of the topic that the workers share: as many for each of them.
SHARED = 16


def partitions(stage: Stage, rounds: int, scale: float) -> tuple[str, Any]:
    """One worker on the same events in one partition and in more."""
    topics = {
        f"{number} partition{'s' * (number > 1)}": stage.topic(
            int(1_000_000 * scale), shop, partitions=number
        )
        for number in PARTITIONS
    }
    done = each(stage, rounds, topics)
    return table(done), as_json(done)


def more_workers(stage: Stage, rounds: int, scale: float) -> tuple[str, Any]:
    """One worker and more on one topic."""
    topic = stage.topic(int(2_000_000 * scale), shop, partitions=SHARED)
    programs = [
        replace(OURS, name=f"{number} worker{'s' * (number > 1)}", start=workers(number))
        for number in WORKERS
    ]
    done = in_rounds(rounds, [partial(run, stage, program, topic) for program in programs])
    return table(done), as_json(done)
