"""A connection whose broker is silent ends; a slow one and one that waits to join do not."""

import asyncio
import struct
from contextlib import asynccontextmanager, closing

import pytest
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.group import HeartbeatRequest, SyncGroupRequest

import source.cluster.connections
from source.cluster.connections import create_conn

#: The answers to "which versions", with those that are asked for here.
VERSIONS = b"".join(struct.pack(">hhh", key, 0, 0) for key in (12, 14, 18))


@pytest.fixture(autouse=True)
def short_times(monkeypatch):
    monkeypatch.setattr(source.cluster.connections, "SILENCE", 0.3)
    monkeypatch.setattr(source.cluster.connections, "CONNECT_TIMEOUT", 0.5)
    monkeypatch.setattr("pipeline.patience._LATE", 5.0)


@asynccontextmanager
async def broker(answer):
    """Tells its versions, and answers any other request in its own way."""

    async def serve(reader, writer):
        with closing(writer):
            while True:
                try:
                    (size,) = struct.unpack(">i", await reader.readexactly(4))
                    frame = await reader.readexactly(size)
                except asyncio.IncompleteReadError:
                    return
                key, _, number = struct.unpack_from(">hhi", frame)
                if key == 18:
                    body = struct.pack(">ihi", number, 0, len(VERSIONS) // 6) + VERSIONS
                    writer.write(struct.pack(">i", len(body)) + body)
                else:
                    await answer(writer, number)

    server = await asyncio.start_server(serve, "127.0.0.1")
    async with server:
        yield server.sockets[0].getsockname()[1]


async def silent(_writer, _number):
    pass


async def slow(writer, number):
    """A byte each 0.2 s: the answer takes longer than the broker may be silent."""
    body = struct.pack(">ih", number, 0)
    for byte in struct.pack(">i", len(body)) + body:
        await asyncio.sleep(0.2)
        writer.write(bytes([byte]))


async def late(writer, number):
    if number == 2:  # the first after the one for versions
        await asyncio.sleep(0.8)
    body = struct.pack(">ihi", number, 0, 0)
    writer.write(struct.pack(">i", len(body)) + body)


HEARTBEAT = HeartbeatRequest("g", 1, "m")


async def test_a_silent_broker_is_given_up():
    async with broker(silent) as port:
        connection = await create_conn("127.0.0.1", port)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(connection.send(HEARTBEAT), 5)
        connection.close()


async def test_a_slow_answer_is_waited_for():
    async with broker(slow) as port:
        connection = await create_conn("127.0.0.1", port)
        assert (await connection.send(HEARTBEAT)).error_code == 0
        connection.close()


async def test_others_that_join_are_waited_for():
    async with broker(late) as port:
        connection = await create_conn("127.0.0.1", port)
        joining = asyncio.ensure_future(connection.send(SyncGroupRequest("g", 1, "m", None, [])))
        await asyncio.sleep(0)
        # Answers come in order: what is asked behind it waits too.
        beat = asyncio.ensure_future(connection.send(HEARTBEAT))
        assert (await joining).error_code == 0
        assert (await beat).error_code == 0
        connection.close()


async def test_a_port_that_accepts_and_says_nothing_is_given_up():
    async def serve(reader, writer):
        with closing(writer):
            await reader.read()

    async with await asyncio.start_server(serve, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises((TimeoutError, KafkaConnectionError)):
            await asyncio.wait_for(create_conn("127.0.0.1", port), 5)
