"""Grades the connection to the database: is it encrypted, and is the server the right one."""

import ssl

from sqlalchemy import Connection, text

from checks.result import CheckResults
from config.pages import is_loopback

_SUBJECT = "Database TLS"
_HINT = "docs/database.md#tls"


def check_encryption(
    connection: Connection, tls: ssl.SSLContext | None, results: CheckResults
) -> None:
    """Add the grade of an open connection.

    Args:
        connection: to the database.
        tls: the context it was made with; None if TLS is off or used only when offered.
        results: gets the grade.
    """
    url = connection.engine.url
    if "unix_socket" in url.query:
        results.ok(_SUBJECT, "not needed for a local socket")
        return
    found = connection.execute(text("SHOW STATUS LIKE 'Ssl_version'")).first()
    grade(str(found[1]) if found and found[1] else "", url.host or "localhost", tls, results)


def grade(version: str, host: str, tls: ssl.SSLContext | None, results: CheckResults) -> None:
    """Add the grade of a connection to this host: what someone in between could do.

    Args:
        version: of TLS; empty if it is not used.
        host: of the database.
        tls: the context, as above.
        results: gets the grade.
    """
    is_local = host == "localhost" or is_loopback(host)
    if not version and is_local:
        results.ok(_SUBJECT, "not used, nor needed on this machine")
    elif not version:
        results.warn(
            _SUBJECT,
            f"the connection to {host} is not encrypted: the network can read events and login",
            f"turn on TLS: {_HINT}",
        )
    elif tls is not None and tls.verify_mode == ssl.CERT_REQUIRED:
        if tls.check_hostname:
            results.ok(_SUBJECT, f"{version}, certificate and name verified")
        else:
            results.ok(
                _SUBJECT,
                f"{version}, certificate verified, but not its name",
                f"add ssl_mode=VERIFY_IDENTITY to DATABASE_URL if the CA serves others: {_HINT}",
            )
    elif is_local:
        results.ok(_SUBJECT, f"{version}, not verified, nor needed on this machine")
    else:
        results.warn(
            _SUBJECT,
            f"{version}, but the certificate of {host} is not verified: another server could "
            "take its place",
            f"set DATABASE_CA, or add ssl_mode=VERIFY_IDENTITY to DATABASE_URL: {_HINT}",
        )
