"""What other parts do with the consumer: pause partitions, seek back, refetch, commit."""

from collections.abc import Collection, Mapping, Sequence

import faust
from aiokafka.errors import KafkaError
from faust.types import TP
from mode.utils.logging import get_logger

from pipeline.batch import Batch
from pipeline.flush.refetch import Refetched
from pipeline.log_events import named
from pipeline.partition import Partition
from pipeline.record import Record
from source.transport import FetchConsumer

log = get_logger(__name__)


class ConsumerControl:
    """Gives access to the app's consumer, which does not exist before the worker starts.

    Args:
        app: the Faust app, with a ``FetchTransport``.
    """

    def __init__(self, app: faust.App) -> None:
        self._app = app
        #: Paused partitions, by who paused them.
        self._held: dict[str, list[Partition]] = {}

    @property
    def consumer(self) -> FetchConsumer:
        """The consumer of the running worker."""
        found = self._app.consumer
        assert isinstance(found, FetchConsumer)
        return found

    def hold(self, who: str, partitions: Collection[Partition]) -> None:
        """Pause these partitions on behalf of ``who``; resume others that nobody else pauses."""
        self._held[who] = list(partitions)
        self.consumer.hold({TP(*one) for some in self._held.values() for one in some})

    async def seek_back(self, partition: Partition, offset: int) -> None:
        """Re-read a partition from an offset."""
        await self.consumer.seek_back(TP(*partition), offset)

    async def refetch(self, partition: Partition, offsets: Sequence[int]) -> Refetched | None:
        """Some of the events at these offsets; None if Kafka does not answer."""
        try:
            return await self.consumer.refetch(partition, offsets)
        except KafkaError as error:
            log.warning(
                "Events of %s from offset %d on cannot be refetched: %r",
                partition,
                offsets[0],
                error,
                extra=named("refetch_failed", partition=str(partition)),
            )
            return None

    async def newest(self, partition: Partition, count: int) -> Sequence[Record]:
        """A partition's newest events, about so many, or some of them; none where Kafka is away."""
        try:
            bounds = (await self.consumer.bounds(partition)).get(partition)
        except KafkaError as error:
            log.info(
                "The newest events of %s cannot be read: %r",
                partition,
                error,
                extra=named("newest_unread", partition=str(partition)),
            )
            return ()
        if bounds is None or bounds.beginning == bounds.readable:
            return ()
        first = max(bounds.beginning, bounds.readable - count)
        found = await self.refetch(partition, range(first, bounds.readable))
        return found.records if found else ()

    def committed(self, batch: Batch) -> None:
        """Report the offsets of a committed batch."""
        self.report(batch.offsets)

    def report(self, offsets: Mapping[Partition, int]) -> None:
        """Commit the stored offsets to Kafka, for lag monitors."""
        self.consumer.report(offsets)

    @property
    def is_rebalancing(self) -> bool:
        """Whether partitions are being assigned."""
        return bool(self._app.rebalancing)

    @property
    def is_positioned(self) -> bool:
        """Whether the start offset of every assigned partition is known."""
        return self.consumer.positioned
