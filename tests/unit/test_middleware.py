"""The middleware in front of pages of its own making: what no page of ours can be made to do."""

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from web.headers import SECURITY
from web.middleware import guard


async def fails(request):
    raise RuntimeError("s3cret")


async def has_a_policy(request):
    return web.Response(headers={"Content-Security-Policy": "default-src 'self'"})


async def answers(path, token: str | None = "token-of-the-test", **headers):
    app = web.Application(middlewares=[guard(token)])
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


async def test_a_page_behind_a_proxy_is_refused_with_a_sentence():
    for accept in ("text/html", "application/json", "*/*"):
        forwarded = {"X-Forwarded-For": "203.0.113.9", "Accept": accept}
        answer, text = await answers("/policy", None, **forwarded)
        assert answer.status == 403
        assert text.count("set WEB_TOKEN to read it from elsewhere") == 1
        assert "WWW-Authenticate" not in answer.headers
        assert SECURITY.items() <= dict(answer.headers).items()


async def test_a_rebound_name_is_refused_and_this_machine_is_not():
    assert (await answers("/policy", None))[0].status == 200
    answer, text = await answers("/policy", None, Host="evil.test")
    assert answer.status == 403
    assert "open it as localhost" in text
