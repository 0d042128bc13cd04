"""Numbered events on their way to Kafka in the background."""

import math
import threading
import time
from collections.abc import Callable, Sequence
from itertools import islice
from random import Random
from typing import Any

from confluent_kafka import Producer

from commands.traffic.simulator import Event, Outcome, events
from dev.audit import Audit, Sent, count_stored
from dev.servers.broker import Broker
from tests.helpers.worker import wait_until


class Traffic:
    """Sends numbered events until the count is reached or it is stopped.

    Args:
        rate: events a second.
        count: how many; None for no end.
        sent: where they are remembered; numbers continue after those in it.
        bad: share of events that must become dead letters.
        compression: as librdkafka names it; "none" for none.
        again: share of the good events that are sent twice.
    """

    def __init__(
        self,
        broker: Broker,
        topic: str,
        *,
        rate: float,
        count: int | None = None,
        sent: Sent | None = None,
        seed: int = 1,
        bad: float = 0.05,
        compression: str = "lz4",
        again: float = 0.0,
    ) -> None:
        self.sent = Sent() if sent is None else sent
        self._again = again
        self._random = Random(seed)
        self._producer = self._connect(
            {
                "bootstrap.servers": broker.bootstrap,
                # So that a broker that dies is not sent anything twice.
                "enable.idempotence": True,
                "linger.ms": 20,
                "compression.type": compression,
                "message.timeout.ms": 180_000,
                "log_level": 0,
            }
        )
        self._topic = topic
        self._rate = rate
        self._first = len(self.sent)
        self._count = float("inf") if count is None else count
        self._events = events(seed=seed, prefix="fault", bad=bad, first=self._first)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        started = time.monotonic()
        done = 0
        while done < self._count and not self._stop.is_set():
            due = min(self._count, (time.monotonic() - started) * self._rate)
            now = list(islice(self._events, max(0, math.ceil(due) - done)))
            self._send(now)
            done += len(now)
            self._producer.poll(0)
            time.sleep(0.02)

    @staticmethod
    def _connect(settings: dict[str, Any]) -> Producer:
        return Producer(settings)

    def _send(self, events: Sequence[Event]) -> None:
        for event in events:
            self._produce(event)
            self.sent.add(event)

    def _produce(self, event: Event) -> None:
        again = event.outcome == Outcome.ROW and self._random.random() < self._again
        for _ in range(1 + again):
            self._producer.produce(self._topic, event.value, key=event.key)

    def finish(self, timeout: float = 120) -> None:
        """Wait until all is sent and acknowledged.

        Raises:
            AssertionError: it is not, after ``timeout`` seconds.
        """
        self._thread.join(timeout)
        assert not self._thread.is_alive()
        assert self._producer.flush(timeout) == 0, "the broker did not take everything"

    def stop(self) -> None:
        """Send no more, and wait as ``finish`` does."""
        self._stop.set()
        self.finish()


def stored_again(url: str) -> float:
    """Wait until more is stored in the database at ``url``; return how many seconds that took."""
    before = count_stored(url)
    return wait_until(lambda: count_stored(url) > before, 60, "more is stored")


def audit(
    url: str, sent: Sent, timeout: float = 60, meanwhile: Callable[[], None] = lambda: None
) -> Audit:
    """Wait until as much is stored as was sent, then compare event by event.

    Raises:
        AssertionError: after ``timeout`` seconds it is not, or something is missing or doubled.
    """

    def all_stored() -> bool:
        meanwhile()
        return count_stored(url) >= len(sent)

    try:
        wait_until(all_stored, timeout, "every event stored")
    finally:
        verdict = sent.audit(url)
        assert verdict.exact, str(verdict)
    return verdict
