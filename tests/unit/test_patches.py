"""What `source.patches` changes inside aiokafka is there, and each change is needed."""

from typing import Any, cast

import pytest
from aiokafka import client
from aiokafka.consumer import fetcher
from aiokafka.errors import NodeNotReadyError
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.record import MemoryRecords
from faust.types import TP

from config.settings import Settings
from pipeline.errors import NotYetError
from source import patches
from source.cluster.auth import Cluster
from source.cluster.permissions import connected
from tests.helpers.wire import batch

PATCHES = [(owner, name) for owner, names in patches.REPLACED.items() for name in names]
LIMIT = 5000


@pytest.fixture
def install(monkeypatch):
    for owner, name in PATCHES:
        monkeypatch.setattr(owner, name, getattr(owner, name))
    monkeypatch.setattr(patches.PartitionBatches, "limit", patches.PartitionBatches.limit)
    return patches.install


@pytest.mark.parametrize(("owner", "name"), PATCHES)
def test_what_is_replaced_is_there_and_is_replaced(install, owner, name):
    install(LIMIT)
    assert getattr(owner, name).__module__.startswith("source.")


async def test_a_cluster_that_names_no_broker_yet_is_asked_again(install):
    """As a broker does that is starting; an assertion fails in aiokafka, which ends the worker."""
    install()
    asker = client.AIOKafkaClient()
    with pytest.raises(NodeNotReadyError) as found:
        await asker.coordinator_lookup(client.CoordinationType.GROUP, "g")
    assert found.value.retriable


async def test_a_start_waits_for_a_cluster_that_names_no_broker(monkeypatch):
    async def bootstrap(_client):
        """It answered so."""

    monkeypatch.setattr(client.AIOKafkaClient, "bootstrap", bootstrap)
    settings = Settings(DATABASE_URL="mysql://u:p@db/d", kafka_url="kafka://h:9")
    with pytest.raises(NotYetError, match="names no broker"):
        async with connected(Cluster.of(settings)):
            pass


def fetched(data: bytes) -> Any:
    """The records of a broker's answer, as aiokafka's fetcher makes them."""
    fetch: Any = fetcher
    records = fetch.MemoryRecords(data)
    return fetch.PartitionRecords(
        TP("t", 0), records, [], 0, None, None, True, fetcher.READ_UNCOMMITTED
    )


def test_a_header_key_that_is_no_utf8_costs_no_record(install):
    data = batch([b"value"], headers=[(b"\xff", b"")])
    records = MemoryRecords(data)
    with pytest.raises(UnicodeDecodeError):
        list(cast(Any, records.next_batch()))
    install()
    assert [one.value for one in fetched(data)] == [b"value"]


def test_a_batch_decompresses_to_a_limit_and_no_further(install):
    bomb = batch([b"\0" * 2 * LIMIT], "gzip")
    records = MemoryRecords(bomb)
    [whole] = cast(Any, records.next_batch())
    assert len(whole.value) == 2 * LIMIT
    install(LIMIT)
    with pytest.raises(patches.UnreadableBatchError, match="t/0 at offset 0 cannot be read"):
        next(fetched(bomb))


def test_asking_for_a_topic_does_not_make_it(install):
    assert MetadataRequest(["t"])._allow_auto_topic_creation is not False
    install()
    assert cast(Any, client).MetadataRequest(["t"])._allow_auto_topic_creation is False
