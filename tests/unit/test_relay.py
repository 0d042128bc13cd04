"""The relay before the embedded broker: what it tells apart, and what it puts in its place."""

import asyncio

from aiokafka.protocol.api import RequestHeader_v1
from aiokafka.protocol.group import (
    JoinGroupRequest_v2,
    SyncGroupRequest_v0,
    SyncGroupRequest_v1,
    SyncGroupRequest_v3,
)

from local.relay import Relay, assignments


def frame(request):
    """A request as it is sent, with the client's name ``me``."""
    return framed(RequestHeader_v1(request, 7, "me").encode() + request.encode())


def framed(body):
    return len(body).to_bytes(4, "big") + body


def test_members_assigned_to_are_counted():
    both = [("a", b"partitions"), ("b", b"others")]
    assert assignments(frame(SyncGroupRequest_v0("group", 3, "a", both))) == 2
    assert assignments(frame(SyncGroupRequest_v1("group", 3, "a", both[:1]))) == 1
    assert assignments(frame(SyncGroupRequest_v3("group", 3, "a", None, both))) == 2
    assert assignments(frame(SyncGroupRequest_v3("group", 3, "b", "instance", []))) == 0


def test_other_requests_assign_nothing():
    request = JoinGroupRequest_v2("group", 3000, 3000, "", "consumer", [("p", b"metadata")])
    assert assignments(frame(request)) == 0


async def test_the_brokers_address_becomes_the_relays():
    def address(port):
        return b"\x00\x09127.0.0.1" + port.to_bytes(4, "big")

    async def answer(reader, writer):
        await reader.readexactly(len(framed(bytes(12))))
        writer.write(framed(b"broker: " + address(port)))

    broker = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = broker.sockets[0].getsockname()[1]
    relay = Relay("127.0.0.1", port)
    async with broker, await relay.listen():
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        writer.write(framed(bytes(12)))
        expected = framed(b"broker: " + address(relay.port))
        assert await asyncio.wait_for(reader.readexactly(len(expected)), 5) == expected
        writer.close()
