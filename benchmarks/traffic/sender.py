"""Events at a steady rate, from a process of its own: what looks at the table cannot hold it up."""

import argparse
import signal
import sys
import time
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaError, Message, Producer

from benchmarks.traffic.mixes import sale
from benchmarks.traffic.topics import PRODUCER, numbered
from dev import ROOT
from dev.servers.processes import Process, StartError

#: Seconds between bursts, and events of one at most: later ones have a later time written down.
PAUSE, BURST = 0.01, 5_000
#: Seconds until the broker has all that was sent.
FLUSH_TIMEOUT = 60


class Sender:
    """Sends events to a topic's partitions in turn, within a ``with`` block.

    They are those of ``sale``: each becomes a row.

    Args:
        bootstrap, topic, partitions: where to.
        rate: events a second.
        first: number of the first event. From ``POOL`` on they are as quick to make as to send.
        total: how many events.
        scratch: a folder for what it writes down.
    """

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        partitions: int,
        *,
        rate: int,
        total: int,
        scratch: Path,
        first: int = 0,
    ) -> None:
        self._first = first
        self._course = scratch / f"sent-from-{first}"
        self._command = [sys.executable, "-m", "benchmarks.traffic.sender", bootstrap, topic]
        self._command += map(str, (partitions, rate, first, total, self._course))
        self._log = scratch / "sender.log"
        #: When each burst began, and how many events had been sent when it ended.
        self._times: list[float] = []
        self._totals: list[int] = []
        self._unread = ""

    def __enter__(self) -> Self:
        self._course.touch()
        self._file = self._course.open()
        self._process = Process(self._command, self._log, cwd=ROOT)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._file.close()

    @property
    def sent(self) -> int:
        """How many events have been sent so far."""
        self._read()
        return self._totals[-1] if self._totals else 0

    @property
    def done(self) -> bool:
        """Whether the broker has every event.

        Raises:
            StartError: it ended without having sent them all.
        """
        status = self._process.exit_code
        self._read()
        if status:
            raise StartError(f"Not all events could be sent: {self._process.log_text()}")
        return status == 0

    def stop(self) -> None:
        """Send no more, and wait until the broker has what was sent."""
        self._process.signal(signal.SIGTERM)
        self._process.wait(FLUSH_TIMEOUT + 1)
        assert self.done

    @property
    def ended(self) -> float:
        """The monotonic time of the last burst that was seen."""
        return self._times[-1]

    @property
    def rate(self) -> float:
        """Events a second, from the first burst to the last one that was seen."""
        passed = self._times[-1] - self._times[0] if self._times else 0.0
        # The first burst was due by its time already.
        return (self._totals[-1] - self._totals[0]) / passed if passed else 0.0

    def when(self, number: int) -> float:
        """The monotonic time, or slightly before, at which the event of this number was sent."""
        return self._times[bisect_right(self._totals, number - self._first)]

    def sent_by(self, at: float) -> int:
        """How many events had been sent at a monotonic time."""
        place = bisect_left(self._times, at)
        return self._totals[place - 1] if place else 0

    def _read(self) -> None:
        *lines, self._unread = (self._unread + self._file.read()).split("\n")
        for line in lines:
            at, total = line.split()
            self._times.append(float(at))
            self._totals.append(int(total))


def main(arguments: Sequence[str] | None = None) -> int:
    """Send, and write down how many events were sent when; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.traffic.sender")
    for name in ("bootstrap", "topic"):
        parser.add_argument(name)
    for name in ("partitions", "rate", "first", "total"):
        parser.add_argument(name, type=int)
    parser.add_argument("course", type=Path)
    to = parser.parse_args(arguments)
    failures: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failures.append(error)

    producer = Producer(
        {
            **PRODUCER,
            "linger.ms": 5,
            "bootstrap.servers": to.bootstrap,
            "queue.buffering.max.messages": 1_000_000,
            "delivery.report.only.error": True,
            "on_delivery": delivered,
        }
    )
    values = (value for value, _, _ in numbered(sale))
    # As long as the pool of events is being made, the rate could not be kept.
    deque(islice(values, to.first), maxlen=0)
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ended.append(number))
    sent, begun = 0, time.monotonic()
    with to.course.open("w", buffering=1) as course:
        while sent < to.total and not ended:
            now = time.monotonic()
            due = min(to.total, int((now - begun) * to.rate)) - sent
            # One call for a burst: a call for each event would cost as much as the event.
            burst = [
                {"value": value, "partition": (sent + place) % to.partitions}
                for place, value in enumerate(islice(values, min(due, BURST)))
            ]
            if burst:
                producer.produce_batch(to.topic, burst)
                failures += [one["_error"] for one in burst if "_error" in one]
                sent += len(burst)
                course.write(f"{now:.6f} {sent}\n")
            producer.poll(0)
            time.sleep(PAUSE)
    left = producer.flush(FLUSH_TIMEOUT)
    if left or failures:
        print(f"{left} events are left, and {failures[:1]} happened.", file=sys.stderr)
    return int(bool(left or failures))


if __name__ == "__main__":
    sys.exit(main())
