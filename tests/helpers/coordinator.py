"""A broker whose group coordinator can be away while its topics are served."""

import asyncio
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from dev.servers.broker import ApacheKafka
from dev.servers.embedded_broker import read_frame
from dev.servers.processes import free_port
from dev.servers.tcp_relay import Forward, RelayThread, TcpRelay

_FIND_COORDINATOR = 10
_HEARTBEAT = 12
_NOT_AVAILABLE = struct.pack(">h", 15)


class AbsentCoordinator(ApacheKafka):
    """Apache Kafka with a second address, whose clients lose the coordinator where told to.

    There a proxy changes the answers to heartbeats and to the question for the coordinator into
    "not available", as a cluster answers whose ``__consumer_offsets`` has lost its leader.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._inner_port = free_port()
        self._outer_port = free_port()
        self._relay = RelayThread(TcpRelay("127.0.0.1", self._inner_port, self._forwards))
        self._away = False
        #: How often a client asked for the coordinator, or spoke to it, in vain.
        self.refused = 0

    @property
    def url(self) -> str:
        """The second address."""
        return f"kafka://127.0.0.1:{self._outer_port}"

    @contextmanager
    def coordinator_away(self) -> Iterator[None]:
        """For as long as this lasts no client of the second address finds the coordinator."""
        self._away = True
        try:
            yield
        finally:
            self._away = False

    def start(self) -> Self:
        super().start()
        self._relay.start(self._outer_port)
        return self

    def stop(self) -> None:
        self._relay.stop()
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

    def _forwards(self) -> tuple[Forward, Forward]:
        #: Of requests whose responses may have to be changed: where the error is in them.
        errors: dict[bytes, int] = {}

        async def requests(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while True:
                frame = await read_frame(source)
                key, version = struct.unpack_from(">hh", frame, 4)
                if key in (_FIND_COORDINATOR, _HEARTBEAT):
                    # Behind the correlation id, and from version 1 on the throttle time.
                    errors[frame[8:12]] = 12 if version else 8
                target.write(frame)
                await target.drain()

        async def responses(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while True:
                frame = await read_frame(source)
                at = errors.pop(frame[4:8], None)
                if at and self._away:
                    self.refused += 1
                    frame = frame[:at] + _NOT_AVAILABLE + frame[at + 2 :]
                target.write(frame)
                await target.drain()

        return requests, responses
