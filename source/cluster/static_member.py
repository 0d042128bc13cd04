"""Static membership: a worker that returns under its name gets its partitions back at once.

With ``group_instance_id`` aiokafka joins as a static member and does not leave the group when it
ends. The broker keeps the member's partitions for the session and interrupts nobody when it
returns. Two things are missing in aiokafka 0.14.0, and added here:

- Of two workers with one name the broker drops the one that joined first. aiokafka would join
  again under no id, which drops the other, for ever. Under its last id it hears of it.
- Only the leader watches for new partitions, and the broker does not tell a leader that returns
  that it leads. So each static member watches, and the leader's request starts the rebalance.
"""

from typing import Any

from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import BrokerResponseError, KafkaError
from aiokafka.protocol.group import JoinGroupRequest

from pipeline.errors import FatalError

_NO_ID = JoinGroupRequest.UNKNOWN_MEMBER_ID


class FencedInstanceIdError(BrokerResponseError):  # type: ignore[misc]
    """The broker's answer to a static member that was replaced by another of its name."""

    errno = 82
    message = "FENCED_INSTANCE_ID"
    description = "Another member has joined under this group.instance.id since"


class ReplacedError(FatalError, KafkaError):  # type: ignore[misc]
    """Another worker has this worker's name; the text says what to change."""

    def __str__(self) -> str:
        return str(self.args[0])


class Coordinator(GroupCoordinator):  # type: ignore[misc]
    """Replaces ``GroupCoordinator``; the same for a member that is not static."""

    member_id: str
    _group_subscription: Any
    #: The id that the broker gave this member, until it joins again.
    _last_id = _NO_ID

    async def _do_rejoin_group(self, subscription: Any) -> bool:
        if self._group_instance_id and self.member_id == _NO_ID:
            # An id that has merely expired is unknown to the broker: the next attempt has none.
            self.member_id, self._last_id = self._last_id, _NO_ID
        try:
            joined: bool = await super()._do_rejoin_group(subscription)
        except KafkaError as error:
            # aiokafka wraps the answer in an error that has its name only.
            if FencedInstanceIdError.__name__ not in str(error):
                raise
            raise ReplacedError(
                f"Another worker of the group {self.group_id} has the GROUP_INSTANCE_ID "
                f"{self._group_instance_id} too, and has joined since: give each worker a name of "
                "its own, or leave it empty."
            ) from error
        if joined:
            self._last_id = self.member_id
        return joined

    async def _on_join_complete(self, *joined: Any) -> None:
        if self._group_instance_id and self._group_subscription is None:
            self._group_subscription = self._subscription.subscription.topics
            self._metadata_snapshot = self._get_metadata_snapshot()
        await super()._on_join_complete(*joined)
