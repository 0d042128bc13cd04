"""Looks into the topic's logs: their bounds, and single records.

On connections of its own: on those of the consumer a question waits behind a fetch that the broker
holds open until something comes in.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED, OffsetResetStrategy
from aiokafka.errors import (
    KafkaError,
    LeaderNotAvailableError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
    for_code,
)
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.offset import OffsetRequest
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_fixed

from pipeline.originals import Portion
from pipeline.record import LastRecord, Record
from source.patches import PartitionBatches
from source.record_batches import FetchedBatches

#: Tries, and seconds between them, while a partition has no leader or another one.
_TRIES = 10
_PAUSE = 0.3
#: Records asked for at the same time.
_PARALLEL = 16
#: Bytes of an answer with records to be read again, and of those that are handed out, about.
_PORTION_BYTES = 1 << 20
#: Records parsed at once while looking for them.
_LOOK_AT = 500
#: How long (ms) the broker may wait for a record that is there.
_MAX_WAIT = 500


class Bounds(NamedTuple):
    """Offsets of a partition's first event and of the one to come after its last.

    ``stable`` is where the first transaction that is still open begins, or the end; None where it
    was not asked for.
    """

    beginning: int
    end: int
    stable: int | None = None

    @property
    def readable(self) -> int:
        """Where a reader of committed events only comes to."""
        return self.end if self.stable is None else self.stable


class Found(NamedTuple):
    """A record, and the leader epoch under which it was written."""

    record: Record
    epoch: int


class LogReader:
    """Reads from a topic without a consumer group.

    Args:
        brokers: addresses, ``host:port`` each.
        topic: the topic.
        options: what aiokafka's client connects with besides.

    Raises (every method):
        aiokafka.errors.KafkaError: the brokers did not answer.
    """

    def __init__(self, brokers: list[str], topic: str, options: Mapping[str, Any]) -> None:
        self._brokers = brokers
        self._topic = topic
        self._options = options
        self._client: AIOKafkaClient | None = None
        self._connecting = asyncio.Lock()

    async def partitions(self) -> list[int]:
        """The topic's partitions; none where there is no such topic.

        Raises:
            aiokafka.errors.TopicAuthorizationFailedError: the account may not see it.
        """
        client = await self._connected()
        for _ in range(_TRIES):
            await client.force_metadata_update()
            if self._topic in client.cluster.unauthorized_topics:
                raise TopicAuthorizationFailedError(self._topic)
            if numbers := client.cluster.partitions_for_topic(self._topic):
                return sorted(numbers)
            # A topic that was made just now is not known to every broker yet.
            await asyncio.sleep(_PAUSE)
        return []

    async def bounds(self, partitions: Collection[int]) -> dict[int, Bounds]:
        """Bounds of the partitions' logs."""
        beginnings, ends, stable = await asyncio.gather(
            self._offsets(partitions, OffsetResetStrategy.EARLIEST, READ_UNCOMMITTED),
            self._offsets(partitions, OffsetResetStrategy.LATEST, READ_UNCOMMITTED),
            self._offsets(partitions, OffsetResetStrategy.LATEST, READ_COMMITTED),
        )
        return {number: Bounds(beginnings[number], ends[number], stable[number]) for number in ends}

    async def offsets_at(self, partitions: Collection[int], moment: int) -> dict[int, int | None]:
        """Offset of the first event at or after a moment (ms since 1970); None for no event."""
        found = await self._offsets(partitions, moment, READ_UNCOMMITTED)
        return {number: None if offset < 0 else offset for number, offset in found.items()}

    async def read(self, partition: int, offset: int) -> Found | None:
        """The record at an offset; None where there is none, or none that can be read."""
        try:
            batches = await self._batches(partition, offset, 1)
        except OffsetOutOfRangeError:
            return None
        records, _, epoch = batches.take(1, 1)
        if not records or records[0].offset != offset:
            return None
        return Found(records[0], epoch)

    async def reread(self, partition: int, offsets: Sequence[int]) -> Portion:
        """Some of the records at these offsets (ascending, at least one).

        One pass over one answer of the broker, of about a megabyte: it begins at the first of the
        offsets, and what comes between them is dropped.
        """
        try:
            batches = await self._batches(partition, offsets[0], _PORTION_BYTES)
        except OffsetOutOfRangeError:
            beginning = (await self.bounds([partition]))[partition].beginning
            # Retention removed them; or the log ends before, and they are all gone.
            return Portion((), beginning if beginning > offsets[0] else offsets[-1] + 1)
        wanted = set(offsets)
        found: list[Record] = []
        size = 0
        while size < _PORTION_BYTES and batches.position <= offsets[-1]:
            records = batches.take(_LOOK_AT, _PORTION_BYTES).records
            if not records:
                break
            for record in records:
                if record.offset in wanted:
                    found.append(record)
                    size += len(record.key or b"") + len(record.value or b"")
        if batches.position > offsets[0]:
            return Portion(found, batches.position)
        # Nothing can be read at the first of them: what cannot be read is passed over, and where
        # nothing comes the log ends.
        return Portion((), batches.unreadable.after if batches.unreadable else offsets[-1] + 1)

    async def scan(self, partition: int, start: int, end: int) -> AsyncIterator[Record]:
        """The records with offsets in ``[start, end)``, also those of aborted transactions.

        What cannot be read is passed over.
        """
        position = start
        while position < end:
            try:
                batches = await self._batches(partition, position, _PORTION_BYTES)
            except OffsetOutOfRangeError:
                return
            while records := batches.take(_LOOK_AT, _PORTION_BYTES).records:
                for record in records:
                    if record.offset < end:
                        yield record
            if batches.unreadable:
                position = batches.unreadable.after
            elif batches.position > position:
                position = batches.position
            else:
                return

    async def identify(self, records: Mapping[int, LastRecord]) -> dict[int, LastRecord | None]:
        """What the log has at the offsets of these records, by partition; None for nothing."""
        turn = asyncio.Semaphore(_PARALLEL)

        async def look(partition: int, known: LastRecord) -> LastRecord | None:
            async with turn:
                found = await self.read(partition, known.offset)
            return found and LastRecord.of(found.record, found.epoch)

        answers = await asyncio.gather(*(look(*one) for one in records.items()))
        return dict(zip(records, answers, strict=True))

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def _offsets(
        self, partitions: Collection[int], moment: int, isolation: int
    ) -> dict[int, int]:
        async for attempt in self._retrying():
            with attempt:
                return await self._ask_offsets(partitions, moment, isolation)
        raise AssertionError("a try returns or raises")

    async def _ask_offsets(
        self, partitions: Collection[int], moment: int, isolation: int
    ) -> dict[int, int]:
        client = await self._connected()
        by_node: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for number in partitions:
            by_node[self._leader(client, number)].append((number, moment))
        answers = await asyncio.gather(
            *(
                client.send(node, OffsetRequest(-1, isolation, [(self._topic, asked)]))
                for node, asked in by_node.items()
            )
        )
        offsets = {}
        for answer in answers:
            for _, found in answer.topics:
                for number, code, *_, offset in found:
                    _check(code, number)
                    offsets[number] = offset
        return offsets

    async def _batches(self, partition: int, offset: int, size: int) -> FetchedBatches:
        """What the log has from an offset on: so many bytes, and one batch at least."""
        asked = [(self._topic, [(partition, offset, size)])]
        request = FetchRequest(_MAX_WAIT, 1, size, READ_UNCOMMITTED, asked)
        async for attempt in self._retrying():
            with attempt:
                data = await self._fetch(partition, request)
        return FetchedBatches(data or b"", offset, None, PartitionBatches.limit)

    async def _fetch(self, partition: int, request: FetchRequest) -> bytes | None:
        client = await self._connected()
        answer = await client.send(self._leader(client, partition), request)
        for _, found in answer.topics:
            for number, code, *_, data in found:
                _check(code, number)
                return bytes(data or b"")
        return None

    def _leader(self, client: AIOKafkaClient, partition: int) -> int:
        node = client.cluster.leader_for_partition(TopicPartition(self._topic, partition))
        if node is None or node == -1:
            raise LeaderNotAvailableError(partition)
        return int(node)

    async def _connected(self) -> AIOKafkaClient:
        async with self._connecting:
            if self._client is None:
                client = AIOKafkaClient(bootstrap_servers=self._brokers, **self._options)
                try:
                    await client.bootstrap()
                    await client.set_topics([self._topic])
                except BaseException:
                    await client.close()
                    raise
                self._client = client
            return self._client

    def _retrying(self) -> AsyncRetrying:
        async def refresh(_: Any) -> None:
            if self._client is not None:
                await self._client.force_metadata_update()

        return AsyncRetrying(
            retry=retry_if_exception(lambda e: isinstance(e, KafkaError) and bool(e.retriable)),
            stop=stop_after_attempt(_TRIES),
            wait=wait_fixed(_PAUSE),
            before_sleep=refresh,
            reraise=True,
        )


def _check(code: int, partition: int) -> None:
    if code:
        raise for_code(code)(partition)
