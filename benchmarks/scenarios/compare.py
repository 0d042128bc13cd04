"""This app beside its peers: each program once a round, in an order that turns with the rounds."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from benchmarks.measuring.programs import OURS, Program
from benchmarks.measuring.runs import run
from benchmarks.measuring.stage import Stage
from benchmarks.peers.peer_list import PROGRAMS
from benchmarks.reports import report
from benchmarks.scenarios.rounds import as_json, in_rounds
from benchmarks.traffic.mixes import shop
from dev.servers.processes import StartError


def compare(
    stage: Stage, rounds: int, *, quick: bool, scale: float = 1.0, only: Sequence[str] = ()
) -> tuple[str, Any]:
    """Run every program that can be started; returns a table and the runs for JSON.

    Args:
        quick: with the programs and sizes of the short comparison.
        scale: of the sizes, for trying out.
        only: parts of names, to leave out the others.
    """
    chosen, left_out = _choose(quick, only)
    chosen = [
        replace(
            program,
            events=int(scale * (program.quick if quick else program.events)),
            batch=int(scale * program.batch),
        )
        for program in chosen
    ]
    topics = {}
    for size in sorted({program.events for program in chosen}):
        print(f"Filling a topic with {size:,} events …", file=sys.stderr)
        topics[size] = stage.topic(size, shop)
    done = in_rounds(
        rounds, [partial(run, stage, program, topics[program.events]) for program in chosen]
    )
    lacks = {program.name: program.lacks for program in chosen}
    text = report.comparison(OURS.name, done, left_out, lacks)
    return text, as_json(done)


def _choose(quick: bool, only: Sequence[str]) -> tuple[list[Program], dict[str, str]]:
    wanted = [program for program in PROGRAMS if program.quick or not quick]
    if only:
        wanted = [
            program
            for program in wanted
            if any(part.lower() in program.name.lower() for part in only)
        ]
    if not wanted:
        names = ", ".join(program.name for program in PROGRAMS)
        raise StartError(f"--only names no program: it may be part of {names}.")
    left_out = {program.name: why for program in wanted if (why := program.missing())}
    return [program for program in wanted if program.name not in left_out], left_out
