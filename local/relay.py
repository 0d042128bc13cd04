"""Stands before librdkafka's mock cluster, and puts right how it forms consumer groups.

A group's leader sends everyone's assignment in its SyncGroup request. The mock cluster takes
that for everyone's request: whoever asks for its assignment after the leader has sent them is
refused (INVALID_REQUEST), where Kafka answers with the assignment. So the leader's request is
held back until the others have asked.
"""

import asyncio
import struct

_SYNC_GROUP = 14
#: From this version on requests are encoded in another way; Faust's client does not use it.
_FLEXIBLE_SYNC_GROUP = 4
#: Seconds the leader's assignments are held back; the others ask within a few milliseconds.
LEADER_DELAY = 0.25


class Relay:
    """Forwards connections to a broker, itself in the place of that broker's address.

    Args:
        host: of the broker.
        port: of the broker.
    """

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = 0
        self._broker_port = port

    async def listen(self) -> asyncio.Server:
        """Accept connections on a free port of the same host."""
        server = await asyncio.start_server(self._serve, self.host, 0)
        self.port = server.sockets[0].getsockname()[1]
        self._broker_address = _address(self.host, self._broker_port)
        self._own_address = _address(self.host, self.port)
        return server

    async def _serve(
        self, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter
    ) -> None:
        broker_in, broker_out = await asyncio.open_connection(self.host, self._broker_port)
        ways = [
            asyncio.create_task(self._requests(client_in, broker_out)),
            asyncio.create_task(self._responses(broker_in, client_out)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        # Their errors are the ends of connections.
        await asyncio.gather(*ways, return_exceptions=True)
        for out in (client_out, broker_out):
            out.transport.abort()

    async def _requests(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while True:
            frame = await _frame(source)
            if assignments(frame) > 1:
                await asyncio.sleep(LEADER_DELAY)
            target.write(frame)
            await target.drain()

    async def _responses(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while True:
            frame = await _frame(source)
            target.write(frame.replace(self._broker_address, self._own_address))
            await target.drain()


def assignments(frame: bytes) -> int:
    """How many members a SyncGroup request assigns partitions to; 0 for other requests."""
    key, version = struct.unpack_from(">hh", frame, 4)
    if key != _SYNC_GROUP or version >= _FLEXIBLE_SYNC_GROUP:
        return 0
    client = _after_string(frame, 12)
    generation = _after_string(frame, client)
    end = _after_string(frame, generation + 4)
    if version >= 3:
        end = _after_string(frame, end)
    (count,) = struct.unpack_from(">i", frame, end)
    return int(count)


def _after_string(frame: bytes, at: int) -> int:
    (length,) = struct.unpack_from(">h", frame, at)
    return at + 2 + max(int(length), 0)


async def _frame(source: asyncio.StreamReader) -> bytes:
    size = await source.readexactly(4)
    return size + await source.readexactly(int.from_bytes(size, "big"))


def _address(host: str, port: int) -> bytes:
    """How responses name a broker: the host's text and the port after it."""
    return host.encode() + struct.pack(">i", port)
