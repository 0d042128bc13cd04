"""Who may read which page: a pure function of the request and of what is set."""

from base64 import b64decode
from collections.abc import Iterable
from enum import Enum
from hmac import compare_digest

from config.pages import OPEN, is_loopback

#: Headers by which a proxy says that a request is another's; further ones begin `x-forwarded`.
FORWARDING = frozenset(
    """
    cf-connecting-ip client-ip fastly-client-ip forwarded forwarded-for true-client-ip via
    x-client-ip x-cluster-client-ip x-envoy-external-address x-original-forwarded-for
    x-originating-ip x-proxyuser-ip x-real-ip x-remote-addr x-remote-ip
    """.split()  # noqa: SIM905 - shorter
)


class Refusal(Enum):
    """Why a page is refused: status, and a sentence that says what to set."""

    NO_TOKEN = 401, "send WEB_TOKEN as a bearer token or as the password"
    ELSEWHERE = (
        403,
        "without WEB_TOKEN this page is served only on the worker's own machine, and not through "
        "a proxy: set WEB_TOKEN to read it from elsewhere",
    )
    OTHER_HOST = (
        403,
        "without WEB_TOKEN this page is served only under the worker's own address: open it as "
        "localhost or 127.0.0.1, or set WEB_TOKEN",
    )

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.value[0]

    @property
    def sentence(self) -> str:
        """What to set."""
        return self.value[1]


def refusal(
    path: str,
    peer: str | None,
    headers: Iterable[tuple[str, str]],
    *,
    token: str | None,
    bind: str = "",
) -> Refusal | None:
    """Why a request is refused, or None if the page is served.

    Args:
        path: of the page, decoded.
        peer: IP address that the connection comes from; None or empty if it has none.
        headers: of the request, as they came.
        token: required by every page except ``/health/``; None to serve pages that show events
            to this machine alone.
        bind: address that the pages are served on, also a host under which they may be opened.
    """
    found = [(name.lower(), value) for name, value in headers]
    if token:
        # `Host` does not matter: a browser sends the password only to the origin it was typed for.
        is_open = path == OPEN[0] or _knows(_only(found, "authorization"), token)
        return None if is_open else Refusal.NO_TOKEN
    if path in OPEN:
        return None
    if not is_loopback(peer or "") or any(_is_forwarding(name) for name, _ in found):
        return Refusal.ELSEWHERE
    # A page of any site can have a browser here connect to this machine, if the site's name
    # resolves to it (DNS rebinding); the browser then sends that name.
    return None if _is_own(_only(found, "host"), bind) else Refusal.OTHER_HOST


def _only(headers: list[tuple[str, str]], wanted: str) -> str:
    """A header's value; empty if it is missing, or there are several."""
    values = [value for name, value in headers if name == wanted]
    return values[0] if len(values) == 1 else ""


def _is_forwarding(name: str) -> bool:
    return name in FORWARDING or name.startswith("x-forwarded")


def _is_own(host: str, bind: str) -> bool:
    """Whether a `Host` header names this machine, with any port: one may be forwarded by SSH."""
    name, colon, port = host.strip().lower().rpartition(":")
    if not colon or not port.isdecimal():
        name = host.strip().lower()
    if name == "localhost" or is_loopback(name):
        return True
    return bool(name) and name.strip("[]") == bind.strip("[]").lower()


def _knows(authorization: str, token: str) -> bool:
    """Whether credentials have the token, compared in constant time."""
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            _, _, given = b64decode(given, validate=True).decode().partition(":")
        except ValueError:
            return False
    elif scheme.lower() != "bearer":
        return False
    return compare_digest(given.encode("utf-8", "surrogateescape"), token.encode())
