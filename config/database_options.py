"""The options of `DATABASE_URL`, in the spellings of all common drivers."""

import json
import os
from collections.abc import Iterable

#: TLS modes, as MySQL's own clients name them; the strictest last.
MODES = DISABLED, PREFERRED, REQUIRED, VERIFY_CA, VERIFY_IDENTITY = (
    "DISABLED",
    "PREFERRED",
    "REQUIRED",
    "VERIFY_CA",
    "VERIFY_IDENTITY",
)
#: The options that we use, under the names of PyMySQL and SQLAlchemy.
SOCKET, MODE = "unix_socket", "ssl_mode"
FILES = CA, CERTIFICATE, KEY = "ssl_ca", "ssl_cert", "ssl_key"
SWITCHES = VERIFY, VERIFY_NAME = "ssl_verify_cert", "ssl_verify_identity"

#: Maximum bytes of a socket's path: Linux has 108, one of which is the terminating zero.
_LONGEST_PATH = 107

#: An option that we use, and its value.
Meaning = tuple[str, str]


def _switch(on: Meaning | None, off: Meaning | None) -> dict[str, Meaning | None]:
    return {"true": on, "false": off, "1": on, "0": off}


_PLAIN, _OFFERED, _ENCRYPTED, _AUTHORITY, _NAME = ((MODE, mode) for mode in MODES)
_VERIFIED = _switch((VERIFY, "true"), (VERIFY, "false"))
_NAME_VERIFIED = _switch((VERIFY_NAME, "true"), (VERIFY_NAME, "false"))

#: What each value of an option means; its name in lower case, without `-` and `_`.
_VALUES: dict[str, dict[str, Meaning | None]] = {
    # MySQL's clients, libpq's spelling (Azure), and MariaDB's Connector/J.
    "sslmode": {
        "disabled": _PLAIN,
        "preferred": _OFFERED,
        "required": _ENCRYPTED,
        "verify_ca": _AUTHORITY,
        "verify_identity": _NAME,
        "disable": _PLAIN,
        "prefer": _OFFERED,
        "require": _ENCRYPTED,
        "trust": _ENCRYPTED,
        "verify_full": _NAME,
    },
    # Prisma, PlanetScale.
    "sslaccept": {"strict": _NAME, "accept_invalid_certs": _ENCRYPTED},
    # Go.
    "tls": {
        **_switch(_NAME, _PLAIN),
        "skip_verify": _ENCRYPTED,
        "preferred": _OFFERED,
    },
    # Connectors in Java and Python. useSSL=true requires TLS, even where it is not offered.
    "usessl": _switch(_ENCRYPTED, _PLAIN),
    "requiressl": _switch(_ENCRYPTED, None),
    "ssldisabled": _switch(_PLAIN, None),
    "verifyservercertificate": _VERIFIED,
    "trustservercertificate": _switch((VERIFY, "false"), (VERIFY, "true")),
    # Without TLS, PyMySQL always does this, so only an explicit "false" is an error.
    "allowpublickeyretrieval": {"true": None, "1": None},
    # PyMySQL, SQLAlchemy, mysql2 of Ruby, the client of MariaDB.
    "sslverifycert": _VERIFIED,
    "sslverify": _VERIFIED,
    "sslverifyservercert": _VERIFIED,
    "sslverifyidentity": _NAME_VERIFIED,
    "sslcheckhostname": _NAME_VERIFIED,
}
_PATHS = {
    "sslca": CA,
    "sslrootcert": CA,
    "serversslcert": CA,
    "sslcert": CERTIFICATE,
    "sslkey": KEY,
    "unixsocket": SOCKET,
    "socket": SOCKET,
    "socketpath": SOCKET,
    "localsocket": SOCKET,
}
#: Options that tune other drivers. This app sets up sessions, pool and time limits itself.
_IGNORED = frozenset(
    """
    adapter autocommit autoreconnect cacheprepstmts charset characterencoding checkconnliveness
    checkouttimeout clientfoundrows collation columnswithalias compress connectionattributes
    connectioncollation connectionlimit connectiontimezone connecttimeout connmaxage debug
    encoding idletimeout interpolateparams keepalive loc maxallowedpacket maxidle maxlifetime
    maxopenconns maxpoolsize minpoolsize multiplestatements multistatements parsetime pool
    poolrecycle poolsize pooltimeout preparedstatements prepstmtcachesize queuelimit readtimeout
    reapingfrequency reconnect rewritebatchedstatements servertimezone serverversion sockettimeout
    statementcachesize tcpkeepalive timeout timezone usebulkstmts usecompression usecursorfetch
    useserverprepstmts useunicode waitforconnections writetimeout zerodatetimebehavior
    """.split()  # noqa: SIM905 - shorter
)


def understood(options: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The options that we use, by the names above; options that tune other drivers are dropped.

    If there are several TLS modes, the strictest wins.

    Args:
        options: names and values, as in the URL.

    Raises:
        ValueError: an option is unknown or wrong, or two contradict each other; the text names it.
    """
    found: dict[str, str] = {}
    for name, value in options:
        key = name.lower().replace("-", "").replace("_", "")
        meaning = None if key in _IGNORED else _meaning(name, key, value)
        if meaning is None:
            continue
        option, said = meaning
        before = found.get(option, said)
        if before == said:
            found[option] = said
        elif option == MODE and DISABLED not in (before, said):
            found[option] = max(before, said, key=MODES.index)
        else:
            raise ValueError(f"has two conflicting options, one of them {name}")
    return found


def _meaning(name: str, key: str, value: str) -> Meaning | None:
    if option := _PATHS.get(key):
        return option, _socket(name, value) if option == SOCKET else value
    if key == "ssl":
        return _ssl(value)
    if not (values := _VALUES.get(key)):
        raise ValueError(f"has an unknown option {name!r}: remove it, or see docs/database.md")
    try:
        return values[value.lower().replace("-", "_")]
    except KeyError:
        # Where several spellings mean the same, the first is the usual one.
        known = {meaning: text for text, meaning in reversed(values.items())}
        texts = sorted(known.values(), key=list(values).index)
        raise ValueError(f"{name} must be {' or '.join(texts)}") from None


def _socket(name: str, value: str) -> str:
    if not value.startswith("/"):
        raise ValueError(f"{name} must be an absolute path")
    if len(os.fsencode(value)) > _LONGEST_PATH:
        raise ValueError(
            f"{name} is longer than the {_LONGEST_PATH} bytes allowed for a socket's path: use a "
            "symbolic link to it"
        )
    return value


def _ssl(value: str) -> Meaning:
    """Node's form: `true`, or a JSON object."""
    try:
        options = json.loads(value)
    except ValueError:
        options = None
    if isinstance(options, bool):
        return _NAME if options else _PLAIN
    if not isinstance(options, dict) or not options.keys() <= {"rejectUnauthorized", "minVersion"}:
        raise ValueError(
            'ssl must be true, false or {"rejectUnauthorized":true}; put a CA into ssl_ca or '
            "DATABASE_CA"
        )
    if options.get("minVersion", "TLSv1.2") not in ("TLSv1", "TLSv1.1", "TLSv1.2"):
        raise ValueError("minVersion of ssl must not be newer than TLSv1.2")
    verify = options.get("rejectUnauthorized", True)
    if verify not in (True, False):
        raise ValueError("rejectUnauthorized of ssl must be true or false")
    return _NAME if verify else _ENCRYPTED
