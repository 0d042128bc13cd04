"""Rounds of runs of this app, and the table that holds each run beside the first of its round."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Any

from benchmarks.measuring.programs import OURS, Program
from benchmarks.measuring.runs import Run, run
from benchmarks.measuring.stage import Stage
from benchmarks.reports import report
from benchmarks.traffic.topics import Topic


def each(
    stage: Stage,
    rounds: int,
    topics: dict[str, Topic],
    program: Program = OURS,
    prepare: str = "",
    *,
    sums: bool = False,
) -> list[list[Run]]:
    """The program on each topic by name; ``prepare`` is a statement for its empty database."""
    return in_rounds(
        rounds,
        [
            partial(run, stage, replace(program, name=name), topic, prepare, sums=sums)
            for name, topic in topics.items()
        ],
    )


def in_rounds(rounds: int, measurements: Sequence[Callable[[], Run]]) -> list[list[Run]]:
    """What each measurement came to, round by round; their order turns, as neighbours matter."""
    done = []
    for number in range(rounds):
        turn = number % len(measurements)
        found = []
        for measure in [*measurements[turn:], *measurements[:turn]]:
            one = measure()
            print(f"round {number + 1}/{rounds} {report.line(one)}", file=sys.stderr, flush=True)
            found.append(one)
        # As they were given.
        done.append(found[-turn:] + found[:-turn] if turn else found)
    return done


def table(rounds: list[list[Run]]) -> str:
    """Each beside the first of its round."""
    rows = []
    for place, first in enumerate(rounds[0]):
        column = [one[place] for one in rounds]
        wrong = next((run.wrong for run in column if run.wrong), "")
        faster = beside(rounds, place, 0)
        dearer = [one[place].micros / one[0].micros for one in rounds if one[0].micros]
        rows.append(
            [
                f"{first.program} (WRONG: {wrong})" if wrong else first.program,
                report.spread([run.rate for run in column], ",.0f"),
                f"{median(faster):.2f}" if faster else "–",
                report.spread([run.micros for run in column], ".1f"),
                f"{median(dearer):.2f}" if dearer else "–",
                report.spread([run.peak_memory / 1e6 for run in column], ".0f"),
            ]
        )
    head = ["", "events/s", "beside the first", "CPU µs/event", "beside the first"]
    return report.table([*head, "peak memory (MB)"], rows)


def beside(rounds: list[list[Run]], place: int, other: int) -> list[float]:
    """One rate over the other, of the rounds in which the other had a steady state."""
    return [one[place].rate / one[other].rate for one in rounds if one[other].rate]


def as_json(rounds: list[list[Run]]) -> list[list[dict[str, Any]]]:
    """The same for JSON."""
    return [[report.as_json(one) for one in found] for found in rounds]
