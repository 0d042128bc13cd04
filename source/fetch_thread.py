"""The thread that talks to Kafka; it alone touches aiokafka's consumer."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import FetchError
from aiokafka.errors import (
    ConsumerStoppedError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)
from faust.types import TP
from mode import Service
from mode.utils.logging import get_logger

from pipeline.errors import FatalError
from pipeline.flush.refetch import Refetched
from pipeline.log_events import named
from pipeline.memory import Memory
from pipeline.partition import Partition
from pipeline.record import LastRecord
from source import commit_reporter
from source.commit_reporter import CommitReporter
from source.continuity import Continuity
from source.fetch import Fetch
from source.gathering import Gathering
from source.log_reader import Bounds, LogReader
from source.patches import PartitionBatches
from source.quiet import QuietThread
from source.records.batches import Portion
from source.start_offsets import RESET_HINT, Position, first_available

log = get_logger(__name__)

#: Maximum bytes of a fetch, and of a broker's answer: several thousand ordinary events. More costs
#: memory and gains no speed.
PORTION_BYTES = 1024 * 1024
ANSWER_BYTES = 8 * 1024 * 1024

#: Approximate bytes of a record's object without its key and value.
_RECORD_BYTES = 150

#: Seconds after which aiokafka looks at its partitions even if nothing has happened.
_LOOK_INTERVAL = 2.0


class FetchThread(QuietThread):
    """Faust's consumer thread, which delivers fetches and waits while memory is full.

    Args:
        consumer: Faust's consumer.
        memory: limits what is read.
        logs: reads the topic's logs.
        read_committed: whether records of aborted transactions are skipped.
        gathering: when to fetch.
    """

    _replaced: FatalError | None = None

    def __init__(
        self,
        consumer: Any,
        *,
        memory: Memory,
        logs: LogReader,
        read_committed: bool,
        gathering: Gathering,
        **kwargs: Any,
    ) -> None:
        super().__init__(consumer, **kwargs)
        self._memory = memory
        self._logs = logs
        self._read_committed = read_committed
        self._gathering = gathering
        self._next: dict[TP, int] = {}
        self._continuity = Continuity(logs)
        self.commits = CommitReporter(self._commit_offsets)
        #: Paused partitions; the main thread replaces the whole set.
        self.held: frozenset[TP] = frozenset()

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # Faust has no settings for these; aiokafka reads them when it starts.
        consumer._isolation_level = "read_committed" if self._read_committed else "read_uncommitted"
        consumer._fetch_max_bytes = ANSWER_BYTES
        consumer._consumer_timeout = _LOOK_INTERVAL
        return consumer

    @Service.task
    async def _report_commits(self) -> None:
        await self.commits.keep_reporting()

    async def on_thread_stop(self) -> None:
        # The last write is done by now.
        await self.commits.report(commit_reporter.LAST_COMMIT_TIMEOUT)
        await super().on_thread_stop()
        await self._logs.close()

    def _stopped_set(self) -> None:
        if self.thread_loop.is_closed():
            # After a crash the thread may have ended by itself; Faust would log a traceback.
            self._stopped.set()
        else:
            super()._stopped_set()

    async def _fetch_records(
        self,
        consumer: AIOKafkaConsumer,
        active_partitions: set[TP],
        timeout: float | None = None,  # noqa: ASYNC109 - Faust's signature
        max_records: int | None = None,
    ) -> dict[TP, list[Fetch]]:
        """Like Faust's, with one ``Fetch`` in place of a partition's records.

        aiokafka's own method loses records: if one partition raises, it drops the records already
        taken from others, whose positions have moved.

        Raises:
            UnreadableBatchError: all that is left is a batch that cannot be read.
            FatalError: the log is not the one that was read.
        """
        if not self.consumer.flow_active:
            return {}
        timeout = timeout or 0.0
        if not self._readable(consumer, active_partitions):
            await asyncio.sleep(min(timeout, 0.1))
            return {}
        if not await self._gathering.is_over(consumer, timeout):
            return {}
        if not await self._memory.wait_for_room(timeout):
            return {}
        fetcher = consumer._fetcher
        if consumer._closed or fetcher._closed:
            raise ConsumerStoppedError
        with consumer._subscription.fetch_context():
            found = await self._take_known(consumer, active_partitions, max_records or 1)
            if not found:
                await _wait_for_data(fetcher, timeout)
                found = await self._take_known(consumer, active_partitions, max_records or 1)
            if found and not fetcher._records:
                self._gathering.took(consumer, {tp: fetch for tp, (fetch,) in found.items()})
            if not found:
                await self._raise_errors(consumer, active_partitions)
        return found

    def _readable(self, consumer: AIOKafkaConsumer, active: set[TP]) -> set[TP]:
        """Partitions that may be read now; a rebalance or a pause can change them at any await."""
        if consumer._subscription.reassignment_in_progress:
            return set()
        return (active & self._next.keys()) - self.held

    async def _take_known(
        self, consumer: AIOKafkaConsumer, active: set[TP], max_records: int
    ) -> dict[TP, list[Fetch]]:
        """Take what has arrived and continues what was read.

        Raises:
            OtherLogError: the log is not the one that was read.
        """
        wanted = self._readable(consumer, active)
        arrived = {
            tp: one._partition_records
            for tp, one in consumer._fetcher._records.items()
            if tp in wanted and not isinstance(one, FetchError)
        }
        epochs = {tp: batches.next_epoch for tp, batches in arrived.items() if batches}
        await self._continuity.compare(epochs)
        return self._take(consumer, active, max_records)

    def _take(
        self, consumer: AIOKafkaConsumer, active: set[TP], max_records: int
    ) -> dict[TP, list[Fetch]]:
        """Take what has arrived, within limits. No await, so that records and positions agree."""
        wanted = self._readable(consumer, active)
        room = min(max_records, self._memory.room)
        size = PORTION_BYTES
        fetches = {}
        fetcher = consumer._fetcher
        for tp in list(fetcher._records):
            arrived = fetcher._records[tp]
            if tp not in wanted:
                if not fetcher._subscriptions.is_assigned(tp):
                    del fetcher._records[tp]
                continue
            if isinstance(arrived, FetchError):
                continue
            portion = Portion([], 0, -1)
            batches: PartitionBatches | None = None
            if arrived.has_more() and arrived.check_assignment(tp):
                batches = arrived._partition_records
                if not self._continuity.is_known(tp, batches.next_epoch):
                    continue
                portion = batches.take(room, size)
                arrived._update_position()
            if batches is None or batches.is_done:
                del fetcher._records[tp]
                fetcher._notify(fetcher._wait_consume_future)
            if batches and (fetch := self._fetch(tp, portion, batches.position)):
                fetches[tp] = [fetch]
            room -= len(portion.records)
            size -= portion.size
            if room <= 0 or size <= 0:
                break
        return fetches

    def _fetch(self, tp: TP, portion: Portion, end: int) -> Fetch | None:
        """The fetch up to the position ``end``; None if the position has not moved.

        The last record may lie before it: compaction, aborted transactions and markers leave
        offsets without a record.
        """
        start = self._next[tp]
        if end <= start:
            return None
        records, size, epoch = portion
        self._next[tp] = end
        last = LastRecord.of(records[-1], epoch) if records else None
        if last is not None:
            self._continuity.read(tp, last)
        lease = self._memory.hold(len(records), size + _RECORD_BYTES * len(records))
        return Fetch(start, end, records, last, lease)

    async def _raise_errors(self, consumer: AIOKafkaConsumer, active: set[TP]) -> None:
        fetcher = consumer._fetcher
        wanted = self._readable(consumer, active)
        for tp in [tp for tp in fetcher._records if tp in wanted]:
            arrived = fetcher._records[tp]
            if not isinstance(arrived, FetchError):
                batches: PartitionBatches | None = arrived._partition_records
                if batches and batches.error:
                    raise batches.error
                continue
            del fetcher._records[tp]
            fetcher._notify(fetcher._wait_consume_future)
            try:
                arrived.check_raise()
            except NoOffsetForPartitionError:
                # aiokafka asks for a committed offset before the first seek; Kafka may have none.
                continue
            except OffsetOutOfRangeError as error:
                await self._seek_available(consumer, error)

    async def _seek_available(
        self, consumer: AIOKafkaConsumer, error: OffsetOutOfRangeError
    ) -> None:
        for tp, offset in error.args[0].items():
            partition = Partition(*tp)
            bounds = (await self._logs.bounds([partition]))[partition]
            if tp not in self._next or _position(consumer, tp) != offset:
                continue  # from before the last seek
            if offset > bounds.end:
                raise FatalError(
                    f"Offset {offset} of {partition} is beyond the log's end "
                    f"{bounds.end}: the topic was recreated or truncated. {RESET_HINT}"
                )
            consumer.seek(tp, first_available(partition, offset, bounds).seek)

    @property
    def group_error(self) -> BaseException | None:
        """The error that ended the consumer's membership, if any; aiokafka then never rejoins."""
        if self._replaced:
            return self._replaced
        task = self._consumer and self._consumer._coordinator._coordination_task
        return task.exception() if task and task.done() and not task.cancelled() else None

    def retry_join(self) -> None:
        """Retry joining the group after an error that aiokafka raises only at the next fetch.

        There is no fetch before partitions are assigned, so it would wait for ever.
        """
        if self._consumer and self._consumer._coordinator._pending_exception:
            self.thread_loop.call_soon_threadsafe(self._take_error, self._consumer._coordinator)

    def _take_error(self, coordinator: Any) -> None:
        try:
            coordinator.check_errors()
        except FatalError as error:
            self._replaced = error
        except KafkaError as error:
            log.warning(
                "Joining the consumer group failed, retrying: %r", error, extra=named("join_failed")
            )

    async def bounds(self, partitions: Collection[Partition]) -> dict[Partition, Bounds]:
        """Bounds of the partitions' logs, from the broker."""
        found = await self.call_thread(self._logs.bounds, partitions)
        return cast(dict[Partition, Bounds], found)

    async def ping(self, topic: str) -> None:
        """Verify that a broker answers."""
        await self.call_thread(self._logs.ping, topic)

    async def identify(
        self, records: Mapping[Partition, LastRecord]
    ) -> dict[Partition, LastRecord | None]:
        """The log's records at the offsets of these."""
        if not records:
            return {}
        found = await self.call_thread(self._logs.identify, records)
        return cast(dict[Partition, LastRecord | None], found)

    async def refetch(self, partition: Partition, offsets: Sequence[int]) -> Refetched:
        """Some of the records at these offsets; see ``LogReader.refetch``."""
        return cast(Refetched, await self.call_thread(self._logs.refetch, partition, offsets))

    async def seek_to(self, positions: Mapping[TP, Position]) -> None:
        """Deliver these partitions, from their positions, and no others."""
        await self.call_thread(self._seek_to, positions)

    async def _seek_to(self, positions: Mapping[TP, Position]) -> None:
        consumer = self._ensure_consumer()
        assigned = consumer.assignment()
        kept = {tp: position for tp, position in positions.items() if tp in assigned}
        for tp, position in kept.items():
            consumer.seek(tp, position.seek)
        self._next = {tp: position.start for tp, position in kept.items()}
        self._continuity.begin({tp: position.last for tp, position in kept.items()})

    async def seek_back(self, partition: TP, offset: int) -> None:
        """Deliver a partition again from an offset; ignored for one that is not delivered."""
        await self.call_thread(self._seek_back, partition, offset)

    async def _seek_back(self, partition: TP, offset: int) -> None:
        consumer = self._ensure_consumer()
        if partition in self._next and partition in consumer.assignment():
            consumer.seek(partition, offset)
            self._next[partition] = offset

    async def _commit_offsets(self, offsets: Mapping[TP, int]) -> None:
        await commit_reporter.commit(self._ensure_consumer(), offsets)


async def _wait_for_data(fetcher: Any, timeout: float) -> None:  # noqa: ASYNC109 - a limit
    """Wait until something arrives.

    Raises:
        aiokafka.errors.KafkaError: this account may no longer use the group.
    """
    waiter = fetcher._create_fetch_waiter()
    await asyncio.wait([waiter], timeout=timeout)
    if waiter.done():
        waiter.result()
    else:
        waiter.cancel()


def _position(consumer: AIOKafkaConsumer, tp: TP) -> int | None:
    """The offset that the consumer reads next; None if unknown, as during a rebalance."""
    assignment = consumer._subscription.subscription.assignment
    state = assignment and assignment.state_value(tp)
    return state.position if state and state.has_valid_position else None
