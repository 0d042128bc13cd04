"""Parses `KAFKA_URL` and `DATABASE_URL`."""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from sqlalchemy.engine import URL

from config import jaas
from config.database_options import DISABLED, MODE, SOCKET, understood
from config.jdbc import from_jdbc

_KAFKA_PORT = 9092
_LAST_PORT = 65535

#: Schemes of an address, case ignored: ours, then those of Kafka's listeners. Each with whether it
#: uses TLS and whether it needs a login.
_SCHEMES = {
    "kafka": (False, False),
    "kafka+ssl": (True, False),
    "plaintext": (False, False),
    "ssl": (True, False),
    "sasl_ssl": (True, True),
    "sasl_plaintext": (False, True),
}
_BROKER = re.compile(r"(?P<host>\[[^\[\]]*\]|[\w.-]+)(?::(?P<port>\d+))?/?")

_DATABASE = re.compile(
    # URLs written for other programs may name their driver.
    r"(?:mysql|mysql2|mariadb|trilogy)"
    r"(?:\+(?:pymysql|mysqldb|mysqlconnector|mariadbconnector|asyncmy|aiomysql|cymysql))?://"
    r"(?:(?P<user>[^:@/?#]*)(?::(?P<password>[^@/?#]*))?@)?"
    r"(?P<host>\[[^\[\]@/?#]*\]|[^\[\]:@/?#,\s]*)(?::(?P<port>\d*))?"
    r"/(?P<database>[^/@?#]+)(?:\?(?P<options>[^#]*))?",
    re.IGNORECASE,
)
_FORM = "must be mysql://user:password@host:3306/database"
#: A database URL with several hosts, and one with IPv6 without brackets.
_SEVERAL = re.compile(r"\w[\w+]*://(?:[^@/?#]*@)?[^@/?#]*,[^@/?#]*(?:/[^@#]*)?")
_IPV6 = re.compile(
    r"\w[\w+]*://(?:[^@/?#]*@)?[0-9a-f]*:[0-9a-f.]*:[0-9a-f:.]*/[^@#]*", re.IGNORECASE
)


@dataclass(frozen=True)
class Brokers:
    """Addresses, ``host:port`` each, and whether they use TLS and need a login."""

    addresses: tuple[str, ...]
    tls: bool
    login: bool = False


def brokers(value: str) -> Brokers:
    """Parse ``a:9092,b:9092``, ``kafka+ssl://a:9093`` or ``SASL_SSL://a,SASL_SSL://b``.

    An address without a scheme has the scheme of the first one.

    Raises:
        ValueError: it is none of these; the message says what it must be.
    """
    if refusal := jaas.refusal(value):
        raise ValueError(refusal)
    if "@" in value:
        raise ValueError(
            "contains a login: remove it, and set KAFKA_SASL_MECHANISM, KAFKA_USERNAME and "
            "KAFKA_PASSWORD"
        )
    parts = [part.strip().rpartition("://") for part in value.split(",") if part.strip()]
    schemes = [scheme.lower() for scheme, _, _ in parts]
    addresses = [_broker(address) for _, _, address in parts]
    first = (schemes or [""])[0] or "kafka"
    kinds = {_SCHEMES.get(scheme or first) for scheme in schemes}
    if None in kinds or None in addresses or not parts:
        raise ValueError(
            "must be host:9092 or kafka://host:9092, or kafka+ssl://host:9093 for TLS; separate "
            "several by commas, and put an IPv6 address in brackets"
        )
    if len(kinds) > 1:
        raise ValueError("mixes addresses with and without TLS or login: begin all of them alike")
    tls, login = _SCHEMES[first]
    return Brokers(tuple(address for address in addresses if address), tls, login)


def database(value: str) -> URL:
    """Parse ``mysql://user:password@host:3306/database`` with its options.

    The query of the result has the options that ``config.database_options`` understands.

    Raises:
        ValueError: it is malformed; the message says what it must be, and never quotes it.
    """
    value = value.strip()
    if translated := from_jdbc(value):
        raise ValueError(f"is a JDBC URL: write {translated}")
    found = _DATABASE.fullmatch(value)
    # An @ without a login, or inside the options, means that a password has an unencoded character.
    if not found or ("@" in value and found["user"] is None) or "@" in (found["options"] or ""):
        raise ValueError(_what_is_wrong(value))
    port = int(found["port"]) if found["port"] else None
    host = _host(found["host"])
    if host is None or not _is_port(port):
        raise ValueError(_FORM)
    options = understood(parse_qsl(found["options"] or "", keep_blank_values=True))
    if SOCKET in options and host not in ("", "localhost"):
        raise ValueError(f"has a host and a {SOCKET}: remove one of them")
    if SOCKET not in options and not host:
        raise ValueError(_FORM)
    return URL.create(
        "mysql+pymysql",
        username=_decoded(found["user"]),
        password=_decoded(found["password"]),
        host=host,
        port=port,
        database=unquote(found["database"]),
        query=options,
    )


def for_driver(url: URL, *, encrypts: bool) -> URL:
    """The URL for the driver, with only the options that PyMySQL understands.

    Args:
        url: from ``database``.
        encrypts: whether TLS is asked for.
    """
    query = {SOCKET: url.query[SOCKET]} if SOCKET in url.query else {}
    # As MySQL's clients do: a socket's traffic is encrypted only on request.
    if url.query.get(MODE) == DISABLED or (query and not encrypts):
        query["ssl_disabled"] = "true"
    return url.set(query=query)


def shown(url: URL) -> str:
    """A database's address: ``host:3306``, ``[::1]:3306`` or the path of its socket."""
    if path := url.query.get(SOCKET):
        return str(path)
    host = url.host or ""
    return f"{f'[{host}]' if ':' in host else host}:{url.port or 3306}"


def _what_is_wrong(value: str) -> str:
    if value.lower().startswith("jdbc:"):
        return _FORM
    if _SEVERAL.fullmatch(value):
        return "names several hosts, but only one is supported: name one"
    if _IPV6.fullmatch(value):
        return f"{_FORM}; put an IPv6 address in brackets, [::1]:3306"
    _, _, after = value.partition("://")
    login, _, rest = after.rpartition("@")
    if set(login) & set("@/?#") or "#" in rest:
        return (
            "has a character in the user, password or database that must be percent-encoded: "
            "write %40 for @, %2F for /, %3F for ? and %23 for #"
        )
    return _FORM


def _broker(address: str) -> str | None:
    """``host:port``; None if it is not an address."""
    found = _BROKER.fullmatch(address)
    port = int(found["port"] or _KAFKA_PORT) if found else None
    if not found or not _is_port(port):
        return None
    host = _host(found["host"])
    return host and f"{f'[{host}]' if ':' in host else host}:{port}"


def _host(text: str) -> str | None:
    """A host without brackets; None if the brackets contain no IPv6 address."""
    if not text.startswith("["):
        return unquote(text)
    address = unquote(text.strip("[]"))
    try:
        ipaddress.IPv6Address(address)
    except ValueError:
        return None
    return address


def _is_port(port: int | None) -> bool:
    return port is None or 1 <= port <= _LAST_PORT


def _decoded(text: str | None) -> str | None:
    return None if text is None else unquote(text)
