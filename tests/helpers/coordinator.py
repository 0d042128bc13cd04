"""A broker whose group coordinator can be away while its topics are served."""

import asyncio
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dev.servers.embedded_broker import read_frame
from dev.servers.tcp_relay import Forward
from tests.helpers.relayed import RelayedKafka

_FIND_COORDINATOR = 10
_HEARTBEAT = 12
_NOT_AVAILABLE = struct.pack(">h", 15)


class AbsentCoordinator(RelayedKafka):
    """Clients of the second address lose the coordinator where told to.

    The proxy changes the answers to heartbeats and to the question for the coordinator into
    "not available", as a cluster answers whose ``__consumer_offsets`` has lost its leader.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._away = False
        #: How often a client asked for the coordinator, or spoke to it, in vain.
        self.refused = 0

    @contextmanager
    def coordinator_away(self) -> Iterator[None]:
        """For as long as this lasts no client of the second address finds the coordinator."""
        self._away = True
        try:
            yield
        finally:
            self._away = False

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
