"""Where the pages are, and who may read them, in words. Imports only the standard library."""

from ipaddress import ip_address

#: Addresses that mean every address of this machine, and the one to open for each.
_EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104

#: Pages that show no events. Probes and Prometheus read them; with a token, only the first is open.
OPEN = ("/health/", "/ready/", "/metrics")


def address(bind: str, port: int | str) -> str:
    """The pages' address on this machine, for a URL: without a path."""
    bind = bind.strip("[]")
    host = _EVERYWHERE.get(bind, bind)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_loopback(text: str) -> bool:
    """Whether a text is an IP address that only this machine itself can have connected from."""
    try:
        found = ip_address(text.strip("[]"))
    except ValueError:
        return False
    return (getattr(found, "ipv4_mapped", None) or found).is_loopback


def readers(bind: str, *, has_token: bool) -> tuple[str, str]:
    """Who may read the pages that show events, and what to set to change that; may be empty."""
    if has_token:
        return "to requests with WEB_TOKEN", ""
    if bind.strip("[]") in _EVERYWHERE or bind == "localhost" or is_loopback(bind):
        return "on this machine only", "set WEB_TOKEN to read them from elsewhere"
    return (
        f"to nobody, because WEB_BIND={bind} leaves out this machine's own 127.0.0.1",
        "set WEB_TOKEN, or remove WEB_BIND to read them on this machine",
    )
