"""Connections that notice within seconds that the broker is silent.

aiokafka has one limit for all requests. Faust demands that it exceeds the session, and a request to
join a group takes as long as other members need. So a lost answer would be waited for 90 s. Here a
connection ends:

- when the broker owes an answer and sends no byte for ``SILENCE`` seconds. A slow link sends some.
  Joining is left out: its answer comes when the other members have joined;
- when the broker acknowledges no packet, as the kernel finds, whatever the request.

Written against aiokafka 0.14.0; `source/patches.py` installs it.
"""

import asyncio
import socket
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

from aiokafka.protocol.group import JoinGroupRequest, SyncGroupRequest

from pipeline.patience import is_done
from source.cluster.logins import RenewedConnection, current

#: Seconds without a byte of an answer that is due. A fetch without events is answered after 1.5 s.
SILENCE = 15.0
#: Seconds for each step of connecting. The kernel asks at 0, 1 and 3 s, so that a broker that is
#: back is found within two.
CONNECT_TIMEOUT = 5.0

#: Of the kernel's keepalive: seconds of silence, between questions, and how many.
_KEEPALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 3, "TCP_KEEPCNT": 3}
_JOIN = JoinGroupRequest, SyncGroupRequest


class Connection(RenewedConnection):
    """A connection that ends when the broker is silent."""

    #: Answers received, and requests to join that wait for theirs.
    _answers = 0
    _joining = 0
    _request_timeout: float

    async def connect(self) -> Any:
        # For each step: the connection with TLS, what the broker speaks, the login.
        limit, self._request_timeout = self._request_timeout, CONNECT_TIMEOUT
        found = await super().connect()
        self._request_timeout = limit
        watch(self._writer.get_extra_info("socket"))
        return found

    def send(self, request: Any, expect_response: bool = True) -> Awaitable[Any]:
        answer: Awaitable[Any] = super().send(request, expect_response)
        if not expect_response:
            return answer
        return self._joined(answer) if isinstance(request, _JOIN) else self._in_time(answer)

    async def _joined(self, answer: Awaitable[Any]) -> Any:
        self._joining += 1
        try:
            return await answer
        finally:
            self._joining -= 1

    async def _in_time(self, answer: Awaitable[Any]) -> Any:
        """The answer.

        Raises:
            TimeoutError: nothing came for too long; aiokafka closes the connection then.
        """
        task = asyncio.ensure_future(answer)
        try:
            received = self._received
            while not await is_done(task, SILENCE):
                before, received = received, self._received
                # Answers come in the order of the requests.
                if received == before and not self._joining:
                    raise TimeoutError
            return await task
        finally:
            task.cancel()

    @property
    def _received(self) -> tuple[int, int]:
        """Changes with each byte."""
        return self._answers, len(self._reader._buffer) if self._reader else 0

    def _handle_frame(self, resp: bytes) -> None:
        self._answers += 1
        super()._handle_frame(resp)


async def create_conn(host: str, port: int, **options: Any) -> Connection:
    """Replaces aiokafka's: a connection of the class above."""
    connection = Connection(host, port, **current(options))
    await connection.connect()
    return connection


def watch(connection: Any) -> None:
    """Have the kernel end a TCP connection whose other side is gone."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE.items():
            if number := getattr(socket, name, None):
                connection.setsockopt(socket.IPPROTO_TCP, number, value)
        if number := getattr(socket, "TCP_USER_TIMEOUT", None):
            connection.setsockopt(socket.IPPROTO_TCP, number, int(1000 * SILENCE))
