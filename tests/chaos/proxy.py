"""A TCP proxy before MySQL that cuts connections where it is told to.

No kept proxy knows MySQL's protocol well enough to cut between COMMIT and its answer.
"""

import asyncio
import threading
from random import Random
from typing import Self

#: A COM_QUERY packet: three bytes of length, a sequence number, 3, and the text.
_COMMIT = b"\x07\x00\x00\x00\x03COMMIT"
#: A server's greeting begins with this number; an error instead of it with another.
_PROTOCOL = 10
#: In the second byte of what a server can do: that it takes connections in TLS.
_TAKES_TLS = 0x08


class Proxy:
    """Forwards 127.0.0.1:``port`` to a server on 127.0.0.1, in plain text.

    MariaDB 11.4 and newer offer TLS of their own accord. Clients that take it only where it is
    offered do without it here, as a COMMIT could not be seen in it.

    ``lost_commits``: of so many COMMITs to come, the server's answer is not passed on and the
    connection is cut. ``cut_share``: this share of all pieces of traffic is cut instead of
    passed on, at random.
    """

    def __init__(self, server_port: int, seed: int = 0) -> None:
        self._server_port = server_port
        self._random = Random(seed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.lost_commits = 0
        self.cut_share = 0.0
        self.cuts = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(
        self, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter
    ) -> None:
        try:
            server_in, server_out = await asyncio.open_connection("127.0.0.1", self._server_port)
        except OSError:
            client_out.close()
            return
        client_out.write(without_tls(await server_in.read(65536)))
        losing = asyncio.Event()
        ways = [
            asyncio.create_task(self._pass(client_in, server_out, losing, from_client=True)),
            asyncio.create_task(self._pass(server_in, client_out, losing, from_client=False)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        for out in (client_out, server_out):
            out.transport.abort()

    async def _pass(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        losing: asyncio.Event,
        *,
        from_client: bool,
    ) -> None:
        while data := await source.read(65536):
            if self.cut_share and self._random.random() < self.cut_share:
                self.cuts += 1
                return
            if from_client and data == _COMMIT and self.lost_commits > 0:
                self.lost_commits -= 1
                losing.set()
            elif not from_client and losing.is_set():
                # The server has committed and said so; nobody will hear it.
                self.cuts += 1
                return
            target.write(data)
            await target.drain()


def without_tls(greeting: bytes) -> bytes:
    """A server's greeting that does not offer TLS."""
    if greeting[4:5] != bytes([_PROTOCOL]):
        return greeting
    # After the version's text: a number of 4 bytes, 8 of a challenge, a zero.
    abilities = greeting.index(0, 5) + 1 + 4 + 8 + 1
    changed = bytearray(greeting)
    changed[abilities + 1] &= ~_TAKES_TLS
    return bytes(changed)
