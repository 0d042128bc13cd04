"""`KAFKA_URL` and `DATABASE_URL`, taken apart."""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, quote

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from config import tls

#: What a URL's options may say: TLS as PyMySQL, SQLAlchemy and MySQL's own clients name it.
_MODES = ("PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY")
_FILES = ("ssl_ca", "ssl_cert", "ssl_key")
_SWITCHES = ("ssl_verify_cert", "ssl_verify_identity", "ssl_check_hostname")
#: Meant for other drivers (ClearDB's URLs have the first); sessions here need neither.
_MEANINGLESS = ("reconnect", "charset")

_JDBC = re.compile(
    r"jdbc:(?:\w+:)?(?:mysql|mariadb)(?::\w+)*://(?:(?P<user>[^:@/?]*)(?::[^/?]*)?@)?"
    r"(?P<host>[^:/?,@]*)(?::(?P<port>\d+))?[^/?@]*(?:/(?P<database>[^?@]*))?(?:\?(?P<options>.*))?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Brokers:
    """Addresses, ``host:port`` each, and whether they are spoken to in TLS."""

    addresses: tuple[str, ...]
    tls: bool


def brokers(value: str) -> Brokers:
    """Take apart ``kafka://a:1,b:2`` or ``kafka+ssl://a:1,kafka+ssl://b:2``.

    Raises:
        ValueError: it is neither; the text says what it must be.
    """
    for scheme in ("kafka://", "kafka+ssl://"):
        addresses = [part.strip().removeprefix(scheme) for part in value.split(",") if part.strip()]
        if value.strip().startswith(scheme) and all(map(_is_address, addresses)):
            return Brokers(tuple(addresses), tls=scheme == "kafka+ssl://")
    raise ValueError(
        "must be kafka://host:port, or kafka+ssl://host:port for TLS, several separated by commas"
    )


def database(value: str) -> URL:
    """Take apart ``mysql://user:password@host:3306/database``, options included.

    Raises:
        ValueError: it is not that; the text says what it must be, and never quotes it.
    """
    try:
        url = make_url(value)
    except (ArgumentError, ValueError):
        url = URL.create("none")
    if translated := from_jdbc(value):
        raise ValueError(f"is a JDBC URL: write {translated}")
    if url.drivername not in {"mysql", "mysql+pymysql"} or not url.host or not url.database:
        raise ValueError("must be mysql://user:password@host:3306/database")
    known = ("ssl_mode", *_FILES, *_SWITCHES, *_MEANINGLESS)
    if unknown := sorted({_name(option) for option in url.query} - {*known}):
        raise ValueError(f"has an unknown option {unknown[0]!r}; known are {', '.join(known)}")
    return url.set(drivername="mysql+pymysql")


def from_jdbc(value: str) -> str | None:
    """A JDBC URL of MySQL or MariaDB as it is written here, without its password; else None."""
    found = _JDBC.fullmatch(value.strip())
    if not found:
        return None
    options = parse_qs(found["options"] or "")
    user = found["user"] or options.get("user", ["USER"])[0]
    address = f"{found['host'] or 'HOST'}:{found['port'] or 3306}"
    return f"mysql://{quote(user, safe='')}:PASSWORD@{address}/{found['database'] or 'DATABASE'}"


def without_options(url: URL) -> URL:
    """The URL as the driver gets it: what its options say is said to it in other ways."""
    return url.difference_update_query(url.query)


def database_tls(url: URL, trusted: str) -> ssl.SSLContext | None:
    """The TLS context for a database, or None where encryption is only taken if offered.

    With an authority named, or TLS asked for without REQUIRED, the server is verified, name
    included.

    Args:
        url: of the database; its options say how.
        trusted: PEM text of the authorities trusted; empty for what the options say.

    Raises:
        ValueError: an option is wrong; the text names it.
    """
    options = {_name(name): str(value) for name, value in url.query.items()}
    mode = options.get("ssl_mode", "").upper()
    if mode not in ("", *_MODES):
        raise ValueError(f"ssl_mode must be one of {', '.join(_MODES)}")
    trusted = trusted or _read(options, "ssl_ca")
    asked = mode not in ("", "PREFERRED") or any(name in options for name in _FILES + _SWITCHES)
    if not (trusted or asked):
        return None
    certificate, key = _read(options, "ssl_cert"), _read(options, "ssl_key")
    if certificate:
        try:
            tls.check_key(key or certificate, certificate)
        except ValueError as error:
            raise ValueError(f"ssl_key {error}") from None
    return tls.client_context(
        trusted=trusted,
        verify=_switch(options, "ssl_verify_cert", mode != "REQUIRED" or bool(trusted)),
        verify_hostname=(
            _switch(options, "ssl_verify_identity", mode not in ("REQUIRED", "VERIFY_CA"))
            and _switch(options, "ssl_check_hostname", True)
        ),
        certificate=certificate,
        key=key,
    )


def _is_address(host: str) -> bool:
    name, _, port = host.rpartition(":")
    return bool(name) and "/" not in host and "@" not in host and port.isdecimal()


def _name(option: str) -> str:
    return option.replace("-", "_")


def _read(options: Mapping[str, str], name: str) -> str:
    if name not in options:
        return ""
    try:
        text = Path(options[name]).read_text()
        tls.certificates(text) if name != "ssl_key" else None
    except OSError as error:
        raise ValueError(f"{name} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None
    return text


def _switch(options: Mapping[str, str], name: str, default: bool) -> bool:
    value = options.get(name, str(default)).lower()
    if value not in ("true", "1", "false", "0"):
        raise ValueError(f"{name} must be true or false")
    return value in ("true", "1")
