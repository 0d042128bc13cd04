"""What must hold before a worker starts: asked once, each failure one sentence."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError
from sqlalchemy import Engine

from checks.link import reach
from checks.rights import may_join, may_read
from config import Settings
from credentials import client_options
from db import features, schema
from pipeline.errors import FatalError, TransientError, UntrustedError
from pipeline.threads import in_thread
from source.start_offsets import Bounds, Positions
from source.transport import log_bounds

_T = TypeVar("_T")

#: Seconds a server may take to answer.
PATIENCE = 20


class NoTopicError(FatalError):
    """Kafka answers, and has no such topic."""


async def prepare(settings: Settings, engine: Engine, positions: Positions) -> None:
    """See that database, schema, broker and topic are there; store where a new group begins.

    Raises:
        FatalError: something is not, and the text says what to change.
    """
    try:
        await in_thread(features.check, engine)
        await in_thread(schema.check, engine)
        bounds = await topic_bounds(settings)
        await may_read(settings, min(bounds))
        await may_join(settings)
        await positions.begin(bounds)
    except UntrustedError as error:
        raise FatalError(str(error)) from error
    except TransientError as error:
        raise FatalError(
            f"The database at {settings.database.host}:{settings.database.port or 3306} does not "
            f"answer: start it, or change DATABASE_URL ({error})."
        ) from error


async def topic_bounds(settings: Settings) -> dict[int, Bounds]:
    """Bounds of all the topic's partitions.

    Raises:
        FatalError: the broker is not there.
        NoTopicError: the topic is not there.
    """
    async with _topic(settings) as (consumer, partitions):
        bounds: dict[TopicPartition, Bounds] = await _in_time(log_bounds(consumer, partitions))
    return {tp.partition: found for tp, found in bounds.items()}


async def offsets_at(settings: Settings, moment: int) -> dict[int, int | None]:
    """For each of the topic's partitions the offset of the first event at or after a moment.

    Args:
        settings: which brokers and topic.
        moment: milliseconds since 1970.

    Returns:
        By partition; None where there is no event since then.

    Raises:
        FatalError: the broker is not there.
        NoTopicError: the topic is not there.
    """
    # To Kafka, negative times are words of another meaning.
    asked = max(0, moment)
    async with _topic(settings) as (consumer, partitions):
        found = await _in_time(consumer.offsets_for_times(dict.fromkeys(partitions, asked)))
    return {tp.partition: at and at.offset for tp, at in found.items()}


@asynccontextmanager
async def _topic(
    settings: Settings,
) -> AsyncIterator[tuple[AIOKafkaConsumer, list[TopicPartition]]]:
    """A consumer outside any group, and the topic's partitions."""
    await reach(settings)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.broker_addresses,
        group_id=None,
        request_timeout_ms=PATIENCE * 1000,
        **client_options(settings),
    )
    try:
        await _in_time(consumer.start())
        yield consumer, await _in_time(_partitions(consumer, settings.topic))
    except TopicAuthorizationFailedError as error:
        raise FatalError(
            f"Kafka does not let this account see the topic {settings.topic!r}: grant it READ, "
            f"or change TOPIC."
        ) from error
    except (KafkaError, TimeoutError, OSError, socket.gaierror) as error:
        raise FatalError(
            f"Kafka at {', '.join(settings.broker_addresses)} does not answer: start it, or change "
            f"KAFKA_URL ({type(error).__name__})."
        ) from error
    finally:
        await consumer.stop()


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> list[TopicPartition]:
    for _ in range(10):
        await consumer._client.force_metadata_update()
        if topic in consumer._client.cluster.unauthorized_topics:
            raise TopicAuthorizationFailedError(topic)
        numbers = consumer.partitions_for_topic(topic)
        if numbers is None:
            # A broker that makes topics on first use needs to be asked for this one.
            await consumer._client.add_topic(topic)
            await asyncio.sleep(0.3)
            numbers = consumer.partitions_for_topic(topic)
        if numbers:
            return [TopicPartition(topic, number) for number in sorted(numbers)]
    raise NoTopicError(f"Kafka has no topic {topic!r}: create it, or change TOPIC.")


async def _in_time(work: Awaitable[_T]) -> _T:
    return await asyncio.wait_for(work, PATIENCE)
