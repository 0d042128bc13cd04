"""The log reader's connection: one for all calls, and closed in the end."""

import asyncio

import pytest
from aiokafka.client import AIOKafkaClient

from pipeline.partition import Partition
from source import log_reader
from source.log_reader import LogReader


@pytest.fixture
def clients(monkeypatch):
    """Whether each client that was made is still open, by client."""
    found = {}

    class CountedClient(AIOKafkaClient):  # type: ignore[misc]
        def __init__(self, **options):
            super().__init__(**options)
            found[self] = True

        async def close(self):
            await super().close()
            found[self] = False

    monkeypatch.setattr(log_reader, "AIOKafkaClient", CountedClient)
    return found


async def test_calls_at_once_share_one_client(broker, topic, clients):
    logs = LogReader([broker.bootstrap], {})
    partitions = [Partition(topic, number) for number in range(4)]
    bounds = await asyncio.gather(*(logs.bounds([one]) for one in partitions))
    assert [found[one].end for one, found in zip(partitions, bounds, strict=True)] == [0] * 4
    await logs.close()
    assert list(clients.values()) == [False]


async def test_a_call_given_up_leaves_no_client_open(broker, topic, clients, monkeypatch):
    partition = Partition(topic, 0)
    connected, never = asyncio.Event(), asyncio.Event()

    async def hang(self):
        connected.set()
        await never.wait()

    monkeypatch.setattr(AIOKafkaClient, "bootstrap", hang)
    logs = LogReader([broker.bootstrap], {})
    call = asyncio.create_task(logs.bounds([partition]))
    await connected.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert list(clients.values()) == [False]
    monkeypatch.undo()
    assert (await logs.bounds([partition]))[partition].end == 0
    await logs.close()
