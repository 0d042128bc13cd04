"""Does Kafka have what a worker needs, and may it use that. Nothing is joined or committed."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    KafkaError,
    TopicAuthorizationFailedError,
)
from aiokafka.protocol.group import HeartbeatRequest

import tls
from agents.positions import Bounds
from checks.finding import Findings
from checks.link import STEPS, reach
from config import Settings
from credentials import client_options
from db.errors import FatalError
from preflight import topic_bounds

#: How long before its end a client certificate is spoken of.
_RENEWAL = timedelta(days=30)
#: Seconds to wait for an event; a refusal comes at once.
_FETCH = 2


async def look_at_kafka(settings: Settings, findings: Findings) -> dict[int, Bounds]:
    """Look at the way there, the topic and the rights; answer the bounds of the topic's logs."""
    if not await _way(settings, findings):
        return {}
    _client_certificate(settings, findings)
    with findings.about("Topic"):
        bounds = await topic_bounds(settings)
        held = sum(found.end - found.beginning for found in bounds.values())
        findings.ok(
            "Topic", f"{settings.topic} has {len(bounds)} partitions, {held} offsets in the log"
        )
        await _rights(settings, findings, bounds)
        return bounds
    return {}


async def _way(settings: Settings, findings: Findings) -> bool:
    seen: dict[str, str] = {}
    try:
        await reach(settings, seen.__setitem__)
    except FatalError:
        for step in STEPS[: len(seen)]:
            findings.ok(f"Kafka {step}", seen[step])
        with findings.about(f"Kafka {STEPS[len(seen)]}"):
            raise
        return False
    for step in STEPS:
        findings.ok(f"Kafka {step}", seen[step])
    return True


def _client_certificate(settings: Settings, findings: Findings) -> None:
    if settings.kafka_client_cert:
        until = tls.expiry(settings.kafka_client_cert)
        found = f"KAFKA_CLIENT_CERT is valid until {until:%Y-%m-%d}"
        if until - datetime.now(UTC) < _RENEWAL:
            findings.warn("Kafka client certificate", found, "renew it before that day")
        else:
            findings.ok("Kafka client certificate", found)


async def _rights(settings: Settings, findings: Findings, bounds: Mapping[int, Bounds]) -> None:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.broker_addresses,
        group_id=None,
        auto_offset_reset="none",
        **client_options(settings),
    )
    try:
        await consumer.start()
        await _may_read(consumer, settings, findings, bounds)
        await _may_join(consumer, settings, findings)
    except (KafkaError, TimeoutError) as error:
        findings.fail("Kafka", f"it stopped answering ({type(error).__name__})", "look at it")
    finally:
        await consumer.stop()


async def _may_read(
    consumer: AIOKafkaConsumer,
    settings: Settings,
    findings: Findings,
    bounds: Mapping[int, Bounds],
) -> None:
    partitions = [TopicPartition(settings.topic, number) for number in bounds]
    consumer.assign(partitions)
    for tp in partitions:
        consumer.seek(tp, bounds[tp.partition].beginning)
    try:
        await asyncio.wait_for(consumer.getmany(timeout_ms=_FETCH * 500), _FETCH)
    except TopicAuthorizationFailedError:
        findings.fail(
            "Topic rights",
            f"Kafka does not let this account read {settings.topic}",
            "grant it READ and DESCRIBE on the topic",
        )
    else:
        findings.ok("Topic rights", f"{settings.topic} may be read")


async def _may_join(consumer: AIOKafkaConsumer, settings: Settings, findings: Findings) -> None:
    # The heartbeat of a member that does not exist needs the right to join, and changes nothing.
    client = consumer._client
    group = settings.consumer_group
    refused = GroupAuthorizationFailedError.errno
    try:
        node = await _coordinator(client, group)
        await client.ready(node)
        code = (await client.send(node, HeartbeatRequest(group, 0, "check"))).error_code
    except GroupAuthorizationFailedError:
        code = refused
    if code == refused:
        findings.fail(
            "Group rights",
            f"Kafka does not let this account use the group {group}",
            "grant it READ on the group, or change CONSUMER_GROUP",
        )
    else:
        findings.ok("Group rights", f"{group} may be joined")


async def _coordinator(client: AIOKafkaClient, group: str) -> int:
    for _ in range(20):
        try:
            return int(await client.coordinator_lookup(CoordinationType.GROUP, group))
        except GroupCoordinatorNotAvailableError:
            # A cluster that never had a group makes room for groups when first asked.
            await asyncio.sleep(0.5)
    raise GroupCoordinatorNotAvailableError
