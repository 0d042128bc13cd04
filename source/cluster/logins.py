"""How aiokafka's connections log in: with the secrets of the moment, and to the end.

Written against aiokafka 0.14.0; `source/patches.py` installs it.
"""

import asyncio
import math
from collections.abc import Awaitable, Mapping
from time import monotonic
from typing import Any

from aiokafka import conn
from aiokafka.protocol.admin import SaslAuthenticateRequest

#: Options that may be functions: they are asked at each connection.
_ASKED = frozenset(("ssl_context", "sasl_plain_password"))

#: Share of its life for which a login, or a token, is used. As Kafka's own client.
USED = 0.8

#: Connections that wait for their last answers.
_ending: set["asyncio.Future[None]"] = set()


def current(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a connection that is made now."""
    return {
        name: value() if name in _ASKED and callable(value) else value
        for name, value in options.items()
    }


class RenewedConnection(conn.AIOKafkaConnection):  # type: ignore[misc]
    """A connection that is replaced before the broker ends its session.

    A broker may limit how long a login counts, to the life of its token for one
    (``connections.max.reauth.ms``). It closes the connection at the first request after that.
    """

    _replaced_at = math.inf

    def send(self, request: Any, expect_response: bool = True) -> Awaitable[Any]:
        """Send a request; the result is its answer."""
        answer: Awaitable[Any] = super().send(request, expect_response)
        return self._noted(answer) if isinstance(request, SaslAuthenticateRequest) else answer

    async def _noted(self, answer: Awaitable[Any]) -> Any:
        found = await answer
        if life := getattr(found, "session_lifetime_ms", 0):
            self._replaced_at = monotonic() + USED * life / 1000
        return found

    def connected(self) -> bool:
        """Whether further requests may be sent; asked before each. If not, another one is made."""
        if not super().connected():
            return False
        if monotonic() < self._replaced_at:
            return True
        self._replaced_at = math.inf
        task = asyncio.ensure_future(self._end())
        _ending.add(task)
        task.add_done_callback(_ending.discard)
        return False

    async def _end(self) -> None:
        if self._requests:
            await asyncio.wait([answer for *_, answer in self._requests])
        self.close()


class OAuthLogin(conn.OAuthAuthenticator):  # type: ignore[misc]
    """Replaces ``OAuthAuthenticator``, which takes a rejected token for accepted.

    A broker that rejects it says why, and ends the login with an error when it gets one byte more
    (RFC 7628, 3.2.3).
    """

    async def step(self, payload: bytes | None) -> tuple[bytes, bool] | None:
        """The next message to the broker; None at the end."""
        if payload:
            self._sasl_oauth_token_provider.forget()
            return b"\1", True
        found: tuple[bytes, bool] | None = await super().step(payload)
        return found
