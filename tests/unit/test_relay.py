"""The relay before the embedded broker: what it tells apart, and what it puts in its place."""

import asyncio
from contextlib import asynccontextmanager, closing

import pytest
from aiokafka.protocol.api import RequestHeader_v1
from aiokafka.protocol.group import (
    JoinGroupRequest_v2,
    SyncGroupRequest_v0,
    SyncGroupRequest_v1,
    SyncGroupRequest_v3,
    SyncGroupResponse_v0,
    SyncGroupResponse_v1,
    SyncGroupResponse_v3,
)

from dev.servers.embedded_broker import Relay, sync_group

BOTH = [("a", b"partitions"), ("b", b"others")]
#: How requests and answers are encoded, by version; a refusal, and the assignment in its place.
VERSIONS = {
    0: (
        lambda *request: SyncGroupRequest_v0(*request),
        SyncGroupResponse_v0(42, b""),
        SyncGroupResponse_v0(0, b"others"),
    ),
    1: (
        lambda *request: SyncGroupRequest_v1(*request),
        SyncGroupResponse_v1(0, 42, b""),
        SyncGroupResponse_v1(0, 0, b"others"),
    ),
    3: (
        lambda group, generation, member, assigned: SyncGroupRequest_v3(
            group, generation, member, None, assigned
        ),
        SyncGroupResponse_v3(0, 42, b""),
        SyncGroupResponse_v3(0, 0, b"others"),
    ),
}


def frame(request, correlation=7):
    """A request as it is sent, with the client's name ``me``."""
    return framed(RequestHeader_v1(request, correlation, "me").encode() + request.encode())


def answer(response, correlation=7):
    return framed(correlation.to_bytes(4, "big") + response.encode())


def framed(body):
    return len(body).to_bytes(4, "big") + body


@asynccontextmanager
async def relayed(*answers):
    """What sends frames to a broker that answers so, and returns what comes back."""
    left = iter(answers)

    async def serve(reader, writer):
        with closing(writer):
            while size := await reader.read(4):
                await reader.readexactly(int.from_bytes(size, "big"))
                writer.write(next(left))

    async def ask(request):
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        writer.write(request)
        size = await asyncio.wait_for(reader.readexactly(4), 5)
        found = size + await reader.readexactly(int.from_bytes(size, "big"))
        writer.close()
        return found

    broker = await asyncio.start_server(serve, "127.0.0.1", 0)
    relay = Relay("127.0.0.1", broker.sockets[0].getsockname()[1])
    async with broker, await relay.listen():
        yield ask


@pytest.mark.parametrize("version", VERSIONS)
async def test_whoever_asks_late_gets_what_the_leader_assigned(version):
    request, refusal, assignment = VERSIONS[version]
    async with relayed(answer(refusal), answer(refusal), answer(refusal)) as ask:
        late = frame(request("group", 3, "b", []))
        assert await ask(late) == answer(refusal), "nobody has assigned anything"
        await ask(frame(request("group", 3, "a", BOTH)))
        assert await ask(late) == answer(assignment)


async def test_nobody_gets_what_was_assigned_to_another_or_before():
    request, refusal, _ = VERSIONS[1]
    async with relayed(*[answer(refusal)] * 4) as ask:
        await ask(frame(request("group", 3, "a", BOTH)))
        for other in (("group", 4, "b"), ("group", 3, "c"), ("other", 3, "b")):
            assert await ask(frame(request(*other, []))) == answer(refusal)


async def test_other_answers_stay_as_they_are():
    request = VERSIONS[1][0]
    moved = answer(SyncGroupResponse_v1(0, 27, b""))
    async with relayed(moved, moved) as ask:
        await ask(frame(request("group", 3, "a", BOTH)))
        assert await ask(frame(request("group", 3, "b", []))) == moved


def test_other_requests_are_none():
    request = JoinGroupRequest_v2("group", 3000, 3000, "", "consumer", [("p", b"metadata")])
    assert sync_group(frame(request)) is None


async def test_the_brokers_address_becomes_the_relays():
    def address(port):
        return b"\x00\x09127.0.0.1" + port.to_bytes(4, "big")

    async def serve(reader, writer):
        with closing(writer):
            await reader.readexactly(len(framed(bytes(12))))
            writer.write(framed(b"broker: " + address(port)))

    broker = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = broker.sockets[0].getsockname()[1]
    relay = Relay("127.0.0.1", port)
    async with broker, await relay.listen():
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        writer.write(framed(bytes(12)))
        expected = framed(b"broker: " + address(relay.port))
        assert await asyncio.wait_for(reader.readexactly(len(expected)), 5) == expected
        writer.close()
