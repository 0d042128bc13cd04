"""Queries the logs of partitions: their bounds, and single records.

It has its own connections: on the consumer's a request would wait behind a fetch that the broker
holds open until something arrives.
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
    NodeNotReadyError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
    for_code,
)
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.offset import OffsetRequest
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_fixed

from pipeline.flush.refetch import Refetched
from pipeline.partition import Partition, by_topic
from pipeline.record import LastRecord, Record
from source.patches import PartitionBatches
from source.records.batches import FetchedBatches

#: Attempts, and seconds between them, while a partition has no leader or a new one.
_ATTEMPTS = 10
_PAUSE = 0.3
#: Concurrent requests for records.
_PARALLEL = 16
#: Approximate maximum bytes of an answer, and of the records refetched from it.
_PORTION_BYTES = 1 << 20
#: Records parsed at once while looking for them.
_LOOK_AT = 500
#: Milliseconds the broker may wait before it answers a fetch.
_MAX_WAIT = 500


class Bounds(NamedTuple):
    """Offsets of a partition's first event and of the next one to be written.

    ``stable`` is where the first open transaction begins, or the end; None if unknown.
    """

    beginning: int
    end: int
    stable: int | None = None

    @property
    def readable(self) -> int:
        """The end for a reader of committed events only."""
        return self.end if self.stable is None else self.stable


class Found(NamedTuple):
    """A record, and the leader epoch under which it was written."""

    record: Record
    epoch: int


class LogReader:
    """Reads from logs without a consumer group.

    Args:
        brokers: addresses, ``host:port`` each.
        options: TLS and login, for aiokafka's client.

    Raises (every method):
        aiokafka.errors.KafkaError: the brokers did not answer.
    """

    def __init__(self, brokers: list[str], options: Mapping[str, Any]) -> None:
        self._brokers = brokers
        self._options = options
        self._client: AIOKafkaClient | None = None
        self._connecting = asyncio.Lock()

    async def ping(self, topic: str) -> None:
        """Verify that a broker answers, by what it knows of a topic."""
        client = await self._connected([topic])
        if not await client.force_metadata_update():
            raise NodeNotReadyError(", ".join(self._brokers))

    async def partitions(self, topic: str) -> list[Partition]:
        """A topic's partitions; none if there is no such topic.

        Raises:
            aiokafka.errors.TopicAuthorizationFailedError: the account may not see it.
        """
        client = await self._connected([topic])
        for _ in range(_ATTEMPTS):
            await client.force_metadata_update()
            if topic in client.cluster.unauthorized_topics:
                raise TopicAuthorizationFailedError(topic)
            if numbers := client.cluster.partitions_for_topic(topic):
                return [Partition(topic, number) for number in sorted(numbers)]
            # Some brokers may not know a new topic yet.
            await asyncio.sleep(_PAUSE)
        return []

    async def bounds(self, partitions: Collection[Partition]) -> dict[Partition, Bounds]:
        """Bounds of the partitions' logs."""
        beginnings, ends, stable = await asyncio.gather(
            self._offsets(partitions, OffsetResetStrategy.EARLIEST, READ_UNCOMMITTED),
            self._offsets(partitions, OffsetResetStrategy.LATEST, READ_UNCOMMITTED),
            self._offsets(partitions, OffsetResetStrategy.LATEST, READ_COMMITTED),
        )
        return {one: Bounds(beginnings[one], ends[one], stable[one]) for one in ends}

    async def offsets_at(
        self, partitions: Collection[Partition], moment: int
    ) -> dict[Partition, int | None]:
        """Offset of the first event at or after a moment (ms since 1970); None if there is none."""
        found = await self._offsets(partitions, moment, READ_UNCOMMITTED)
        return {one: None if offset < 0 else offset for one, offset in found.items()}

    async def read(self, partition: Partition, offset: int) -> Found | None:
        """The record at an offset; None if there is none, or if it cannot be read."""
        try:
            batches = await self._batches(partition, offset, 1)
        except OffsetOutOfRangeError:
            return None
        records, _, epoch = batches.take(1, 1)
        if not records or records[0].offset != offset:
            return None
        return Found(records[0], epoch)

    async def refetch(self, partition: Partition, offsets: Sequence[int]) -> Refetched:
        """Some of the records at these offsets (ascending, at least one).

        One pass over one answer of about a megabyte, which begins at the first of the offsets;
        other records in it are ignored.
        """
        try:
            batches = await self._batches(partition, offsets[0], _PORTION_BYTES)
        except OffsetOutOfRangeError:
            beginning = (await self.bounds([partition]))[partition].beginning
            # Retention removed them; or the log ends earlier, and all of them are gone.
            return Refetched((), beginning if beginning > offsets[0] else offsets[-1] + 1)
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
            return Refetched(found, batches.position)
        # Nothing can be read at the first of them: skip an unreadable batch; without one, the log
        # ends here.
        return Refetched((), batches.unreadable.after if batches.unreadable else offsets[-1] + 1)

    async def scan(self, partition: Partition, start: int, end: int) -> AsyncIterator[Record]:
        """The records with offsets in ``[start, end)``, including those of aborted transactions.

        Unreadable batches are skipped.
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

    async def identify(
        self, records: Mapping[Partition, LastRecord]
    ) -> dict[Partition, LastRecord | None]:
        """The log's records at the offsets of these, by partition; None where there is none."""
        turn = asyncio.Semaphore(_PARALLEL)

        async def look(partition: Partition, known: LastRecord) -> LastRecord | None:
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
        self, partitions: Collection[Partition], moment: int, isolation: int
    ) -> dict[Partition, int]:
        async for attempt in self._retrying():
            with attempt:
                return await self._ask_offsets(partitions, moment, isolation)
        raise AssertionError("an attempt returns or raises")

    async def _ask_offsets(
        self, partitions: Collection[Partition], moment: int, isolation: int
    ) -> dict[Partition, int]:
        client = await self._connected({one.topic for one in partitions})
        by_node: dict[int, list[Partition]] = defaultdict(list)
        for partition in partitions:
            by_node[_leader(client, partition)].append(partition)
        answers = await asyncio.gather(
            *(
                _send(client, node, OffsetRequest(-1, isolation, _moments(asked, moment)))
                for node, asked in by_node.items()
            )
        )
        offsets = {}
        for answer in answers:
            for topic, found in answer.topics:
                for number, code, *_, offset in found:
                    partition = Partition(topic, number)
                    _check(code, partition)
                    offsets[partition] = offset
        return offsets

    async def _batches(self, partition: Partition, offset: int, size: int) -> FetchedBatches:
        """The log from an offset: at most ``size`` bytes, but at least one batch."""
        asked = [(partition.topic, [(partition.number, offset, size)])]
        request = FetchRequest(_MAX_WAIT, 1, size, READ_UNCOMMITTED, asked)
        async for attempt in self._retrying():
            with attempt:
                data = await self._fetch(partition, request)
        return FetchedBatches(data or b"", offset, None, PartitionBatches.limit)

    async def _fetch(self, partition: Partition, request: FetchRequest) -> bytes | None:
        client = await self._connected([partition.topic])
        answer = await _send(client, _leader(client, partition), request)
        for _, found in answer.topics:
            for _, code, *_, data in found:
                _check(code, partition)
                return bytes(data or b"")
        return None

    async def _connected(self, topics: Collection[str]) -> AIOKafkaClient:
        """The client; it knows the leaders of these topics' partitions."""
        async with self._connecting:
            if self._client is None:
                client = AIOKafkaClient(bootstrap_servers=self._brokers, **self._options)
                try:
                    await client.bootstrap()
                except BaseException:
                    await client.close()
                    raise
                self._client = client
            for topic in topics:
                await self._client.add_topic(topic)
            return self._client

    def _retrying(self) -> AsyncRetrying:
        async def refresh(_: Any) -> None:
            if self._client is not None:
                await self._client.force_metadata_update()

        return AsyncRetrying(
            retry=retry_if_exception(lambda e: isinstance(e, KafkaError) and bool(e.retriable)),
            stop=stop_after_attempt(_ATTEMPTS),
            wait=wait_fixed(_PAUSE),
            before_sleep=refresh,
            reraise=True,
        )


async def _send(client: AIOKafkaClient, node: int, request: Any) -> Any:
    """Like the client's; an error names the broker."""
    try:
        return await client.send(node, request)
    except KafkaError as error:
        broker = client.cluster.broker_metadata(node)
        address = f" at {broker.host}:{broker.port}" if broker else ""
        error.args = (f"broker {node}{address}",)
        raise


def _leader(client: AIOKafkaClient, partition: Partition) -> int:
    node = client.cluster.leader_for_partition(TopicPartition(*partition))
    if node is None or node == -1:
        raise LeaderNotAvailableError(partition)
    return int(node)


def _moments(
    partitions: Collection[Partition], moment: int
) -> list[tuple[str, list[tuple[int, int]]]]:
    """The partitions of a request for the offsets at a moment, in the protocol's form."""
    return [
        (topic, [(number, moment) for number in numbers])
        for topic, numbers in by_topic(partitions).items()
    ]


def _check(code: int, partition: Partition) -> None:
    if code:
        raise for_code(code)(partition)
