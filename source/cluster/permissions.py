"""Checks that this account may read the topic and join the group, without doing either.

A worker that may not join would wait for ever and log nothing.
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

from pipeline.errors import FatalError
from pipeline.partition import Partition
from source.cluster.auth import Cluster


async def may_read(cluster: Cluster, partition: Partition) -> None:
    """Verify that the partition's topic may be read.

    Raises:
        FatalError: it may not, or Kafka stopped answering.
    """
    topic, number = partition
    async with connected(cluster) as client:
        await client.set_topics([topic])
        node = client.cluster.leader_for_partition(TopicPartition(topic, number))
        await client.ready(node)
        # One byte, without waiting; only the error codes matter.
        answer = await client.send(node, FetchRequest(0, 0, 1, 0, [(topic, [(number, 0, 1)])]))
        codes = {found[1] for _, partitions in answer.topics for found in partitions}
        if TopicAuthorizationFailedError.errno in codes:
            raise FatalError(
                f"Kafka does not let this account read the topic {topic!r}: grant it READ."
            )


async def may_join(cluster: Cluster, group: str) -> None:
    """Verify that the consumer group may be joined.

    Raises:
        FatalError: it may not, or Kafka stopped answering.
    """
    refused = GroupAuthorizationFailedError.errno
    async with connected(cluster) as client:
        try:
            node = await coordinator(client, group)
            await client.ready(node)
            # The heartbeat of an unknown member needs the same right, and changes nothing.
            code = (await client.send(node, HeartbeatRequest(group, 0, "check"))).error_code
        except GroupAuthorizationFailedError:
            code = refused
    if code == refused:
        raise FatalError(
            f"Kafka does not let this account use the group {group!r}: grant it READ on the "
            f"group, or change CONSUMER_GROUP."
        )


@asynccontextmanager
async def connected(cluster: Cluster) -> AsyncIterator[AIOKafkaClient]:
    """A client of the brokers; their errors become one sentence."""
    client = AIOKafkaClient(bootstrap_servers=cluster.addresses, **cluster.options)
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
    """The group's coordinator, by its node id."""
    for _ in range(20):
        try:
            return int(await client.coordinator_lookup(CoordinationType.GROUP, group))
        except GroupCoordinatorNotAvailableError:
            # A new cluster creates its topic of offsets at the first request.
            await asyncio.sleep(0.5)
    raise GroupCoordinatorNotAvailableError
