"""The middleware in front of pages of its own making: what no page of ours can be made to do."""

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from web.headers import SECURITY
from web.middleware import require_token


async def fails(request):
    raise RuntimeError("s3cret")


async def has_a_policy(request):
    return web.Response(headers={"Content-Security-Policy": "default-src 'self'"})


async def answers(path, **headers):
    app = web.Application(middlewares=[require_token("token-of-the-test")])
    app.router.add_get("/fails", fails)
    app.router.add_get("/policy", has_a_policy)
    async with TestClient(TestServer(app)) as client:
        answer = await client.get(path, headers=headers)
        return answer, await answer.text()


async def test_a_page_that_fails_tells_nothing_and_keeps_the_headers():
    answer, text = await answers("/fails", Authorization="Bearer token-of-the-test")
    assert answer.status == 500
    assert "s3cret" not in text
    assert SECURITY.items() <= dict(answer.headers).items()


async def test_a_page_keeps_its_own_policy():
    answer, _ = await answers("/policy", Authorization="bearer token-of-the-test")
    assert answer.headers["Content-Security-Policy"] == "default-src 'self'"


async def test_odd_credentials_are_refused():
    for odd in (
        "Bearer",
        "Basic Og==",
        "Basic \u00e9",
        "Bearer token-of-the-tes",
        "token-of-the-test",
    ):
        answer, _ = await answers("/policy", Authorization=odd)
        assert answer.status == 401, odd
