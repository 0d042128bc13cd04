"""Queries about the topic, over a connection of their own; an error is one sentence."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

from aiokafka.errors import KafkaError, TopicAuthorizationFailedError
from mode.utils.logging import get_logger

from pipeline.errors import FatalError, NotYetError, why
from pipeline.partition import Partition
from pipeline.record import LastRecord
from source import log_tail
from source.cluster.auth import Cluster
from source.cluster.connectivity import reach
from source.cluster.patient import patient
from source.log_reader import Bounds, LogReader
from source.log_tail import Tail, Verdict
from source.start_offsets import others

log = get_logger(__name__)
_T = TypeVar("_T")

#: Seconds a server may take to answer.
ANSWER_TIMEOUT = 20


class NoTopicError(FatalError):
    """Kafka answers, but has no such topic."""


@patient
async def topic_bounds(cluster: Cluster, topic: str) -> dict[Partition, Bounds]:
    """Bounds of all the topic's partitions.

    Raises:
        NotYetError: the brokers do not answer, or a partition has no leader.
        FatalError: they reject this account.
        NoTopicError: the topic does not exist.
    """
    async with _topic(cluster, topic) as (logs, partitions):
        return await _in_time(logs.bounds(partitions))


@patient
async def offsets_at(cluster: Cluster, topic: str, moment: int) -> dict[Partition, int | None]:
    """Offset of the first event at or after a moment, of each of the topic's partitions.

    Args:
        cluster: the brokers.
        topic: its name.
        moment: milliseconds since 1970.

    Returns:
        By partition; None if there is no event since then.

    Raises:
        NotYetError: the brokers do not answer, or a partition has no leader.
        FatalError: they reject this account.
        NoTopicError: the topic does not exist.
    """
    # In Kafka's protocol negative times mean something else.
    asked = max(0, moment)
    async with _topic(cluster, topic) as (logs, partitions):
        return await _in_time(logs.offsets_at(partitions, asked))


@patient
async def replaced_logs(
    cluster: Cluster,
    topic: str,
    stored: Mapping[Partition, int],
    known: Mapping[Partition, LastRecord],
    bounds: Mapping[Partition, Bounds],
) -> set[Partition]:
    """The partitions whose log is not the one that was read.

    Args:
        cluster: the brokers.
        topic: its name.
        stored: next offsets, by partition.
        known: what identifies the last record read, if known.
        bounds: the partitions' current bounds.

    Raises:
        NotYetError: the brokers do not answer, or a partition has no leader.
        FatalError: they reject this account.
        NoTopicError: the topic does not exist.
    """
    beyond = {number for number, found in bounds.items() if stored.get(number, 0) > found.end}
    async with _topic(cluster, topic) as (logs, _):
        return beyond | await _in_time(others(known, bounds, logs))


@patient
async def last_stored(
    cluster: Cluster, topic: str, bounds: Mapping[Partition, Bounds], verdict: Verdict
) -> dict[Partition, Tail]:
    """Search each of the topic's partitions backwards for the last stored event.

    Args:
        cluster: the brokers.
        topic: its name.
        bounds: of the partitions.
        verdict: whether a record's event is stored.

    Raises:
        NotYetError: the brokers do not answer, or a partition has no leader.
        FatalError: they reject this account.
        NoTopicError: the topic does not exist.
    """
    async with _topic(cluster, topic) as (logs, _):
        return {
            number: await log_tail.last_stored(logs, number, found, verdict)
            for number, found in sorted(bounds.items())
        }


@asynccontextmanager
async def _topic(cluster: Cluster, topic: str) -> AsyncIterator[tuple[LogReader, list[Partition]]]:
    """A reader of the topic's logs, and the topic's partitions."""
    await reach(cluster)
    logs = LogReader(cluster.addresses, cluster.options)
    try:
        partitions = await _in_time(logs.partitions(topic))
        if not partitions:
            raise NoTopicError(f"Kafka has no topic {topic!r}: create it, or change TOPIC.")
        yield logs, partitions
    except TopicAuthorizationFailedError as error:
        raise FatalError(
            f"Kafka does not let this account see the topic {topic!r}: grant it READ, "
            f"or change TOPIC."
        ) from error
    except (KafkaError, TimeoutError, OSError) as error:
        raise NotYetError(
            f"Kafka answers, but not for all partitions of {topic!r} ({why(error)}): look "
            f"at the brokers."
        ) from error
    finally:
        await logs.close()


async def _in_time(work: Awaitable[_T]) -> _T:
    return await asyncio.wait_for(work, ANSWER_TIMEOUT)
