"""The consumer group as Kafka sees it, over a connection of its own, without joining it."""

from typing import NamedTuple

from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import IncompatibleBrokerVersion, for_code
from aiokafka.protocol.admin import DescribeGroupsRequest

from source.cluster.auth import Cluster
from source.cluster.patient import patient
from source.cluster.permissions import connected, coordinator


class Member(NamedTuple):
    """A member of the group: a worker, unless another program uses the group's name."""

    member_id: str
    client: str
    host: str
    partitions: list[int]  # numbers, of the topic


class GroupState(NamedTuple):
    """The group's state in Kafka (``Stable``, ``Empty``, …), and its members."""

    state: str
    members: list[Member]


@patient
async def describe_group(cluster: Cluster, topic: str, group: str) -> GroupState | None:
    """Ask the group's coordinator; None where the broker does not support the request.

    Raises:
        FatalError: Kafka does not answer, or denies this account.
    """
    async with connected(cluster) as client:
        node = await coordinator(client, group)
        try:
            answer = await client.send(node, DescribeGroupsRequest([group], False))
        except IncompatibleBrokerVersion:
            return None
        [(code, _, state, _, _, members, *_)] = answer.groups
        if code:
            raise for_code(code)(group)
    return GroupState(
        state,
        sorted(
            (
                Member(name, client_id, host.removeprefix("/"), _partitions(topic, given))
                for name, client_id, host, _, given in members
            ),
            key=lambda member: (member.partitions, member.member_id),
        ),
    )


def _partitions(topic: str, given: bytes) -> list[int]:
    if not given:
        return []
    assignment = ConsumerProtocolMemberAssignment.decode(given)
    return sorted(tp.partition for tp in assignment.partitions() if tp.topic == topic)
