"""``python -m tests.chaos.campaign``: random faults under traffic, and a table of the outcome.

The same seed does the same faults in the same order. Each round sends numbered events, does one
fault meanwhile, waits until all is stored, and counts: each valid event must be one row, each bad
one one dead letter, the ledger must add up to the tables, and the stored offsets be the logs' ends.

Codecs change from round to round; every third round sends in transactions, of which some are
aborted. The second half of the rounds is done with ``DEDUPLICATE=true``, and sends events twice.
"""

import argparse
import platform
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from dev.audit import Sent, engine
from dev.servers.apache_kafka import ApacheKafka
from dev.servers.broker import Broker
from dev.servers.chosen_broker import choose
from dev.servers.processes import Folder, StartError
from tests.chaos.cluster_faults import CLUSTER_FAULTS
from tests.chaos.faults import BROKER_FAULTS, FAULTS, Fault
from tests.chaos.stage import TOPIC, Stage
from tests.chaos.transactions import TransactionalTraffic
from tests.helpers.three_brokers import ThreeBrokers
from tests.helpers.traffic import Traffic
from tests.helpers.worker import wait_until

#: Events a second, from before each fault until after it.
RATE = 1000
#: One for each round in turn.
CODECS = ("lz4", "none", "gzip", "snappy", "zstd")
#: Share of the good events that are sent twice where workers deduplicate.
AGAIN = 0.05
#: Events that were stored.
_LEDGER = "SELECT SUM(valid + malformed + invalid + unstorable) FROM batches"
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

    def add(self, other: "Result") -> None:
        """Add what other rounds added up to."""
        self.times += other.times
        self.events += other.events
        self.missing += other.missing
        self.doubled += other.doubled
        self.stall = max(self.stall, other.stall)


@dataclass(frozen=True)
class Count:
    """The database against what was sent."""

    stored: int
    distinct: int
    ledger: int
    #: Offsets that were not read.
    left: int

    def is_exact(self, sent: int) -> bool:
        return self.stored == self.distinct == self.ledger == sent and not self.left


def count(stage: Stage) -> Count:
    """Count rows and dead letters, distinct ones, and what ledger and offsets say."""
    url = stage.url
    with engine(url).connect() as connection:
        found = connection.execute(
            text(
                "SELECT"
                " (SELECT COUNT(*) FROM flash_sale_events)"
                " + (SELECT COUNT(*) FROM dead_letters),"
                " (SELECT COUNT(DISTINCT event_id) FROM flash_sale_events)"
                " + (SELECT COUNT(DISTINCT kafka_key) FROM dead_letters),"
                f" ({_LEDGER}),"
                " (SELECT SUM(next_offset) FROM stream_offsets)"
            )
        ).one()
    stored, distinct, ledger, offsets = (int(number or 0) for number in found)
    return Count(stored, distinct, ledger, stage.end() - offsets)


class Watch:
    """The longest time in which the ledger did not grow, while there was more to store."""

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
                    now = connection.scalar(text(_LEDGER))
            except SQLAlchemyError:
                now = last
            if now != last or now == len(self._sent):
                last, moved = now, time.monotonic()
            self.longest = max(self.longest, time.monotonic() - moved)


def drawn(faults: Sequence[Fault], seed: int) -> Iterator[Fault]:
    """Every fault once before any comes again, in an order that the seed decides; without end."""
    random = Random(seed)
    while True:
        yield from random.sample(faults, len(faults))


