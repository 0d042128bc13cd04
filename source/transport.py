"""A Faust transport that delivers whole fetches and goes on from where the database says.

Faust spends 80 to 100 µs of event loop on every message; here one message carries a whole fetch
of one partition. Only the methods named in ``OVERRIDDEN`` differ from Faust's own; flow control,
generations and backpressure are Faust's. Written against faust-streaming 0.15.3 and
aiokafka 0.14.0; a test fails when one of these names is gone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic
from typing import Any, NamedTuple, cast

import faust
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage
from mode import Service
from mode.utils.logging import get_logger

from pipeline.chunk import Record
from pipeline.ending import end_worker
from pipeline.errors import FatalError, TransientError
from source.record_batches import install
from source.start_offsets import Bounds, LogEndError, Position, passing_over

log = get_logger(__name__)

Resolver = Callable[[Mapping[int, Bounds]], Awaitable[Mapping[int, Position]]]
Listener = Callable[[Mapping[int, Position]], None]

#: Seconds to wait for the database during a rebalance before going on without it; well below
#: Faust's own limit (broker_request_timeout), past which its recovery ends and never returns.
PATIENCE = 10
RETRY_PAUSE = 2

#: Seconds for which a log may end before the stored offset: a broker that was killed tells the end
#: it last wrote down, until it has looked.
SETTLING = 6

#: What this module replaces in Faust, for the test that guards an upgrade.
OVERRIDDEN = {
    driver.AIOKafkaConsumerThread: ("_fetch_records",),
    driver.Consumer: ("_getmany", "_new_consumer_thread", "_to_message", "seek_to_committed"),
    driver.Transport: ("Consumer",),
    fetcher.PartitionRecords: ("_consumer_record",),
}


class Fetch(NamedTuple):
    """Records of one partition, sorted by offset, covering offsets ``[start, end)``."""

    start: int
    end: int
    records: list[Record]


class PassThrough(faust.Schema[Any, Any]):
    """Hands a fetch to the agent as it is: what Faust cannot decode it acknowledges and loses."""

    def loads_key(self, app: Any, message: Any, **kwargs: Any) -> Any:
        return None

    def loads_value(self, app: Any, message: Any, **kwargs: Any) -> Any:
        return message.value


class FetchThread(driver.AIOKafkaConsumerThread):
    """The thread that talks to Kafka; it alone touches aiokafka's consumer."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._next: dict[TP, int] = {}

    async def _fetch_records(
        self,
        consumer: AIOKafkaConsumer,
        active_partitions: set[TP],
        timeout: float | None = None,  # noqa: ASYNC109 - Faust's signature
        max_records: int | None = None,
    ) -> dict[TP, list[Fetch]]:
        """Like Faust's, with one ``Fetch`` in place of a partition's records."""
        positioned = active_partitions & self._next.keys()
        if not positioned:
            await asyncio.sleep(timeout or 0)
            return {}
        try:
            records = await super()._fetch_records(
                consumer, positioned, timeout=timeout, max_records=max_records
            )
        except NoOffsetForPartitionError:
            # aiokafka asks for a committed offset before the first seek; none is kept there.
            return {}
        except OffsetOutOfRangeError as error:
            await self._pass_over(consumer, error)
            return {}
        # A seek while the fetch was under way may have taken partitions away.
        return {
            tp: [self._fetch(consumer, tp, found)]
            for tp, found in records.items()
            if found and tp in self._next
        }

    def _fetch(self, consumer: AIOKafkaConsumer, tp: TP, records: list[Record]) -> Fetch:
        # The position, not the last record, says what is done: compaction and transaction
        # markers leave offsets without a record.
        end = _position(consumer, tp)
        fetch = Fetch(self._next[tp], end, records)
        self._next[tp] = end
        return fetch

    async def _pass_over(self, consumer: AIOKafkaConsumer, error: OffsetOutOfRangeError) -> None:
        for tp, offset in error.args[0].items():
            if tp not in self._next or _position(consumer, tp) != offset:
                continue  # of a fetch from before the last seek
            bounds = (await self._bounds(consumer, [tp]))[tp]
            if offset > bounds.end:
                raise FatalError(
                    f"Offset {offset} of {tp.topic}/{tp.partition} is beyond the log's end "
                    f"{bounds.end}: the topic was recreated or truncated. `faust -A app offsets "
                    f"reset` begins it anew."
                )
            consumer.seek(tp, passing_over(tp.topic, tp.partition, offset, bounds).seek)

    @property
    def group_error(self) -> BaseException | None:
        """What ended the consumer's part in its group, if anything did: aiokafka never rejoins."""
        task = self._consumer and self._consumer._coordinator._coordination_task
        return task.exception() if task and task.done() and not task.cancelled() else None

    def retry_join(self) -> None:
        """Go on joining the group after an error that aiokafka keeps for whoever fetches next.

        Nobody fetches before partitions are assigned, so it would wait for ever.
        """
        if self._consumer and self._consumer._coordinator._pending_exception:
            self.thread_loop.call_soon_threadsafe(self._take_error, self._consumer._coordinator)

    def _take_error(self, coordinator: Any) -> None:
        try:
            coordinator.check_errors()
        except KafkaError as error:
            log.warning("Joining the consumer group failed, trying again: %r", error)

    async def bounds(self, tps: set[TP]) -> dict[TP, Bounds]:
        """Bounds of the partitions' logs, asked of the broker."""
        return cast(
            dict[TP, Bounds], await self.call_thread(self._bounds, self._ensure_consumer(), tps)
        )

    async def _bounds(self, consumer: AIOKafkaConsumer, tps: Any) -> dict[Any, Bounds]:
        return await log_bounds(consumer, tps)

    async def seek_to(self, positions: Mapping[TP, Position]) -> None:
        """Deliver these partitions from their positions on, and no others."""
        await self.call_thread(self._seek_to, positions)

    async def _seek_to(self, positions: Mapping[TP, Position]) -> None:
        consumer = self._ensure_consumer()
        assigned = consumer.assignment()
        kept = {tp: position for tp, position in positions.items() if tp in assigned}
        for tp, position in kept.items():
            consumer.seek(tp, position.seek)
        self._next = {tp: position.start for tp, position in kept.items()}

    async def report(self, offsets: Mapping[TP, int]) -> None:
        """Commit offsets to Kafka for lag monitors; a failure is logged and forgotten."""
        await self.call_thread(self._report, offsets)

    async def _report(self, offsets: Mapping[TP, int]) -> None:
        consumer = self._ensure_consumer()
        assigned = consumer.assignment()
        mine = {tp: OffsetAndMetadata(n, "") for tp, n in offsets.items() if tp in assigned}
        try:
            if mine:
                await consumer.commit(mine)
        except KafkaError as error:
            log.info("Offsets not reported to Kafka (harmless, they are in MySQL): %s", error)


