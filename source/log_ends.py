"""Watches the log end offsets of the assigned partitions while the worker runs.

They give the lag. The worker ends when a log has become shorter and is not the one that was read,
when the topic is deleted, and when a stored offset is beyond the log's end.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from aiokafka.errors import KafkaError
from mode import Service
from mode.utils.logging import get_logger

from pipeline.errors import FatalError, TransientError
from pipeline.partition import Partition
from pipeline.shutdown import end_worker
from source.cluster.topics import NoTopicError
from source.control import ConsumerControl
from source.log_reader import Bounds
from source.start_offsets import LogEndError, OtherLogError

log = get_logger(__name__)

#: Seconds between polls.
INTERVAL = 5.0

#: Consecutive polls in which a log may end before the stored offset: a killed broker reports the
#: end of its last checkpoint until it has recovered the log.
SETTLING_POLLS = 3


class Watcher(Protocol):
    """A service that needs the log end offsets."""

    @property
    def stored(self) -> Mapping[Partition, int]:
        """The stored offsets, as far as the worker knows."""

    def see(self, bounds: Mapping[Partition, Bounds]) -> None:
        """Take note of the logs' current bounds."""

    def ends_went_back(self, bounds: Mapping[Partition, Bounds]) -> bool:
        """Whether a log ends earlier than in the last poll."""


class LogEnds:
    """Polls the broker for the log ends.

    Args:
        topic: the topic read.
        control: of the consumer.
        find_topic: looks the topic up; raises NoTopicError if it is gone.
        watcher: told the bounds.
        service: of the worker, to end it.
    """

    def __init__(
        self,
        topic: str,
        control: ConsumerControl,
        *,
        find_topic: Callable[[], Awaitable[object]],
        watcher: Watcher,
        service: Service,
    ) -> None:
        self._topic = topic
        self._control = control
        self._find_topic = find_topic
        self._watcher = watcher
        self._service = service
        #: Consecutive polls that found a stored offset beyond the log's end.
        self._beyond = 0

    async def look(self) -> None:
        """Poll once."""
        consumer = self._control.consumer
        # Copied before asking for the ends, so that all of it is in the log.
        stored = dict(self._watcher.stored)
        try:
            if consumer.topic_partitions(self._topic) == 0:
                await self._find_topic()
            bounds = await consumer.bounds()
            if self._watcher.ends_went_back(bounds):
                await consumer.check_logs(bounds)
            self._compare(stored, bounds)
        except (NoTopicError, OtherLogError, LogEndError) as error:
            end_worker(self._service, error)
        except (KafkaError, TransientError, FatalError) as error:
            log.info("The log end offsets are unknown: %s", error)
        else:
            self._watcher.see(bounds)

    def _compare(self, stored: Mapping[Partition, int], bounds: Mapping[Partition, Bounds]) -> None:
        beyond = [
            LogEndError.of(partition, at, found)
            for partition, found in bounds.items()
            if (at := stored.get(partition, 0)) > found.end
        ]
        self._beyond = self._beyond + 1 if beyond else 0
        if self._beyond >= SETTLING_POLLS:
            raise beyond[0]
