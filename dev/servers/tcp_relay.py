"""A TCP relay: forwards connections to a server, and lets its user change the traffic."""

import asyncio
import threading
from collections.abc import Awaitable, Callable

#: Passes on one direction of a connection, until it is to end.
Forward = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
#: Called for each connection; returns what forwards its requests and its responses.
Connect = Callable[[], tuple[Forward, Forward]]

#: Bytes that wait in one direction, about: with fewer the relay would be slow at large pieces.
_WAITING = 1024 * 1024


class TcpRelay:
    """Forwards connections to a port of the same machine.

    Args:
        host: of the server.
        port: of the server.
        connect: what to forward with.
        bind: address to accept connections on; None for that of the server.

    ``server_port``: of the server that new connections are forwarded to.
    """

    def __init__(self, host: str, port: int, connect: Connect, bind: str | None = None) -> None:
        self.host = host
        self.port = 0
        self._bind = bind or host
        self.server_port = port
        self._connect = connect

    async def listen(self, port: int = 0) -> asyncio.Server:
        """Accept connections on this port, by default a free one."""
        server = await asyncio.start_server(self._serve, self._bind, port, limit=_WAITING)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _serve(
        self, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter
    ) -> None:
        try:
            server_in, server_out = await asyncio.open_connection(
                self.host, self.server_port, limit=_WAITING
            )
        except OSError:
            client_out.close()
            return
        requests, responses = self._connect()
        directions = [
            asyncio.ensure_future(requests(client_in, server_out)),
            asyncio.ensure_future(responses(server_in, client_out)),
        ]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            pass  # the relay ends, and Python 3.11 would log this as an error
        finally:
            for direction in directions:
                direction.cancel()
            # Their errors are the ends of connections.
            await asyncio.gather(*directions, return_exceptions=True)
            for out in (client_out, server_out):
                out.transport.abort()


class RelayThread:
    """Runs a relay in a separate thread, for blocking code."""

    def __init__(self, relay: TcpRelay) -> None:
        self._relay = relay
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self, port: int = 0) -> None:
        """Accept connections on this port, by default a free one."""
        self._thread.start()
        listening = self._relay.listen(port)
        self._server = asyncio.run_coroutine_threadsafe(listening, self._loop).result(10)

    def stop(self) -> None:
        """End all connections."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
