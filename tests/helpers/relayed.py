"""Apache Kafka with a second address, at which a proxy changes the traffic."""

import asyncio
from abc import abstractmethod
from pathlib import Path
from typing import Self

from dev.servers.broker import ApacheKafka
from dev.servers.processes import free_port
from dev.servers.tcp_relay import Forward, RelayThread, TcpRelay


class RelayedKafka(ApacheKafka):
    """Clients of the second address, ``url``, stay behind the proxy; ``bootstrap`` is the first."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._inner_port = free_port()
        self._outer_port = free_port()
        self._relay: RelayThread | None = None

    @property
    def url(self) -> str:
        return f"kafka://127.0.0.1:{self._outer_port}"

    def start(self) -> Self:
        super().start()
        if self._relay is None:
            self._relay = RelayThread(TcpRelay("127.0.0.1", self._inner_port, self._forwards))
            self._relay.start(self._outer_port)
        return self

    def stop(self) -> None:
        if self._relay is not None:
            self._relay.stop()
            self._relay = None
        super().stop()

    def _settings(self) -> str:
        plain = super()._settings()
        listeners = next(line for line in plain.splitlines() if line.startswith("listeners="))
        lines = [
            f"{listeners},OUTER://127.0.0.1:{self._inner_port}",
            f"advertised.listeners=PLAINTEXT://{self.bootstrap},"
            f"OUTER://127.0.0.1:{self._outer_port}",
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,"
            "OUTER:PLAINTEXT",
            "inter.broker.listener.name=PLAINTEXT",
        ]
        return plain + "\n".join([*lines, ""])

    @abstractmethod
    def _forwards(self) -> tuple[Forward, Forward]:
        """What passes on requests and responses of a connection."""


class DroppingKafka(RelayedKafka):
    """Drops all that is sent either way, closing nothing, while ``dropping``.

    A connection that has lost something stays open and passes on no more, as with a firewall that
    has forgotten it; a new one is accepted, and passes on what is sent on it afterwards.
    """

    dropping = False

    def _forwards(self) -> tuple[Forward, Forward]:
        lost = asyncio.Event()

        async def forward(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                if self.dropping:
                    lost.set()
                if not lost.is_set():
                    target.write(data)
                    await target.drain()

        return forward, forward
