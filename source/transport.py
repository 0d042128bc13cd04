"""A Faust transport that delivers whole fetches and starts at the offsets in the database.

Faust spends 80 to 100 µs of event loop on every message; here a message carries a whole fetch of
one partition. Only the methods in ``OVERRIDDEN`` differ from Faust's; flow control, generations and
backpressure are Faust's. Written for faust-streaming 0.15.3 and aiokafka 0.14.0; a test fails if
one of these names is gone.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from time import monotonic
from typing import Any, Protocol, cast

import faust
from aiokafka.errors import KafkaError
from faust.sensors import Monitor
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage
from mode import Service
from mode.utils.logging import get_logger

from pipeline.errors import FatalError, TransientError
from pipeline.flush.refetch import Refetched
from pipeline.log_events import named
from pipeline.memory import Memory
from pipeline.partition import Partition
from pipeline.shutdown import end_worker
from source.fetch import Fetch
from source.fetch_thread import FetchThread
from source.gathering import Gathering, Schedule
from source.log_reader import Bounds, LogReader
from source.patches import UnreadableBatchError
from source.start_offsets import LogEndError, Logs, Position

log = get_logger(__name__)

#: Called with the start offset of each assigned partition.
Listener = Callable[[Mapping[Partition, int]], None]

#: Seconds to wait for the database during a rebalance before continuing without it; well below
#: Faust's own limit (broker_request_timeout), at which its recovery ends for good.
RESOLVE_TIMEOUT = 10
RETRY_PAUSE = 2

#: Seconds for which a log may end before the stored offset: a killed broker reports the end of its
#: last checkpoint until it has recovered the log.
SETTLING_TIMEOUT = 6

#: Seconds to wait until the events before an unreadable batch are in the buffer.
HANDOVER_TIMEOUT = 10

#: The overridden names of Faust, for the test that guards an upgrade.
OVERRIDDEN = {
    driver.AIOKafkaConsumerThread: (
        "_create_worker_consumer",
        "_fetch_records",
        "_keepalive2",
        "_stopped_set",
        "_thread_keepalive",
        "on_thread_stop",
    ),
    driver.Consumer: (
        "_getmany",
        "_new_consumer_thread",
        "_to_message",
        "seek_to_committed",
    ),
    driver.Transport: ("Consumer",),
    Monitor: ("_sampler",),
}


class PassThrough(faust.Schema[Any, Any]):
    """Hands a fetch to the agent as it is: Faust loses what it cannot decode."""

    def loads_key(self, app: Any, message: Any, **kwargs: Any) -> Any:
        return None

    def loads_value(self, app: Any, message: Any, **kwargs: Any) -> Any:
        return message.value


class Starts(Protocol):
    """Where partitions start; see ``StartOffsets``."""

    async def resolve(
        self, log_bounds: Mapping[Partition, Bounds], logs: Logs
    ) -> Mapping[Partition, Position]:
        """Positions of the assigned partitions."""

    async def check(self, log_bounds: Mapping[Partition, Bounds], logs: Logs) -> object:
        """Raise if a partition's log is not the one that was read."""


