"""Refetches events from Kafka whose rows the database rejected, while the write waits.

A chunk keeps no values of valid events. If the database rejects their rows, the writer needs the
values, in a blocking thread with an open transaction. It asks the event loop for them in parts; the
reader limits the bytes of each, this module the time.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from typing import NamedTuple

from mode.utils.logging import get_logger

from pipeline.errors import TransientError
from pipeline.log_events import named
from pipeline.partition import Partition
from pipeline.record import Record

log = get_logger(__name__)

#: Seconds to wait for a part: less than a session may be idle within a transaction.
REFETCH_TIMEOUT = 10.0
#: Further seconds after which an event loop that has not answered counts as ended.
_GRACE = 5.0


class Refetched(NamedTuple):
    """The records found below ``end``; the other offsets below it have none any more."""

    records: Sequence[Record]
    end: int


#: Fetches some of a partition's events at these offsets (ascending, at least one): the first one
#: and as many more as fit. None if Kafka does not answer.
RefetchSome = Callable[[Partition, Sequence[int]], Awaitable[Refetched | None]]
#: The same for a thread, all of them: each offset and its event, or None if Kafka has none.
Refetch = Callable[[Partition, Sequence[int]], Iterable[tuple[int, Record | None]]]


class Refetcher:
    """Refetches events for one attempt of a write.

    Args:
        refetch_some: fetches a part of them, on the loop.
        loop: the event loop.
    """

    def __init__(self, refetch_some: RefetchSome, loop: asyncio.AbstractEventLoop) -> None:
        self._refetch_some = refetch_some
        self._loop = loop
        self._is_silent = False

    def refetch(
        self, partition: Partition, offsets: Sequence[int]
    ) -> Iterator[tuple[int, Record | None]]:
        """See ``Refetch``. Blocking; after one timeout Kafka is not asked again.

        Raises:
            TransientError: the event loop has ended.
        """
        while offsets:
            found = None if self._is_silent else self._ask(partition, offsets)
            if found is None:
                self._is_silent = True
                found = Refetched((), offsets[-1] + 1)
            records = {record.offset: record for record in found.records}
            border = max(1, bisect_left(offsets, found.end))
            for offset in offsets[:border]:
                yield offset, records.pop(offset, None)
            offsets = offsets[border:]

    def _ask(self, partition: Partition, offsets: Sequence[int]) -> Refetched | None:
        question = self._answer(partition, offsets)
        try:
            answer = asyncio.run_coroutine_threadsafe(question, self._loop)
        except RuntimeError as error:
            question.close()
            raise _ended() from error
        try:
            return answer.result(REFETCH_TIMEOUT + _GRACE)
        except (TimeoutError, CancelledError) as error:
            answer.cancel()
            raise _ended() from error

    async def _answer(self, partition: Partition, offsets: Sequence[int]) -> Refetched | None:
        try:
            async with asyncio.timeout(REFETCH_TIMEOUT):
                return await self._refetch_some(partition, offsets)
        except TimeoutError:
            log.warning(
                "Events of %s from offset %d on cannot be refetched: no answer in %.0f s.",
                partition,
                offsets[0],
                REFETCH_TIMEOUT,
                extra=named("refetch_failed", partition=str(partition)),
            )
            return None


def _ended() -> TransientError:
    # Dead letters without the original values would be wrong: Kafka may still have them.
    return TransientError(
        "The worker is stopping, and cannot refetch rejected events.", "interrupted"
    )
