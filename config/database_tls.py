"""The TLS context of the database, from the options of its URL."""

import ssl
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy.engine import URL

from config import tls
from config.database_options import (
    CA,
    CERTIFICATE,
    DISABLED,
    FILES,
    KEY,
    MODE,
    PREFERRED,
    REQUIRED,
    SWITCHES,
    VERIFY,
    VERIFY_CA,
    VERIFY_IDENTITY,
    VERIFY_NAME,
)


def database_tls(url: URL, trusted: str) -> ssl.SSLContext | None:
    """The TLS context for a database; None if TLS is off or used only when offered.

    The server's certificate and name are verified, except that mode REQUIRED without a CA
    verifies nothing and VERIFY_CA does not verify the name.

    Args:
        url: of the database, from ``urls.database``; its options say how.
        trusted: PEM text of the trusted CAs; empty to use the options' CA.

    Raises:
        ValueError: an option is wrong; the text names it.
    """
    options = {name: str(value) for name, value in url.query.items()}
    mode = options.get(MODE, PREFERRED)
    trusted = trusted or _read(options, CA)
    verify = _is_on(options, VERIFY, mode != REQUIRED or bool(trusted))
    verify_name = _is_on(options, VERIFY_NAME, mode not in (REQUIRED, VERIFY_CA))
    if mode == DISABLED:
        if trusted or any(options.get(one) == "true" for one in SWITCHES) or _has_file(options):
            raise ValueError(
                "one option turns TLS off, but another option or DATABASE_CA needs it: remove one"
            )
        return None
    if mode in (VERIFY_CA, VERIFY_IDENTITY) and not verify:
        raise ValueError("one option verifies the certificate, but another does not: remove one")
    asked = mode != PREFERRED or any(name in options for name in FILES + SWITCHES)
    if not (trusted or asked):
        return None
    certificate, key = _read(options, CERTIFICATE), _read(options, KEY)
    if certificate:
        try:
            tls.check_key(key or certificate, certificate)
        except ValueError as error:
            raise ValueError(f"{KEY} {error}") from None
    return tls.client_context(
        trusted=trusted,
        verify=verify,
        verify_hostname=verify_name,
        certificate=certificate,
        key=key,
    )


def _has_file(options: Mapping[str, str]) -> bool:
    return not options.keys().isdisjoint(FILES)


def _is_on(options: Mapping[str, str], name: str, default: bool) -> bool:
    return options[name] == "true" if name in options else default


def _read(options: Mapping[str, str], name: str) -> str:
    if name not in options:
        return ""
    try:
        text = Path(options[name]).read_text()
        tls.certificates(text) if name != KEY else None
    except OSError as error:
        raise ValueError(f"{name} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None
    return text