class FetchConsumer(driver.Consumer):
    """Turns fetches into messages, and reads start offsets from the database."""

    _thread: FetchThread
    _positioned_generation: int | None = None
    _beyond_since: float | None = None
    #: Who was asked last for the start offsets.
    _asked = "Kafka"

    def _new_consumer_thread(self) -> FetchThread:
        transport = cast(FetchTransport, self.transport)
        return FetchThread(
            self,
            memory=transport.memory,
            logs=transport.logs,
            read_committed=transport.read_committed,
            gathering=Gathering(transport.flusher),
            loop=self.loop,
            beacon=self.beacon,
        )

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:
        fetch: Fetch = record
        # Faust drops what lies below the last offset it saw, and the circuit breaker goes back.
        # Only the thread knows where reading continues.
        self._read_offset.pop(tp, None)
        first = fetch.records[0].timestamp if fetch.records else 0
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            fetch.end - 1,
            (first or 0) / 1000,
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
        """Retry a failed join; end the worker if it has left its group for good."""
        self._thread.retry_join()
        error = self._thread.group_error
        if error and not self.should_stop:
            if not isinstance(error, FatalError):
                error = FatalError(
                    f"The worker has left its consumer group for good, restart it: {error!r}"
                )
            end_worker(self, error)

    @property
    def positioned(self) -> bool:
        """Whether the start offsets of all assigned partitions are known."""
        return (
            not self.assignment() or self.app.consumer_generation_id == self._positioned_generation
        )

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek to the offsets in the database. Faust calls it after every rebalance."""
        generation = self.app.consumer_generation_id
        self._thread.commits.forget()
        await self._thread.seek_to({})
        try:
            return await asyncio.wait_for(self._position(), RESOLVE_TIMEOUT)
        except FatalError as error:
            end_worker(self, error)
        except (TransientError, KafkaError, TimeoutError) as error:
            reason: object = error
            if isinstance(error, TimeoutError):
                reason = f"no answer from {self._asked} for {RESOLVE_TIMEOUT} s"
            log.warning(
                "The start offsets are not known yet, retrying: %s",
                reason,
                extra=named("start_offsets_unknown"),
            )
            self.add_future(self._position_later(generation))
        return {}

    async def _getmany(
        self,
        active_partitions: set[TP] | None,
        timeout: float,  # noqa: ASYNC109 - Faust's signature
    ) -> Any:
        try:
            return await super()._getmany(active_partitions, timeout)
        except UnreadableBatchError as error:
            # The message promises that earlier records are stored. Shutdown writes what is
            # buffered, so wait until everything read is in the buffer.
            await self._handed_over()
            end_worker(self, error)
        except FatalError as error:
            end_worker(self, error)
        return {}

    def report(self, offsets: Mapping[Partition, int]) -> None:
        """Commit offsets to Kafka soon, for lag monitors."""
        self._thread.commits.note({TP(*tp): offset for tp, offset in offsets.items()})

    async def refetch(self, partition: Partition, offsets: Sequence[int]) -> Refetched:
        """Some of the records at these offsets; see ``LogReader.refetch``."""
        return await self._thread.refetch(partition, offsets)

    def hold(self, partitions: Collection[TP]) -> None:
        """Pause these partitions, and resume all others."""
        self._thread.held = frozenset(partitions)

    async def seek_back(self, partition: TP, offset: int) -> None:
        """Re-read an assigned partition from an offset; ignored for one that is not assigned."""
        await self._thread.seek_back(partition, offset)

    async def bounds(self, only: Partition | None = None) -> dict[Partition, Bounds]:
        """Bounds of the assigned partitions' logs, or of one of them, from the broker."""
        partitions = {Partition(*tp) for tp in self.assignment()}
        if only is not None:
            partitions &= {only}
        return await self._thread.bounds(partitions) if partitions else {}

    async def ping(self, topic: str) -> None:
        """Verify that a broker answers, by what it knows of the topic."""
        await self._thread.ping(topic)

    async def check_logs(self, bounds: Mapping[Partition, Bounds]) -> None:
        """Verify that the logs are those that were read.

        Raises:
            OtherLogError: one of them is not.
            TransientError, FatalError, aiokafka.errors.KafkaError: they could not be compared.
        """
        await cast(FetchTransport, self.transport).starts.check(bounds, self._thread)

    async def _handed_over(self) -> None:
        transport = cast(FetchTransport, self.transport)
        deadline = monotonic() + HANDOVER_TIMEOUT
        while transport.memory.queued and monotonic() < deadline:
            await self.sleep(0.05)

    async def _position(self) -> Mapping[TP, int]:
        generation = self.app.consumer_generation_id
        self._asked = "Kafka"
        bounds = await self.bounds()
        transport = cast(FetchTransport, self.transport)
        self._asked = "the database, or from Kafka about the records read last"
        try:
            positions = await transport.starts.resolve(bounds, self._thread)
        except LogEndError as error:
            self._beyond_since = self._beyond_since or monotonic()
            if monotonic() - self._beyond_since < SETTLING_TIMEOUT:
                raise TransientError(str(error)) from error
            raise
        self._beyond_since = None
        if generation != self.app.consumer_generation_id:
            # Faust asks more than once, and an answer from before a rebalance may come last.
            return {}
        seeks = {TP(*partition): positions[partition] for partition in bounds}
        await self._thread.seek_to(seeks)
        self._positioned_generation = generation
        starts = {tp: position.start for tp, position in seeks.items()}
        for listener in transport.listeners:
            listener({partition: positions[partition].start for partition in bounds})
        # Idle partitions are reported too, so that lag monitors see all of them.
        self._thread.commits.note(starts)
        return starts

    async def _position_later(self, generation: int) -> None:
        while not self.should_stop and generation == self.app.consumer_generation_id:
            await self.sleep(RETRY_PAUSE)
            try:
                self._read_offset.update(await self._position())
            except FatalError as error:
                end_worker(self, error)
                return
            except (TransientError, KafkaError) as error:
                log.warning(
                    "The start offsets are not known yet, retrying: %s",
                    error,
                    extra=named("start_offsets_unknown"),
                )
            else:
                log.info(
                    "Reading continues from the offsets in the database.",
                    extra=named("start_offsets_known"),
                )
                return


class FetchTransport(driver.Transport):
    """Faust's Kafka transport with the consumer above.

    Args:
        url: brokers.
        app: the Faust app.
        logs: reads the topic's logs; used in the consumer's thread.
        memory: limits what is read.
        read_committed: whether records of aborted transactions are skipped.
        starts: where each partition starts.
        listeners: called with the start offsets of all assigned partitions, after each seek.
        flusher: writes what is fetched.
    """

    Consumer = FetchConsumer

    def __init__(
        self,
        url: Any,
        app: Any,
        *,
        logs: LogReader,
        memory: Memory,
        read_committed: bool,
        starts: Starts,
        listeners: Sequence[Listener],
        flusher: Schedule,
    ) -> None:
        super().__init__(url, app)
        self.logs = logs
        self.memory = memory
        self.read_committed = read_committed
        self.starts = starts
        self.listeners = listeners
        self.flusher = flusher
