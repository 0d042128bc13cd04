"""Watches the log end offsets of the assigned partitions while the worker runs.

They give the lag, and tell whether Kafka answers. The worker ends when a log has become shorter and
is not the one that was read, when the topic is deleted, and when a stored offset is beyond the
log's end.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic
from typing import Protocol

from aiokafka.errors import KafkaError
from mode import Service
from mode.utils.logging import get_logger

from pipeline.errors import FatalError, TransientError, why
from pipeline.log_events import named
from pipeline.partition import Partition
from pipeline.patience import is_done
from pipeline.shutdown import end_worker
from source.cluster.topics import NoTopicError
from source.control import ConsumerControl
from source.log_reader import Bounds
from source.start_offsets import LogEndError, OtherLogError

log = get_logger(__name__)

#: Seconds between polls.
INTERVAL = 5.0
#: Seconds that an answer may take; with it a poll takes no longer than the interval.
ANSWER_TIMEOUT = 4.0
#: Seconds without an answer after which the worker is not ready, and the lag is not known.
AWAY_AFTER = 15.0

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

    def lose_ends(self) -> None:
        """The bounds are not known any more."""

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
        self._asking: asyncio.Task[dict[Partition, Bounds]] | None = None
        #: When Kafka last answered (``time.monotonic``), or the first poll began.
        self._last_answer: float | None = None
        #: Since when it has not answered, and why, where the last poll failed.
        self._silent_since: float | None = None
        self._reason = ""
        self._is_said = False

    @property
    def age(self) -> float:
        """Seconds since Kafka last answered; 0 before the first poll."""
        return 0.0 if self._last_answer is None else monotonic() - self._last_answer

    @property
    def away(self) -> str | None:
        """Since when Kafka does not answer and why; None while it does, or did a moment ago."""
        if self._silent_since is None or monotonic() - self._silent_since < AWAY_AFTER:
            return None
        waited = monotonic() - self._silent_since
        return f"Kafka has not answered for {waited:.0f} s: {self._reason}"

    async def look(self) -> None:
        """Poll once."""
        if self._last_answer is None:
            self._last_answer = monotonic()
        # Copied before asking for the ends, so that all of it is in the log.
        stored = dict(self._watcher.stored)
        begun = monotonic()
        try:
            bounds = await self._answer()
        except NoTopicError as error:
            end_worker(self._service, error)
        except TimeoutError:
            self._failed(begun, "a request is not answered")
        except (KafkaError, FatalError) as error:
            self._failed(begun, str(error) if isinstance(error, FatalError) else why(error))
        else:
            self._answered()
            await self._judge(stored, bounds)

    async def _answer(self) -> dict[Partition, Bounds]:
        """What the brokers answer. One question at a time: one without an answer holds a thread's
        connection until that is given up.

        Raises:
            TimeoutError: nothing yet.
        """
        self._asking = self._asking or asyncio.create_task(self._ask())
        if not await is_done(self._asking, ANSWER_TIMEOUT):
            raise TimeoutError
        task, self._asking = self._asking, None
        return task.result()

    async def _ask(self) -> dict[Partition, Bounds]:
        consumer = self._control.consumer
        if consumer.topic_partitions(self._topic) == 0:
            await self._find_topic()
        bounds = await consumer.bounds()
        if not bounds:
            await consumer.ping(self._topic)
        return bounds

    def _answered(self) -> None:
        if self._is_said:
            log.info(
                "Kafka answers again after %.0f s.",
                self.age,
                extra=named("kafka_back", seconds=self.age),
            )
        self._last_answer, self._silent_since, self._is_said = monotonic(), None, False

    def _failed(self, begun: float, reason: str) -> None:
        self._reason = reason
        if self._silent_since is None:
            # While this process was suspended nobody asked.
            self._silent_since = max(self._last_answer or begun, begun - INTERVAL)
        if self.away and not self._is_said:
            self._is_said = True
            log.warning("%s", self.away, extra=named("kafka_away"))
            self._watcher.lose_ends()

    async def _judge(
        self, stored: Mapping[Partition, int], bounds: Mapping[Partition, Bounds]
    ) -> None:
        try:
            if self._watcher.ends_went_back(bounds):
                await self._control.consumer.check_logs(bounds)
            self._compare(stored, bounds)
        except (OtherLogError, LogEndError) as error:
            end_worker(self._service, error)
        except (KafkaError, TransientError, FatalError) as error:
            log.info(
                "The logs cannot be compared with the stored offsets: %s",
                error,
                extra=named("logs_not_compared"),
            )
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
