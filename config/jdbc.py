"""JDBC URLs: what to write in `DATABASE_URL` instead."""

import re
from urllib.parse import parse_qsl, quote, urlencode

from config.database_options import DISABLED, FILES, MODE, PREFERRED, understood

_JDBC = re.compile(
    r"jdbc:(?:\w+:)?(?:mysql|mariadb)(?::\w+)*://(?:(?P<user>[^:@/?]*)(?::[^/?]*)?@)?"
    r"(?P<hosts>[^/?@]*)(?:/(?P<database>[^?@]*))?(?:\?(?P<options>.*))?",
    re.IGNORECASE,
)
#: A host of several: `a:3306`, `[::1]:3306`, `(host=a,port=3306)`, `address=(host=a)(port=3306)`.
_HOST = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]()=]*)(?::(?P<port>\d+))?")
_PART = re.compile(r"\b(host|port)=([^,()]*)", re.IGNORECASE)


def from_jdbc(value: str) -> str | None:
    """A JDBC URL translated to our form, without its password; None if it is not a JDBC URL.

    TLS options are kept. Of several hosts only the first is, and the text says so.
    """
    found = _JDBC.fullmatch(value.strip())
    if not found:
        return None
    options = parse_qsl(found["options"] or "")
    user = found["user"] or dict(options).get("user", "USER")
    host, port, is_one = _first(found["hosts"])
    written = (
        f"mysql://{quote(user, safe='')}:PASSWORD@{host or 'HOST'}:{port or 3306}"
        f"/{found['database'] or 'DATABASE'}{_kept(options)}"
    )
    return written if is_one else f"{written} (the first host: only one address is supported)"


def _first(hosts: str) -> tuple[str, str | None, bool]:
    """The first host, its port, and whether it is the only one."""
    if "(" in hosts:
        parts = [(name.lower(), text) for name, text in _PART.findall(hosts)]
        names = [text for name, text in parts if name == "host"]
        host = next(iter(names), "")
        port = next((text for name, text in parts if name == "port"), None)
        return (f"[{host}]" if ":" in host else host), port, len(names) < 2
    first, *others = hosts.split(",")
    found = _HOST.fullmatch(first)
    return (found["host"], found["port"], not others) if found else ("", None, not others)


def _kept(options: list[tuple[str, str]]) -> str:
    """The options that we use, without TLS modes that are off or used only when offered."""
    known = [one for one in options if _is_known(one)]
    try:
        said = understood(known)
    except ValueError:
        return ""
    if said.get(MODE) in (DISABLED, PREFERRED):
        del said[MODE]
    return f"?{urlencode(said, safe='/')}" if said else ""


def _is_known(option: tuple[str, str]) -> bool:
    try:
        said = understood([option])
    except ValueError:
        return False
    # Some drivers take a certificate's text where we need its file.
    return all(said[name].startswith("/") for name in FILES if name in said)