class FetchConsumer(driver.Consumer):
    """Turns fetches into messages and asks the database where to go on."""

    _thread: FetchThread
    _positioned_generation: int | None = None
    _beyond_since: float | None = None

    def _new_consumer_thread(self) -> FetchThread:
        return FetchThread(self, loop=self.loop, beacon=self.beacon)

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:
        fetch: Fetch = record
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            fetch.end - 1,
            (fetch.records[0].timestamp or 0) / 1000,
            0,
            None,
            None,
            cast(bytes, fetch),
            None,
            0,
            0,
            tp,
            generation_id=self.app.consumer_generation_id,
        )

    @Service.timer(1.0)
    async def _look_at_group(self) -> None:
        await self.check_group()

    async def check_group(self) -> None:
        """Retry a join that failed; end the worker if it is out of its group for good."""
        self._thread.retry_join()
        error = self._thread.group_error
        if error and not self.should_stop:
            await end_worker(
                self, FatalError(f"Out of the consumer group for good, a restart is due: {error!r}")
            )

    @property
    def positioned(self) -> bool:
        """Whether it is known where every assigned partition, if any, goes on."""
        return (
            not self.assignment() or self.app.consumer_generation_id == self._positioned_generation
        )

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek to the offsets in the database. Faust calls it after every rebalance."""
        generation = self.app.consumer_generation_id
        await self._thread.seek_to({})
        try:
            return await asyncio.wait_for(self._position(), PATIENCE)
        except FatalError as error:
            await end_worker(self, error)
        except (TransientError, KafkaError, TimeoutError) as error:
            log.warning("Where to go on is not known yet, asking again: %s", error)
            self.add_future(self._position_later(generation))
        return {}

    async def _getmany(
        self,
        active_partitions: set[TP] | None,
        timeout: float,  # noqa: ASYNC109 - Faust's signature
    ) -> Any:
        try:
            return await super()._getmany(active_partitions, timeout)
        except FatalError as error:
            await end_worker(self, error)
            return {}

    async def report(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Commit offsets to Kafka for lag monitors; never raises for a broker's error."""
        await self._thread.report(
            {cast(TP, TopicPartition(*tp)): offset for tp, offset in offsets.items()}
        )

    async def bounds(self) -> dict[TP, Bounds]:
        """Bounds of the assigned partitions' logs, asked of the broker."""
        tps = self.assignment()
        return await self._thread.bounds(tps) if tps else {}

    async def _position(self) -> Mapping[TP, int]:
        generation = self.app.consumer_generation_id
        bounds = await self.bounds()
        transport = cast(FetchTransport, self.transport)
        try:
            positions = await transport.resolve({tp.partition: at for tp, at in bounds.items()})
        except LogEndError as error:
            self._beyond_since = self._beyond_since or monotonic()
            if monotonic() - self._beyond_since < SETTLING:
                raise TransientError(str(error)) from error
            raise
        self._beyond_since = None
        if generation != self.app.consumer_generation_id:
            # Faust asks more than once, and the answer of before a rebalance may come after the
            # one that counts.
            return {}
        seeks = {tp: positions[tp.partition] for tp in bounds}
        await self._thread.seek_to(seeks)
        self._positioned_generation = generation
        transport.positioned({tp.partition: position for tp, position in seeks.items()})
        return {tp: position.start for tp, position in seeks.items()}

    async def _position_later(self, generation: int) -> None:
        while not self.should_stop and generation == self.app.consumer_generation_id:
            await self.sleep(RETRY_PAUSE)
            try:
                self._read_offset.update(await self._position())
            except FatalError as error:
                await end_worker(self, error)
                return
            except (TransientError, KafkaError) as error:
                log.warning("Where to go on is not known yet, asking again: %s", error)
            else:
                log.info("Going on from the offsets in the database.")
                return


class FetchTransport(driver.Transport):
    """Faust's Kafka transport with the consumer above.

    Args:
        url: brokers.
        app: the Faust app.
        resolve: answers the positions of partitions of which it is given the bounds.
        positioned: is told the positions of all partitions assigned, when they are sought.
    """

    Consumer = FetchConsumer

    def __init__(self, url: Any, app: Any, resolve: Resolver, positioned: Listener) -> None:
        super().__init__(url, app)
        self.resolve = resolve
        self.positioned = positioned
        install()


def _position(consumer: AIOKafkaConsumer, tp: TP) -> int:
    state = consumer._subscription.subscription.assignment.state_value(tp)
    return cast(int, state.position)


async def log_bounds(consumer: AIOKafkaConsumer, tps: Any) -> dict[Any, Bounds]:
    """Bounds of partitions' logs.

    Raises:
        aiokafka.errors.KafkaError: the broker did not answer.
    """
    beginnings = await consumer.beginning_offsets(tps)
    ends = await consumer.end_offsets(tps)
    return {tp: Bounds(beginnings[tp], ends[tp]) for tp in tps}
