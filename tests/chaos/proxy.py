"""A TCP proxy before MySQL that cuts connections where it is told to.

No kept proxy knows MySQL's protocol well enough to cut between COMMIT and its answer.
"""

import asyncio
from random import Random
from typing import Self

from dev.servers.tcp_relay import Forward, RelayThread, TcpRelay

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
        self._random = Random(seed)
        self._relay = TcpRelay("127.0.0.1", server_port, self._forwards)
        self._thread = RelayThread(self._relay)
        self.lost_commits = 0
        self.cut_share = 0.0
        self.cuts = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.stop()

    @property
    def port(self) -> int:
        return self._relay.port

    def _forwards(self) -> tuple[Forward, Forward]:
        losing = asyncio.Event()

        async def requests(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while data := await self._read(source):
                if data == _COMMIT and self.lost_commits > 0:
                    self.lost_commits -= 1
                    losing.set()
                target.write(data)
                await target.drain()

        async def responses(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            target.write(without_tls(await source.read(65536)))
            while data := await self._read(source):
                if losing.is_set():
                    # The server has committed and said so; nobody will hear it.
                    self.cuts += 1
                    return
                target.write(data)
                await target.drain()

        return requests, responses

    async def _read(self, source: asyncio.StreamReader) -> bytes:
        """The next piece of traffic; empty where the connection ends or is to be cut."""
        data = await source.read(65536)
        if data and self.cut_share and self._random.random() < self.cut_share:
            self.cuts += 1
            return b""
        return data


def without_tls(greeting: bytes) -> bytes:
    """A server's greeting that does not offer TLS."""
    if greeting[4:5] != bytes([_PROTOCOL]):
        return greeting
    # After the version's text: a number of 4 bytes, 8 of a challenge, a zero.
    abilities = greeting.index(0, 5) + 1 + 4 + 8 + 1
    changed = bytearray(greeting)
    changed[abilities + 1] &= ~_TAKES_TLS
    return bytes(changed)
