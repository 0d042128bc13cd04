"""Watches the log end offsets of the assigned partitions while the worker runs.

The lag is computed from them. If a log gets shorter, another one may have its name now, and a topic
may be deleted: the worker stops for either.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from aiokafka.errors import KafkaError
from mode import Service
from mode.utils.logging import get_logger

from pipeline.errors import FatalError, TransientError
from pipeline.shutdown import end_worker
from source.control import ConsumerControl
from source.log_reader import Bounds
from source.start_offsets import OtherLogError
from source.topics import NoTopicError

log = get_logger(__name__)

#: Seconds between polls.
INTERVAL = 5.0


class Watcher(Protocol):
    """A service that needs the log end offsets."""

    def see(self, topic: str, bounds: Mapping[int, Bounds]) -> None:
        """The topic's logs have these bounds now."""

    def ends_went_back(self, topic: str, bounds: Mapping[int, Bounds]) -> bool:
        """Whether a log ends before where it did when last seen."""


class LogEnds:
    """Asks the broker for the ends.

    Args:
        topic: the topic read.
        control: of the consumer.
        find_topic: looks the topic up again; raises NoTopicError if it is gone.
        watcher: called with the bounds.
        service: ends the worker.
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

    async def look(self) -> None:
        """Look once."""
        consumer = self._control.consumer
        try:
            if consumer.topic_partitions(self._topic) == 0:
                await self._find_topic()
            bounds = await consumer.bounds()
            if self._watcher.ends_went_back(self._topic, bounds):
                await consumer.check_logs(bounds)
        except (NoTopicError, OtherLogError) as error:
            end_worker(self._service, error)
        except (KafkaError, TransientError, FatalError) as error:
            log.info("The log end offsets are unknown: %s", error)
        else:
            self._watcher.see(self._topic, bounds)
