"""What goes wrong on a TCP connection, done by a relay in its middle."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Iterator

from dev.servers.tcp_relay import Forward, RelayThread, TcpRelay

#: Of a socket: to be closed by a reset, which loses what is under way.
_RESET = struct.pack("ii", 1, 0)
_Pieces = asyncio.Queue[tuple[float, bytes]]


class Trouble:
    """Of all connections that its relays forward.

    ``dropping``: all that is sent either way is lost, and nothing is closed. A connection that has
    lost something stays open and passes on no more, as with a firewall that has forgotten it; a
    new one is accepted, and passes on what is sent on it afterwards.
    ``delay``: seconds that bytes travel each way.
    ``resets``: how many ends of connections were reset.
    """

    def __init__(self) -> None:
        self.dropping = False
        self.delay = 0.0
        self.resets = 0
        self._ends: set[asyncio.StreamWriter] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def reset(self) -> None:
        """Reset every connection that is open, on both sides."""
        if self._loop:
            self._loop.call_soon_threadsafe(self._reset)

    def _reset(self) -> None:
        for end in self._ends:
            self.resets += 1
            end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            end.transport.abort()

    def forwards(self) -> tuple[Forward, Forward]:
        """What passes on requests and responses of a connection."""
        lost = asyncio.Event()
        self._loop = asyncio.get_running_loop()

        async def forward(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            self._ends.add(target)
            pieces = _Pieces()
            late = asyncio.create_task(_deliver(pieces, target))
            try:
                while data := await source.read(65536):
                    if self.dropping:
                        lost.set()
                    if not lost.is_set():
                        pieces.put_nowait((asyncio.get_running_loop().time() + self.delay, data))
                await pieces.join()
            finally:
                late.cancel()
                self._ends.discard(target)

        return forward, forward

    @contextlib.contextmanager
    def on_the_way_to(self, port: int, bind: str = "127.0.0.1") -> Iterator[int]:
        """A port that leads through it to another one of this machine."""
        relay = TcpRelay("127.0.0.1", port, self.forwards, bind)
        thread = RelayThread(relay)
        thread.start()
        try:
            yield relay.port
        finally:
            thread.stop()


async def _deliver(pieces: _Pieces, target: asyncio.StreamWriter) -> None:
    """Each piece in its time."""
    while True:
        due, data = await pieces.get()
        await asyncio.sleep(due - asyncio.get_running_loop().time())
        target.write(data)
        await target.drain()
        pieces.task_done()
