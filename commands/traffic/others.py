"""Finds events in a topic that no simulation sent, before more are sent to it."""

from collections.abc import Mapping
from typing import NamedTuple

from aiokafka.protocol.metadata import MetadataRequest

from checks.sample import read_newest
from commands.traffic import PREFIX
from pipeline.partition import Partition
from source.cluster.auth import Cluster
from source.cluster.connectivity import reach
from source.cluster.patient import patient
from source.cluster.permissions import connected
from source.cluster.topics import topic_bounds
from source.log_reader import Bounds

#: Events inspected at each end of a partition's log.
_LOOK_AT = 20
_KEY = f"{PREFIX}-".encode()


class Others(NamedTuple):
    """The topic's approximate number of events, and the position of one that is not simulated."""

    events: int
    position: str


async def find_topic(cluster: Cluster, topic: str) -> dict[Partition, Bounds]:
    """The topic's bounds; a broker that auto-creates topics creates it now.

    Raises:
        FatalError: Kafka does not answer.
        NoTopicError: there is no such topic.
    """
    await patient(reach)(cluster)
    async with connected(cluster) as client:
        request = MetadataRequest([topic], allow_auto_topic_creation=True)
        await client.send(client.get_random_node(), request)
    return await topic_bounds(cluster, topic)


async def find_others(
    cluster: Cluster, bounds: Mapping[Partition, Bounds], isolation_level: str
) -> Others | None:
    """Inspect the oldest and the newest events; None if all of them are simulated.

    Raises:
        FatalError: they could not be read.
    """
    events = sum(found.end - found.beginning for found in bounds.values())
    oldest = {
        partition: Bounds(found.beginning, min(found.readable, found.beginning + _LOOK_AT))
        for partition, found in bounds.items()
    }
    for looked_at in (oldest, bounds):
        if not events:
            break
        most = _LOOK_AT * len(bounds)
        for partition, record in await read_newest(cluster, looked_at, most, isolation_level):
            if not (record.key or b"").startswith(_KEY):
                return Others(events, f"{partition}/{record.offset}")
    return None
