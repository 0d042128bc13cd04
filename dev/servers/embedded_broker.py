"""The embedded broker: librdkafka's mock cluster behind a relay that corrects its consumer groups.

``python -m dev.servers.embedded_broker`` prints its address and waits.

A group's leader sends all assignments in its SyncGroup request. A member that asks for its
assignment after that gets it from Kafka, but INVALID_REQUEST from the mock cluster. So the relay
stores what the leader sends, and answers each refused member with it.
"""

import asyncio
import struct
import time
from collections.abc import Mapping
from typing import NamedTuple

from confluent_kafka import Producer

from dev.servers.tcp_relay import Forward, TcpRelay

_SYNC_GROUP = 14
#: From this version on requests are encoded in another way; Faust's client does not use it.
_FLEXIBLE_SYNC_GROUP = 4
_INVALID_REQUEST = 42


class SyncGroup(NamedTuple):
    """A member's request and, if it is the leader, the assignment of each member."""

    version: int
    correlation: bytes
    group: bytes
    generation: int
    member: bytes
    assignments: Mapping[bytes, bytes]


class Relay(TcpRelay):
    """Forwards connections to a broker, and replaces the broker's address by its own.

    Args:
        host: of the broker.
        port: of the broker.
    """

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port, self._forwards)
        #: The newest generation of each group, and what its leader assigned.
        self._assigned: dict[bytes, tuple[int, Mapping[bytes, bytes]]] = {}

    def _forwards(self) -> tuple[Forward, Forward]:
        asked: dict[bytes, SyncGroup] = {}
        broker_address = _address(self.host, self.server_port)
        own_address = _address(self.host, self.port)

        async def requests(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while True:
                frame = await read_frame(source)
                if request := sync_group(frame):
                    asked[request.correlation] = request
                    if request.assignments:
                        self._assigned[request.group] = request.generation, request.assignments
                target.write(frame)
                await target.drain()

        async def responses(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while True:
                frame = await read_frame(source)
                if request := asked.pop(frame[4:8], None):
                    frame = self._answer(request) or frame if is_refused(request, frame) else frame
                target.write(frame.replace(broker_address, own_address))
                await target.drain()

        return requests, responses

    def _answer(self, request: SyncGroup) -> bytes | None:
        """The member's assignment, if its group's leader has sent it."""
        generation, assignments = self._assigned.get(request.group, (-1, {}))
        assignment = assignments.get(request.member)
        if generation != request.generation or assignment is None:
            return None
        throttle = bytes(4 if request.version else 0)
        body = request.correlation + throttle + bytes(2) + struct.pack(">i", len(assignment))
        return struct.pack(">i", len(body) + len(assignment)) + body + assignment


def sync_group(frame: bytes) -> SyncGroup | None:
    """The request in a frame, if it is a SyncGroup."""
    key, version = struct.unpack_from(">hh", frame, 4)
    if key != _SYNC_GROUP or version >= _FLEXIBLE_SYNC_GROUP:
        return None
    _, at = _text(frame, 12)
    group, at = _text(frame, at)
    (generation,) = struct.unpack_from(">i", frame, at)
    member, at = _text(frame, at + 4)
    if version >= 3:
        _, at = _text(frame, at)
    (count,) = struct.unpack_from(">i", frame, at)
    at += 4
    assignments = {}
    for _ in range(count):
        name, at = _text(frame, at)
        (length,) = struct.unpack_from(">i", frame, at)
        assignments[name] = frame[at + 4 : at + 4 + length]
        at += 4 + length
    return SyncGroup(version, frame[8:12], group, generation, member, assignments)


def is_refused(request: SyncGroup, frame: bytes) -> bool:
    """Whether the frame that answers the request is the mock cluster's refusal."""
    (error,) = struct.unpack_from(">h", frame, 12 if request.version else 8)
    return bool(error == _INVALID_REQUEST)


def _text(frame: bytes, at: int) -> tuple[bytes, int]:
    """A length-prefixed text, and where it ends."""
    (length,) = struct.unpack_from(">h", frame, at)
    end = at + 2 + max(int(length), 0)
    return frame[at + 2 : end], end


async def read_frame(source: asyncio.StreamReader) -> bytes:
    """The next request or response, with its size prefix."""
    size = await source.readexactly(4)
    return size + await source.readexactly(int.from_bytes(size, "big"))


def _address(host: str, port: int) -> bytes:
    """How responses name a broker: the host's text and the port after it."""
    return host.encode() + struct.pack(">i", port)


def main() -> None:
    # The brokers are replaced by those of the mock cluster; the name is never looked up.
    producer = Producer({"bootstrap.servers": "unused", "test.mock.num.brokers": 1, "log_level": 0})
    while not (brokers := producer.list_topics(timeout=5).brokers):
        time.sleep(0.05)
    broker = next(iter(brokers.values()))
    asyncio.run(_serve(Relay(broker.host, broker.port)))


async def _serve(relay: Relay) -> None:
    async with await relay.listen() as server:
        print(f"listens on {relay.host}:{relay.port}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    main()
