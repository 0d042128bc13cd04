"""The web server's limits, with clients that finish nothing."""

import asyncio
import time
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from web.server import HEADERS, Runner

FLOOD = 300
REQUEST = b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@asynccontextmanager
async def served(**limits):
    """A server's port, with a small page and a large one."""

    async def small(_request):
        return web.Response(text="ok")

    async def large(_request):
        return web.Response(body=bytes(8_000_000))

    app = web.Application()
    app.router.add_get("/health/", small)
    app.router.add_get("/large", large)
    runner = Runner(app, **limits)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner, site.port
    finally:
        await runner.cleanup()


async def opened(port, number, head=b""):
    """This many connections that begin a request and never end it."""
    found = []
    for _ in range(number):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head)
        found.append((reader, writer))
    return found


async def health(port):
    async with (
        aiohttp.ClientSession() as client,
        client.get(f"http://127.0.0.1:{port}/health/", timeout=aiohttp.ClientTimeout(5)) as answer,
    ):
        return answer.status


async def closed(reader):
    try:
        return await reader.read() == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("head", [b"", b"GET /health/ HTTP/1.1\r\nHost: lo"], ids=["idle", "loris"])
async def test_a_flood_of_connections_keeps_no_probe_out(head):
    async with served(limit=20, idle=60) as (runner, port):
        clients = await opened(port, FLOOD, head)
        assert await health(port) == 200
        assert len(runner.server.connections) <= 20
        # The oldest went.
        assert await asyncio.wait_for(closed(clients[0][0]), 5)
        for _, writer in clients:
            writer.close()


@pytest.mark.parametrize("head", [b"", b"GET /health/ HTTP/1.1\r\nHost: lo"], ids=["idle", "loris"])
async def test_an_unfinished_request_is_closed_in_time(head):
    async with served(idle=0.5) as (runner, port):
        start = time.monotonic()
        [(reader, writer)] = await opened(port, 1, head)
        ended = asyncio.create_task(closed(reader))
        # To send more of the head gains no time.
        while head and not (await asyncio.wait({ended}, timeout=0.1))[0]:
            writer.write(b"x")
        assert await asyncio.wait_for(ended, 5)
        assert 0.4 <= time.monotonic() - start < 3
        assert runner.server.connections == []
        writer.close()


async def test_an_answered_connection_is_closed_when_idle():
    async with served(idle=0.3) as (_, port):
        [(reader, writer)] = await opened(port, 1, b"GET /health/ HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), 5)
        assert answer.startswith(b"HTTP/1.1 200")
        writer.close()


async def test_clients_that_do_not_read_are_bounded_too():
    async with served(limit=5, idle=60, last=0.1) as (runner, port):
        # Each takes the beginning of its answer, and then no more.
        clients = []
        for _ in range(20):
            clients += await opened(port, 1, REQUEST)
            await clients[-1][0].readexactly(1)
        assert await health(port) == 200
        assert len(runner.server.connections) <= 5
        for _, writer in clients:
            writer.transport.abort()


async def test_a_head_without_end_is_refused():
    async with served() as (_, port):
        [(reader, writer)] = await opened(port, 1, b"GET /health/ HTTP/1.1\r\n")
        writer.write((b"X-Long: " + b"a" * 8000 + b"\r\n") * (2 * HEADERS))
        assert b" 400 " in await asyncio.wait_for(reader.readline(), 5)
        writer.close()


async def test_a_client_that_does_not_read_delays_no_end():
    async with served(last=0.1) as (runner, port):
        [(reader, writer)] = await opened(port, 1, REQUEST)
        await reader.readexactly(1)
        await asyncio.wait_for(runner.cleanup(), 5)
        writer.transport.abort()