def run(stage: Stage, order: Iterator[Fault], rounds: int, seed: int) -> dict[str, Result]:
    """Do so many rounds, each with the next fault; returns the results by fault."""
    random = Random(seed)
    results: defaultdict[str, Result] = defaultdict(Result)
    sent = Sent()
    for number in range(rounds):
        fault = next(order)
        before = len(sent)
        with Watch(stage.url, sent) as watch:
            traffic, how = _traffic(stage, sent, number)
            time.sleep(random.uniform(0.5, 1.5))
            fault(stage)
            time.sleep(0.5)
            traffic.stop()
            found = _wait_for_all(stage, len(sent))
        missing, doubled = len(sent) - found.distinct, found.stored - found.distinct
        events = len(sent) - before
        results[fault.__name__].add(Result(1, events, missing, doubled, watch.longest))
        print(
            f"round {number + 1}/{rounds} {fault.__name__}: {events} events ({how}), "
            f"{missing} missing, {doubled} doubled, stalled {watch.longest:.1f} s",
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


def _traffic(stage: Stage, sent: Sent, number: int) -> tuple[Traffic, str]:
    """The traffic of a round, and what is special about it."""
    in_transactions = number % 3 == 1 and stage.broker.has_admin
    codec = CODECS[number % len(CODECS)]
    kind = TransactionalTraffic if in_transactions else Traffic
    traffic = kind(
        stage.broker,
        TOPIC,
        rate=RATE,
        sent=sent,
        seed=number,
        compression=codec,
        again=AGAIN if stage.deduplicate else 0,
    )
    return traffic, codec + ", in transactions" * in_transactions


def _wait_for_all(stage: Stage, sent: int) -> Count:
    def complete() -> bool:
        stage.heal()
        return count(stage).is_exact(sent)

    try:
        wait_until(complete, COMPLETION_TIMEOUT)
    except AssertionError:
        print(f"Not complete after {COMPLETION_TIMEOUT} s.", flush=True)
    # A doubled row may come late.
    time.sleep(0.5)
    return count(stage)


def table(results: Mapping[str, Result]) -> str:
    """The results as Markdown."""
    lines = ["| fault | times | events | missing | doubled | longest stall (s) |"]
    lines.append("|---|---:|---:|---:|---:|---:|")
    total = Result()
    for name, one in results.items():
        lines.append(_line(name.replace("_", " "), one))
        total.add(one)
    return "\n".join([*lines, _line("all", total)])


def _line(name: str, one: Result) -> str:
    return (
        f"| {name} | {one.times} | {one.events} | {one.missing} | {one.doubled} | {one.stall:.1f} |"
    )


def cast_of(brokers: int) -> tuple[type[Broker], tuple[Fault, ...], str]:
    """What a stage has for a broker, the faults it bears, and a sentence that says so.

    Args:
        brokers: how many, 1 or 3.

    Raises:
        StartError: three were asked for, and Apache Kafka is not here.
    """
    kind, why = choose()
    if brokers == 1:
        return kind, FAULTS + (BROKER_FAULTS if kind.can_restart else ()), why
    if kind is not ApacheKafka:
        raise StartError(f"Three brokers are Apache Kafka's newest. {why}")
    return ThreeBrokers, FAULTS + CLUSTER_FAULTS, f"{why} Three of them."


def main() -> int:
    """Run a campaign; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.campaign")
    parser.add_argument("--rounds", type=int, default=28)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--brokers", type=int, choices=[1, 3], default=1, help="of Apache Kafka")
    options = parser.parse_args()
    kind, faults, why = cast_of(options.brokers)
    print(f"{why} Seed {options.seed}, {options.rounds} rounds, {platform.machine()}.", flush=True)
    order = drawn(faults, options.seed)
    results: defaultdict[str, Result] = defaultdict(Result)
    started, ended_alone = 0, []
    second = options.rounds // 2
    for deduplicate, rounds in ((False, options.rounds - second), (True, second)):
        print(f"DEDUPLICATE={str(deduplicate).lower()}", flush=True)
        with (
            Folder("chaos") as folder,
            Stage(folder, kind, options.seed, deduplicate=deduplicate) as stage,
        ):
            for name, result in run(stage, order, rounds, options.seed).items():
                results[name].add(result)
            started += stage.started
            ended_alone += stage.ended_alone
    print(table(results))
    print(f"Workers started: {started}; ended by themselves: {len(ended_alone)}.")
    for last_words in ended_alone:
        print(f"  {last_words}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
