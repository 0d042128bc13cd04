"""``python -m benchmarks``: measure this app, beside its peers or in scenarios of its own."""

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from benchmarks import BENCH
from benchmarks.measuring.machine import describe
from benchmarks.measuring.stage import Stage
from benchmarks.peers.versions import versions
from benchmarks.reports import report, targets
from benchmarks.scenarios import SCENARIOS
from benchmarks.scenarios.compare import compare
from dev.servers.processes import Folder, StartError

#: Where nothing else is asked for; other scenarios have three, and those that are long have one.
ROUNDS = {"quick": 2, "full": 3, "partitions": 2, "workers": 2, "rows": 2}

#: Below it a topic may have no events.
LEAST_SCALE = 0.001


def main() -> int:
    """Run what is asked for; returns the exit status, 3 where a target of the whole is missed."""
    options = _options()
    signal.signal(signal.SIGTERM, _end)
    measured: dict[str, Any] = {}
    try:
        with Folder("bench") as folder, Stage(folder) as stage:
            machine = {**describe(stage), "peers": versions()}
            everything = options.what == "full" and not options.only
            for name in [options.what, *(SCENARIOS if everything else ())]:
                text, results = _measure(stage, name, options)
                measured[name] = results
                print(f"\n{text}\n", flush=True)
                path = report.save(options.results, name, text, machine, results)
                print(f"Saved in {path.parent} as {path.name} and {path.stem}.json.")
            text, reached = targets.check(measured, _kind(stage))
            if text:
                print(f"\n{text}\n", flush=True)
                report.save(options.results, "targets", text, machine, {})
    except StartError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 3 if everything and not reached else 0


def _kind(stage: Stage) -> str:
    """The server, as targets name it."""
    if not stage.server.is_mysql:
        return targets.MARIADB
    loads = stage.database_settings()["local_infile"] == "1"
    return targets.MYSQL_LOADS if loads else targets.MYSQL


def _measure(stage: Stage, name: str, options: argparse.Namespace) -> tuple[str, Any]:
    rounds = options.rounds or ROUNDS.get(name, 3)
    if name in SCENARIOS:
        return SCENARIOS[name](stage, rounds, options.scale)
    return compare(stage, rounds, quick=name == "quick", scale=options.scale, only=options.only)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("what", choices=["quick", "full", *SCENARIOS])
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of events")
    parser.add_argument("--only", nargs="*", default=[], help="parts of programs' names")
    parser.add_argument("--results", type=Path, default=BENCH / "results", help="a folder")
    options = parser.parse_args()
    if options.scale < LEAST_SCALE or (options.rounds is not None and options.rounds < 1):
        parser.error(f"--rounds must be at least 1 and --scale {LEAST_SCALE}")
    return options


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
