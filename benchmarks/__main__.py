"""``python -m benchmarks``: measure this app, beside its peers or in scenarios of its own."""

import argparse
import signal
import sys
from types import FrameType

from benchmarks import BENCH, report
from benchmarks.compare import compare
from benchmarks.machine import describe
from benchmarks.stage import Stage
from local.processes import Folder, StartError


def main() -> int:
    """Run what is asked for; returns the exit status."""
    options = _options()
    signal.signal(signal.SIGTERM, _end)
    try:
        with Folder("bench") as folder, Stage(folder) as stage:
            machine = describe(stage)
            text, results = compare(
                stage,
                options.rounds,
                quick=options.what == "quick",
                scale=options.scale,
                only=options.only,
            )
            print(f"\n{text}\n", flush=True)
            path = report.save(BENCH / "results", options.what, text, machine, results)
            print(f"Saved in {path.parent} as {path.name} and {path.stem}.json.")
    except StartError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("what", choices=["quick", "full"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of events")
    parser.add_argument("--only", nargs="*", default=[], help="parts of programs' names")
    return parser.parse_args()


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
