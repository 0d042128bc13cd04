"""Checks that this account may read the topic and join the group, without doing either.

A worker that may not join would wait for ever, silently.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    KafkaError,
    TopicAuthorizationFailedError,
)
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.group import HeartbeatRequest

from config.settings import Settings
from pipeline.errors import FatalError
from source.auth import client_options


async def may_read(settings: Settings, partition: int) -> None:
    """See that the topic may be read.

    Raises:
        FatalError: it may not, or Kafka stopped answering.
    """
    topic = settings.topic
    async with connected(settings) as client:
        await client.set_topics([topic])
        node = client.cluster.leader_for_partition(TopicPartition(topic, partition))
        await client.ready(node)
        # One byte, at once; what comes back with it does not matter.
        answer = await client.send(node, FetchRequest(0, 0, 1, 0, [(topic, [(partition, 0, 1)])]))
        codes = {found[1] for _, partitions in answer.topics for found in partitions}
        if TopicAuthorizationFailedError.errno in codes:
            raise FatalError(
                f"Kafka does not let this account read the topic {topic!r}: grant it READ."
            )


async def may_join(settings: Settings) -> None:
    """See that the consumer group may be joined.

    Raises:
        FatalError: it may not, or Kafka stopped answering.
    """
    group = settings.consumer_group
    refused = GroupAuthorizationFailedError.errno
    async with connected(settings) as client:
        try:
            node = await coordinator(client, group)
            await client.ready(node)
            # The heartbeat of a member that does not exist needs the right, and changes nothing.
            code = (await client.send(node, HeartbeatRequest(group, 0, "check"))).error_code
        except GroupAuthorizationFailedError:
            code = refused
    if code == refused:
        raise FatalError(
            f"Kafka does not let this account use the group {group!r}: grant it READ on the "
            f"group, or change CONSUMER_GROUP."
        )


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[AIOKafkaClient]:
    """A client of the brokers; an error of theirs is one sentence."""
    client = AIOKafkaClient(bootstrap_servers=settings.broker_addresses, **client_options(settings))
    try:
        await client.bootstrap()
        yield client
    except (KafkaError, TimeoutError) as error:
        raise FatalError(
            f"Kafka stopped answering ({type(error).__name__}): look at the brokers."
        ) from error
    finally:
        await client.close()


async def coordinator(client: AIOKafkaClient, group: str) -> int:
    """The broker that has the group."""
    for _ in range(20):
        try:
            return int(await client.coordinator_lookup(CoordinationType.GROUP, group))
        except GroupCoordinatorNotAvailableError:
            # A cluster that never had a group makes room for groups when first asked.
            await asyncio.sleep(0.5)
    raise GroupCoordinatorNotAvailableError
