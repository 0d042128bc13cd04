"""``python -m tests.chaos.campaign``: random faults under traffic, and a table of the outcome.

The same seed does the same faults in the same order. Each round sends numbered events, does one
fault meanwhile, waits until all is stored, and counts: each valid event must be one row, each bad
one one dead letter, the ledger must add up to the tables, the stored offsets to what was sent.
"""

import argparse
import platform
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from dev.audit import Sent, engine
from dev.servers.broker import choose
from dev.servers.processes import Folder
from tests.chaos.faults import BROKER_FAULTS, FAULTS, Fault
from tests.chaos.stage import TOPIC, Stage
from tests.helpers.traffic import Traffic
from tests.helpers.worker import wait_until

#: Events a second, from before each fault until after it.
RATE = 1000
#: Seconds a round may take to store everything after its fault is over.
COMPLETION_TIMEOUT = 90


@dataclass
class Result:
    """What the rounds of one fault added up to; ``stall`` is the longest time without progress."""

    times: int = 0
    events: int = 0
    missing: int = 0
    doubled: int = 0
    stall: float = 0.0


@dataclass(frozen=True)
class Count:
    """The database against what was sent."""

    stored: int
    distinct: int
    ledger: int
    offsets: int

    def is_exact(self, sent: int) -> bool:
        return self.stored == self.distinct == self.ledger == self.offsets == sent


def count(url: str) -> Count:
    """Count rows and dead letters, distinct ones, and what ledger and offsets say."""
    with engine(url).connect() as connection:
        found = connection.execute(
            text(
                "SELECT"
                " (SELECT COUNT(*) FROM flash_sale_events)"
                " + (SELECT COUNT(*) FROM dead_letters),"
                " (SELECT COUNT(DISTINCT event_id) FROM flash_sale_events)"
                " + (SELECT COUNT(DISTINCT kafka_key) FROM dead_letters),"
                " (SELECT SUM(valid + malformed + invalid + unstorable) FROM batches),"
                " (SELECT SUM(next_offset) FROM stream_offsets)"
            )
        ).one()
    return Count(*(int(number or 0) for number in found))


class Watch:
    """The longest time in which the stored offsets did not move, while there was more to store."""

    def __init__(self, url: str, sent: Sent) -> None:
        self._url = url
        self._sent = sent
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.longest = 0.0

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        last, moved = -1, time.monotonic()
        while not self._over.wait(0.1):
            try:
                with engine(self._url).connect() as connection:
                    now = connection.scalar(text("SELECT SUM(next_offset) FROM stream_offsets"))
            except SQLAlchemyError:
                now = last
            if now != last or now == len(self._sent):
                last, moved = now, time.monotonic()
            self.longest = max(self.longest, time.monotonic() - moved)


def run(stage: Stage, faults: Sequence[Fault], rounds: int, seed: int) -> dict[str, Result]:
    """Do the rounds; returns the results by fault.

    Every fault comes once before any comes again, in an order that the seed decides.
    """
    random = Random(seed)
    results = {fault.__name__: Result() for fault in faults}
    sent = Sent()
    order: list[Fault] = []
    for number in range(rounds):
        order = order or random.sample(faults, len(faults))
        fault = order.pop()
        before = len(sent)
        with Watch(stage.url, sent) as watch:
            traffic = Traffic(stage.broker, TOPIC, rate=RATE, sent=sent, seed=number)
            time.sleep(random.uniform(0.5, 1.5))
            fault(stage)
            time.sleep(0.5)
            traffic.stop()
            found = _wait_for_all(stage, len(sent))
        result = results[fault.__name__]
        result.times += 1
        result.events += len(sent) - before
        result.missing += len(sent) - found.distinct
        result.doubled += found.stored - found.distinct
        result.stall = max(result.stall, watch.longest)
        print(
            f"round {number + 1}/{rounds} {fault.__name__}: {len(sent) - before} events, "
            f"{len(sent) - found.distinct} missing, {found.stored - found.distinct} doubled, "
            f"stalled {watch.longest:.1f} s",
            flush=True,
        )
        if not found.is_exact(len(sent)):
            print(f"NOT EXACT: {len(sent)} sent, {found}; {sent.audit(stage.url)}", flush=True)
            break
    verdict = sent.audit(stage.url)
    print(verdict, flush=True)
    if not verdict.exact:
        raise SystemExit(f"Seed {seed}: not every event is stored exactly once.")
    return results


def _wait_for_all(stage: Stage, sent: int) -> Count:
    def complete() -> bool:
        stage.heal()
        return count(stage.url).is_exact(sent)

    try:
        wait_until(complete, COMPLETION_TIMEOUT)
    except AssertionError:
        print(f"Not complete after {COMPLETION_TIMEOUT} s.", flush=True)
    # A doubled row may come late.
    time.sleep(0.5)
    return count(stage.url)


def table(results: dict[str, Result]) -> str:
    """The results as Markdown."""
    lines = ["| fault | times | events | missing | doubled | longest stall (s) |"]
    lines.append("|---|---:|---:|---:|---:|---:|")
    total = Result()
    for name, one in results.items():
        lines.append(_line(name.replace("_", " "), one))
        total.times += one.times
        total.events += one.events
        total.missing += one.missing
        total.doubled += one.doubled
        total.stall = max(total.stall, one.stall)
    return "\n".join([*lines, _line("all", total)])


def _line(name: str, one: Result) -> str:
    return (
        f"| {name} | {one.times} | {one.events} | {one.missing} | {one.doubled} | {one.stall:.1f} |"
    )


def main() -> int:
    """Run a campaign; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.campaign")
    parser.add_argument("--rounds", type=int, default=28)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    kind, why = choose()
    print(f"{why} Seed {options.seed}, {options.rounds} rounds, {platform.machine()}.", flush=True)
    faults = FAULTS + (BROKER_FAULTS if kind.can_restart else ())
    with Folder("chaos") as folder, Stage(folder, kind, options.seed) as stage:
        results = run(stage, faults, options.rounds, options.seed)
        print(table(results))
        print(f"Workers started: {stage.started}; ended by themselves: {len(stage.ended_alone)}.")
        for last_words in stage.ended_alone:
            print(f"  {last_words}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
