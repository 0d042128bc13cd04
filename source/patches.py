"""Everything that this app replaces inside aiokafka, which has no settings for it.

Written for aiokafka 0.14.0. `tests/unit/test_patches.py` tests each patch, and fails if a name in
``REPLACED`` is gone. What is overridden by inheritance is in `source/transport.py`, as
``OVERRIDDEN``.

| what | why |
|---|---|
| `fetcher.MemoryRecords` | passes on the raw bytes: aiokafka's parser raises on header keys that are not UTF-8 and does not limit decompression |
| `fetcher.PartitionRecords` | reads them with ``FetchedBatches`` |
| `client.create_conn` | a connection that notices soon that the broker is silent, and logs in with the secrets of the moment: `source/cluster/connections.py`, `source/cluster/logins.py` |
| `conn.OAuthAuthenticator` | notices a rejected token: `source/cluster/logins.py` |
| `consumer.GroupCoordinator` | a static member that was replaced ends, and each watches for new partitions: `source/cluster/static_member.py` |
| `AIOKafkaClient.coordinator_lookup` | a cluster that names no broker yet is asked again: an assertion of aiokafka's would end the worker |
| `client.MetadataRequest` | does not create the topic it asks for: a mistyped `TOPIC` would become one |
"""  # noqa: E501 - a table

import logging
from typing import Any, Self

from aiokafka import client, conn, errors
from aiokafka.consumer import consumer, fetcher
from aiokafka.protocol.metadata import MetadataRequest

from pipeline.errors import FatalError
from pipeline.record import Record
from source.cluster.connections import create_conn
from source.cluster.logins import OAuthLogin
from source.cluster.static_member import Coordinator, FencedInstanceIdError
from source.records.batches import FetchedBatches, Unreadable

#: The replaced names, for the test that guards an upgrade.
REPLACED = {
    fetcher: ("MemoryRecords", "PartitionRecords"),
    client: ("MetadataRequest", "create_conn"),
    client.AIOKafkaClient: ("coordinator_lookup",),
    conn: ("OAuthAuthenticator",),
    consumer: ("GroupCoordinator",),
}

#: Default maximum of a decompressed batch in bytes: far more than brokers accept by default.
DECOMPRESSED_MAX_BYTES = 64 * 1024 * 1024


class UnreadableBatchError(FatalError):
    """A batch cannot be read; the text names it and the command that skips it."""

    def __init__(self, topic: str, partition: int, batch: Unreadable) -> None:
        super().__init__(
            f"The batch of {topic}/{partition} at offset {batch.offset} cannot be read: "
            f"{batch.why}. What came before it is stored; nothing after it is read. To leave out "
            f"the offsets {batch.offset} to {batch.after - 1}, run `faust -A app offsets reset "
            f"--partition {partition} --to {batch.after}` and start the worker again."
        )


class RawRecords:
    """Replaces ``MemoryRecords``: keeps the bytes unparsed."""

    def __init__(self, data: bytes | None) -> None:
        self.data = data or b""

    def has_next(self) -> bool:
        """Whether there is anything to read."""
        return bool(self.data)

    def size_in_bytes(self) -> int:
        """Size of the answer in bytes."""
        return len(self.data)


class QuietMetadataRequest(MetadataRequest):  # type: ignore[misc]
    """Replaces ``MetadataRequest``: asks for topics without creating them.

    Brokers before Kafka 0.11 create them anyway.
    """

    def __init__(
        self, topics: list[str] | None = None, allow_auto_topic_creation: bool | None = False
    ) -> None:
        super().__init__(topics, allow_auto_topic_creation)


_look_up = client.AIOKafkaClient.coordinator_lookup


async def _coordinator_lookup(self: Any, kind: Any, key: str) -> Any:
    """Replaces ``AIOKafkaClient.coordinator_lookup``.

    Raises:
        aiokafka.errors.NodeNotReadyError: no broker is known yet; aiokafka repeats it.
    """
    if self.get_random_node() is None:
        raise errors.NodeNotReadyError("Kafka names no broker yet")
    return await _look_up(self, kind, key)


class PartitionBatches(FetchedBatches):
    """Replaces ``PartitionRecords``."""

    limit = DECOMPRESSED_MAX_BYTES

    def __init__(
        self,
        tp: Any,
        records: RawRecords,
        aborted_transactions: list[tuple[int, int]] | None,
        fetch_offset: int,
        key_deserializer: Any,
        value_deserializer: Any,
        check_crcs: bool,
        isolation_level: int,
    ) -> None:
        committed = isolation_level == fetcher.READ_COMMITTED
        super().__init__(
            records.data,
            fetch_offset,
            (aborted_transactions or []) if committed else None,
            self.limit,
        )
        self._tp = tp

    @property
    def next_fetch_offset(self) -> int:
        """aiokafka's name for the position."""
        return self.position

    @property
    def error(self) -> UnreadableBatchError | None:
        """The error that stops reading, if any."""
        topic, partition = self._tp
        return self.unreadable and UnreadableBatchError(topic, partition, self.unreadable)

    # aiokafka's own `getmany` iterates; the worker calls `take`.

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Record:
        found = self.take(1, 1).records
        if found:
            return found[0]
        if self.error:
            raise self.error
        raise StopIteration


def install(decompressed_max_bytes: int = DECOMPRESSED_MAX_BYTES) -> None:
    """Patch aiokafka in this process.

    Args:
        decompressed_max_bytes: maximum bytes of a decompressed batch.
    """
    PartitionBatches.limit = decompressed_max_bytes
    fetcher.MemoryRecords = RawRecords
    fetcher.PartitionRecords = PartitionBatches
    client.MetadataRequest = QuietMetadataRequest
    client.create_conn = create_conn
    client.AIOKafkaClient.coordinator_lookup = _coordinator_lookup
    conn.OAuthAuthenticator = OAuthLogin
    # At level DEBUG it logs requests to log in, secrets included.
    logging.getLogger(conn.__name__).setLevel(logging.INFO)
    consumer.GroupCoordinator = Coordinator
    # An answer that aiokafka takes for an unknown error.
    errors.kafka_errors[FencedInstanceIdError.errno] = FencedInstanceIdError
