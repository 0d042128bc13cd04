"""Looks at the newest events of a partition: whether its producer sends good ones again."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from pipeline.chunk import Chunk
from pipeline.partition import Partition
from pipeline.record import Record
from pipeline.stream import Stream

#: How many are judged, and the seconds that Kafka has to answer.
COUNT = 100
TIMEOUT = 5.0


class Log(Protocol):
    """What is needed of the consumer."""

    async def newest(self, partition: Partition, count: int) -> Sequence[Record]:
        """A partition's newest events, about so many; none where Kafka does not answer."""


class NewestEvents:
    """Judges them as a circuit breaker would.

    Args:
        stream: what they are events of.
        log: reads them.
        share: of dead letters from which on they are bad.
    """

    def __init__(self, stream: Stream, log: Log, share: float) -> None:
        self._stream = stream
        self._log = log
        self._share = share

    async def are_good(self, partition: Partition) -> bool:
        """Whether they are good; False where that is not known."""
        try:
            async with asyncio.timeout(TIMEOUT):
                records = await self._log.newest(partition, COUNT)
        except TimeoutError:
            return False
        chunk = Chunk.transform(self._stream, partition, 0, 0, records)
        return len(chunk.dead) < self._share * chunk.events
