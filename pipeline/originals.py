"""Refused events as they were sent: read again from Kafka while a write waits in its thread.

A chunk keeps no values of valid events. If the database refuses their rows, the writer needs those
values after all: in a blocking thread, with a transaction open. So it asks the event loop for them
in portions, each bounded in bytes by the reader and in time here.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from typing import NamedTuple

from mode.utils.logging import get_logger

from pipeline.errors import TransientError
from pipeline.record import Record

log = get_logger(__name__)

#: Seconds that Kafka has for a portion: less than a session may be idle in mid transaction.
REREAD_TIMEOUT = 10.0
#: Seconds that the event loop has beyond that; if it does not answer by then, it has ended.
_GRACE = 5.0


class Portion(NamedTuple):
    """Those records at the offsets asked for that lie below ``end``; others there are gone."""

    records: Sequence[Record]
    end: int


#: Reads some of the events at these offsets of a topic's partition (ascending, at least one), at
#: least as far as the first of them; None where Kafka does not answer.
Reread = Callable[[str, int, Sequence[int]], Awaitable[Portion | None]]
#: The same for a thread: each of the offsets with its event, or None where it is not to be had.
ReadAgain = Callable[[str, int, Sequence[int]], Iterable[tuple[int, Record | None]]]


class Originals:
    """Reads events again for one try of a write.

    Args:
        reread: reads a portion, on the loop.
        loop: the event loop.
    """

    def __init__(self, reread: Reread, loop: asyncio.AbstractEventLoop) -> None:
        self._reread = reread
        self._loop = loop
        self._silent = False

    def read(
        self, topic: str, partition: int, offsets: Sequence[int]
    ) -> Iterator[tuple[int, Record | None]]:
        """See ``ReadAgain``. Blocking; once Kafka has not answered it is not asked again.

        Raises:
            TransientError: the event loop has ended.
        """
        while offsets:
            portion = None if self._silent else self._ask(topic, partition, offsets)
            if portion is None:
                self._silent = True
                portion = Portion((), offsets[-1] + 1)
            found = {record.offset: record for record in portion.records}
            border = max(1, bisect_left(offsets, portion.end))
            for offset in offsets[:border]:
                yield offset, found.pop(offset, None)
            offsets = offsets[border:]

    def _ask(self, topic: str, partition: int, offsets: Sequence[int]) -> Portion | None:
        question = self._answer(topic, partition, offsets)
        try:
            answer = asyncio.run_coroutine_threadsafe(question, self._loop)
        except RuntimeError as error:
            question.close()
            raise _ended() from error
        try:
            return answer.result(REREAD_TIMEOUT + _GRACE)
        except (TimeoutError, CancelledError) as error:
            answer.cancel()
            raise _ended() from error

    async def _answer(self, topic: str, partition: int, offsets: Sequence[int]) -> Portion | None:
        try:
            async with asyncio.timeout(REREAD_TIMEOUT):
                return await self._reread(topic, partition, offsets)
        except TimeoutError:
            log.warning(
                "Events of %s/%d from offset %d on cannot be read again: no answer in %.0f s.",
                topic,
                partition,
                offsets[0],
                REREAD_TIMEOUT,
            )
            return None


def _ended() -> TransientError:
    # Dead letters made without what was sent would be wrong: Kafka may well have it.
    return TransientError(
        "The worker is stopping, and cannot read refused events again.", "interrupted"
    )
