"""This app on servers that are set up as teams run them, beside the one of the benchmark."""

from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

from benchmarks.measuring.programs import OURS, workers
from benchmarks.measuring.runs import run
from benchmarks.measuring.stage import Stage
from benchmarks.scenarios.full_table import INDEX
from benchmarks.scenarios.rounds import as_json, in_rounds, table
from benchmarks.traffic.mixes import shop

#: A replica, a backup or a change feed needs it; every commit then is on disk twice.
BINARY_LOG = ("--log-bin=binlog", "--server-id=1", "--binlog-format=ROW", "--sync-binlog=1")
#: With 1 a bulk load locks the counter until its end, so that workers wait for each other.
LOCK_MODES = (1, 2)
#: Workers that share a table, and partitions of their topic.
WORKERS, PARTITIONS = 4, 8


def servers(stage: Stage, rounds: int, scale: float) -> tuple[str, Any]:
    """A binary log on MariaDB, or MySQL as shipped; an index more; workers who share a counter."""
    alone = stage.topic(int(1_000_000 * scale), shop)
    shared = stage.topic(int(2_000_000 * scale), shop, partitions=PARTITIONS)
    usual = replace(OURS, name="the benchmark's server")
    with ExitStack() as stack:
        other, name = _as_teams_run_it(stage, stack)
        measurements = [
            partial(run, stage, usual, alone),
            partial(run, other, replace(OURS, name=name), alone),
            partial(run, stage, replace(OURS, name="an index on ts"), alone, INDEX),
        ]
        one_worker = len(measurements)
        at = {"the benchmark's server": stage, name: other}
        for mode in LOCK_MODES:
            name = f"innodb_autoinc_lock_mode={mode}"
            at[name] = stack.enter_context(
                stage.with_server(f"counter-{mode}", f"--innodb-autoinc-lock-mode={mode}")
            )
            program = replace(OURS, name=name, start=workers(WORKERS))
            measurements.append(partial(run, at[name], program, shared))
        done = in_rounds(rounds, measurements)
        settings = {name: one.database_settings() for name, one in at.items()}
    text = [
        table([one[:one_worker] for one in done]),
        f"{WORKERS} workers share a table, and a topic of {PARTITIONS} partitions:",
        table([one[one_worker:] for one in done]),
        _differences(settings),
    ]
    return "\n\n".join(text), as_json(done)


def _as_teams_run_it(stage: Stage, stack: ExitStack) -> tuple[Stage, str]:
    """A server of the same kind, and what distinguishes it."""
    if stage.server.is_mysql:
        return stack.enter_context(stage.with_server("shipped", sized=False)), "as shipped"
    name = "binary log (row format, sync_binlog=1)"
    return stack.enter_context(stage.with_server("binary-log", *BINARY_LOG)), name


def _differences(settings: dict[str, dict[str, str]]) -> str:
    """What each server answers that the first does not."""
    [first, *_] = settings.values()
    lines = []
    for name, found in settings.items():
        other = [f"{key}={value}" for key, value in found.items() if first[key] != value]
        if other:
            lines.append(f"- {name}: {', '.join(other)}")
    return "Settings that differ from the benchmark's server:\n\n" + "\n".join(lines)
