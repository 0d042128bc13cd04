"""A broker whose group coordinator can be away while its topics are served."""

import asyncio
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from dev.broker import ApacheKafka
from dev.processes import free_port

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
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
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
        self._thread.start()
        serving = asyncio.start_server(self._serve, "127.0.0.1", self._outer_port)
        self._server = asyncio.run_coroutine_threadsafe(serving, self._loop).result(10)
        return self

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
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

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(
        self, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter
    ) -> None:
        broker_in, broker_out = await asyncio.open_connection("127.0.0.1", self._inner_port)
        #: Of requests whose answers may have to be changed: where the error is in them.
        errors: dict[bytes, int] = {}

        async def requests() -> None:
            while True:
                message = await _read(client_in)
                key, version = struct.unpack_from(">hh", message)
                if key in (_FIND_COORDINATOR, _HEARTBEAT):
                    # Behind the correlation id, and from version 1 on the throttle time.
                    errors[message[4:8]] = 8 if version else 4
                await _write(broker_out, message)

        async def answers() -> None:
            while True:
                message = await _read(broker_in)
                at = errors.pop(message[:4], None)
                if at and self._away:
                    self.refused += 1
                    message = message[:at] + _NOT_AVAILABLE + message[at + 2 :]
                await _write(client_out, message)

        ways = [asyncio.create_task(requests()), asyncio.create_task(answers())]
        with suppress(asyncio.CancelledError):
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        for out in (client_out, broker_out):
            out.transport.abort()


async def _read(source: asyncio.StreamReader) -> bytes:
    (size,) = struct.unpack(">i", await source.readexactly(4))
    return await source.readexactly(size)


async def _write(target: asyncio.StreamWriter, message: bytes) -> None:
    target.write(struct.pack(">i", len(message)) + message)
    await target.drain()
