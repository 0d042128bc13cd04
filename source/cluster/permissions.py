"""Checks that this account may read the topic and join the group, without doing either.

A worker that may not join would wait for ever and log nothing.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
)
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.group import HeartbeatRequest

from pipeline.errors import FatalError, NotYetError, why
from pipeline.partition import Partition
from source.cluster.auth import Cluster
from source.cluster.patient import patient


@patient
async def may_read(cluster: Cluster, partition: Partition) -> None:
    """Verify that the partition's topic may be read.

    Raises:
        NotYetError: no broker answered.
        FatalError: it may not.
    """
    topic, number = partition
    # One byte, without waiting; only the error codes matter.
    answer = await _ask(cluster, FetchRequest(0, 0, 1, 0, [(topic, [(number, 0, 1)])]))
    codes = {found[1] for _, partitions in answer.topics for found in partitions}
    if TopicAuthorizationFailedError.errno in codes:
        raise FatalError(
            f"Kafka does not let this account read the topic {topic!r}: grant it READ."
        )


@patient
async def may_join(cluster: Cluster, group: str) -> None:
    """Verify that the consumer group may be joined, and has a coordinator.

    Raises:
        NotYetError: it has none yet, or no broker answered.
        FatalError: it may not.
    """
    # The heartbeat of an unknown member needs the same right, and changes nothing.
    answer = await _ask(cluster, HeartbeatRequest(group, 0, "check"))
    if answer.error_code == GroupAuthorizationFailedError.errno:
        raise FatalError(
            f"Kafka does not let this account use the group {group!r}: grant it READ on the "
            f"group, or change CONSUMER_GROUP."
        )
    async with connected(cluster) as client:
        await coordinator(client, group)


async def _ask(cluster: Cluster, request: Any) -> Any:
    """What a broker answers, the first that does.

    Each of them knows the rights and looks at them first, whether or not it leads the partition or
    coordinates the group.
    """
    async with connected(cluster) as client:
        refusals = []
        for broker in client.cluster.brokers():
            try:
                return await client.send(broker.nodeId, request)
            except (KafkaError, TimeoutError) as error:
                refusals.append(f"{broker.host}:{broker.port} ({type(error).__name__})")
    raise NotYetError(f"No broker of Kafka answers: look at {', '.join(refusals)}.")


@asynccontextmanager
async def connected(cluster: Cluster) -> AsyncIterator[AIOKafkaClient]:
    """A client of the brokers; their errors become one sentence."""
    client = AIOKafkaClient(bootstrap_servers=cluster.addresses, **cluster.options)
    try:
        await client.bootstrap()
        if not client.cluster.brokers():
            raise NotYetError("Kafka answers, but names no broker yet: it is starting.")
        yield client
    except (KafkaError, TimeoutError) as error:
        raise NotYetError(
            f"Kafka stopped answering ({why(error)}): look at the brokers."
        ) from error
    finally:
        await client.close()


async def coordinator(client: AIOKafkaClient, group: str) -> int:
    """The group's coordinator, by its node id.

    Raises:
        NotYetError: no broker names one.
        aiokafka.errors.KafkaError: this account may not ask.
    """
    for _ in range(20):
        try:
            # It asks any broker, dead ones too.
            return int(await client.coordinator_lookup(CoordinationType.GROUP, group))
        except KafkaError as error:
            if not error.retriable:
                raise
            # A new cluster creates its topic of offsets at the first request.
            await asyncio.sleep(0.5)
    raise NotYetError(
        f"Kafka has no coordinator for the group {group!r}: look at the topic __consumer_offsets."
    )
