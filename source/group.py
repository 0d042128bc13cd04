"""The consumer group as Kafka sees it, over a connection of its own; nothing is joined."""

from typing import NamedTuple

from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import IncompatibleBrokerVersion, for_code
from aiokafka.protocol.admin import DescribeGroupsRequest

from config.settings import Settings
from source.permissions import connected, coordinator


class Member(NamedTuple):
    """A member of the group: a worker, unless someone else uses the group's name."""

    member_id: str
    client: str
    host: str
    partitions: list[int]


class GroupState(NamedTuple):
    """Kafka's word for the group's state (``Stable``, ``Empty``, …), and its members."""

    state: str
    members: list[Member]


async def describe_group(settings: Settings) -> GroupState | None:
    """Ask the group's coordinator; None where the broker has no answer to such questions.

    Raises:
        FatalError: Kafka does not answer, or not this account.
    """
    group = settings.consumer_group
    async with connected(settings) as client:
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
                Member(name, client_id, host.removeprefix("/"), _partitions(settings.topic, given))
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
