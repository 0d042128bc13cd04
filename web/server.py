"""The web server that Faust runs, with limits: connections must not cost the worker its memory."""

import asyncio
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from faust.web.drivers import aiohttp as driver

#: Open connections at most. A process may have 1024 files, and Kafka and the database need some.
LIMIT = 64
#: Seconds that a connection may be idle or take for a request's head. Load balancers keep theirs
#: for 60 s, and must be the ones that close it.
IDLE = 75.0
#: Headers of a request at most, of 8 KiB each: a flood of them is 64 MB in all, one of idle
#: connections 1 MB.
HEADERS = 64
#: Seconds that a client gets at the end of the worker to read an answer, and again to close.
LAST = 1.0


class Runner(web.AppRunner):
    """Serves an application on a bounded number of connections.

    Args:
        app: the application.
        limit: open connections at most; for a further one the oldest is closed.
        idle: seconds until an idle connection is closed.
        last: seconds that a client gets at the end to read an answer, and again to close.
    """

    def __init__(
        self,
        app: web.Application,
        limit: int = LIMIT,
        idle: float = IDLE,
        last: float = LAST,
    ) -> None:
        super().__init__(
            app,
            access_log=None,
            keepalive_timeout=idle,
            max_headers=HEADERS,
            shutdown_timeout=last,
        )
        self._limit = limit

    async def setup(self) -> None:
        """Make the server."""
        await super().setup()
        assert self.server is not None
        _bound(self.server, self._limit)


def _bound(server: web.Server, limit: int) -> None:
    """Have a server close its oldest connections above a limit.

    The new one is served, so a flood of idle ones does not keep a probe out.
    """
    made, lost = server.connection_made, server.connection_lost
    transports: dict[RequestHandler, asyncio.Transport] = {}

    def connection_made(handler: RequestHandler, transport: asyncio.Transport) -> None:
        made(handler, transport)
        transports[handler] = transport
        for oldest in list(transports.values())[:-limit]:
            # Closing waits for a client that does not read; this does not.
            oldest.abort()

    def connection_lost(handler: RequestHandler, exc: BaseException | None = None) -> None:
        transports.pop(handler, None)
        lost(handler, exc)

    server.connection_made = connection_made  # type: ignore[method-assign]
    server.connection_lost = connection_lost  # type: ignore[method-assign]


class PageServer(driver.Web):
    """Faust's, with these limits."""

    def __init__(self, app: Any, **options: Any) -> None:
        super().__init__(app, **options)
        self._runner = Runner(self.web_app)
