"""Lets events gather at the broker while the worker keeps up, instead of fetching a few at a time.

Each fetch has a price, however few events it brings, and rows are written every few seconds only.
So after a fetch that reached the end of the log, the consumer rests: its partitions are paused, and
no request waits at the broker. A rest ends in time for the next flush, so that events are stored as
soon as without it. A worker that is behind never rests, and neither does one for which nothing
comes in: there, a request waits at the broker for the first event.
"""

import asyncio
from collections.abc import Callable, Mapping
from time import monotonic

from aiokafka import AIOKafkaConsumer
from faust.types import TP

from source.fetch import Fetch

#: Seconds that a rest lasts at most, and events for which it need not be longer.
REST = 2.5
WORTH = 2500
#: Seconds before a flush at which a rest ends: what gathered must be fetched and transformed.
LEAD = 0.1


class Gathering:
    """When to fetch. For the consumer's thread alone.

    Args:
        next_flush: when the next flush is due (``time.monotonic``); from another thread.
    """

    def __init__(self, next_flush: Callable[[], float]) -> None:
        self._next_flush = next_flush
        #: When the rest ends; 0 while there is none.
        self._until = 0.0
        #: When the fetch before came.
        self._before = 0.0

    def took(self, consumer: AIOKafkaConsumer, fetches: Mapping[TP, Fetch]) -> None:
        """Rest, if these fetches reached the ends of the logs, and nothing else has arrived.

        To be called before anything is awaited: aiokafka would send the next request.
        """
        now = monotonic()
        since, self._before = now - self._before, now
        if any(fetch.end < (consumer.highwater(tp) or 0) for tp, fetch in fetches.items()):
            return
        events = sum(len(fetch.records) for fetch in fetches.values())
        self._until = now + min(REST, WORTH * since / max(1, events))
        in_time = self._next_flush() - LEAD
        if in_time > now:
            self._until = min(self._until, in_time)
        consumer.pause(*consumer.assignment())

    async def is_over(self, consumer: AIOKafkaConsumer, timeout: float) -> bool:  # noqa: ASYNC109
        """Wait for the end of a rest, for so many seconds at most."""
        if not self._until:
            return True
        left = self._until - monotonic()
        if left > 0:
            await asyncio.sleep(min(left, timeout))
        if left > timeout:
            return False
        self._until = 0.0
        consumer.resume(*consumer.paused())
        return True
