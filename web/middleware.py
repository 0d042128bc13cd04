"""A middleware for every page, Faust's own included: read only, token check, security headers."""

from base64 import b64decode
from collections.abc import Awaitable, Callable
from hmac import compare_digest

from aiohttp import web
from aiohttp.typedefs import Middleware
from mode.utils.logging import get_logger

from pipeline.log_events import named
from web.headers import SECURITY

log = get_logger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: Open to platforms that cannot send a token; it reveals nothing about the data.
OPEN = "/health/"


def require_token(token: str | None) -> Middleware:
    """The middleware.

    Args:
        token: required by every page except ``/health/``, as a bearer token or as the password
            of basic authentication; None for no check.
    """

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        answer = await _answer(request, handler, token)
        for name, value in SECURITY.items():
            # A page may have its own policy.
            answer.headers.setdefault(name, value)
        # The default value would reveal the versions of Python and aiohttp.
        answer.headers["Server"] = "flash-sale-etl"
        return answer

    return guarded


async def _answer(request: web.Request, handler: Handler, token: str | None) -> web.StreamResponse:
    if request.method not in ("GET", "HEAD"):
        return web.json_response(
            {"status": "error", "reason": "these pages are read only"},
            status=405,
            headers={"Allow": "GET, HEAD"},
        )
    if token and request.path != OPEN and not _knows(request, token):
        return web.json_response(
            {"status": "error", "reason": "send WEB_TOKEN as a bearer token or as the password"},
            status=401,
            headers={"WWW-Authenticate": 'Basic realm="flash-sale-etl", charset="UTF-8"'},
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


def _knows(request: web.Request, token: str) -> bool:
    """Whether the request has the token, compared in constant time."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            _, _, given = b64decode(given, validate=True).decode().partition(":")
        except ValueError:
            return False
    elif scheme.lower() != "bearer":
        return False
    return compare_digest(given.encode("utf-8", "surrogateescape"), token.encode())
