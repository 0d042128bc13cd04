"""A middleware for every page, Faust's own included: read only, who may read, security headers."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Middleware
from mode.utils.logging import get_logger

from config.settings import Settings
from pipeline.log_events import named
from web.access import Refusal, refusal
from web.headers import SECURITY

log = get_logger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def guarded(settings: Settings) -> dict[str, Any]:
    """The options of a web application whose pages are guarded as the settings say."""
    token = settings.web_token.get_secret_value() if settings.web_token else None
    return {"middlewares": [guard(token, settings.web_bind)]}


def guard(token: str | None, bind: str = "") -> Middleware:
    """The middleware.

    Args:
        token: required by every page except ``/health/``, as a bearer token or as the password
            of basic authentication; None to serve pages that show events to this machine alone.
        bind: address that the pages are served on.
    """

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        found = await _answer(request, handler, token, bind)
        for name, value in SECURITY.items():
            # A page may have its own policy.
            found.headers.setdefault(name, value)
        # The default value would reveal the versions of Python and aiohttp.
        found.headers["Server"] = "flash-sale-etl"
        return found

    return answer


async def _answer(
    request: web.Request, handler: Handler, token: str | None, bind: str
) -> web.StreamResponse:
    if request.method not in ("GET", "HEAD"):
        return web.json_response(
            {"status": "error", "reason": "these pages are read only"},
            status=405,
            headers={"Allow": "GET, HEAD"},
        )
    headers = request.headers.items()
    if why := refusal(request.path, request.remote, headers, token=token, bind=bind):
        realm = {"WWW-Authenticate": 'Basic realm="flash-sale-etl", charset="UTF-8"'}
        return web.json_response(
            {"status": "error", "reason": why.sentence},
            status=why.status,
            headers=realm if why is Refusal.NO_TOKEN else None,
        )
    if request.path == "/" and "text/html" in request.headers.get("Accept", ""):
        # A person; programs keep Faust's answer.
        return web.Response(status=302, headers={"Location": "dashboard/"})
    try:
        return await handler(request)
    except web.HTTPException as error:
        return web.json_response({"status": "error", "reason": error.reason}, status=error.status)
    except Exception:
        log.exception(
            "The page %s failed.", request.path, extra=named("page_failed", page=request.path)
        )
        return web.json_response({"status": "error", "reason": "see the worker's log"}, status=500)
