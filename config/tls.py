"""TLS contexts from PEM text, and the reason why a handshake failed."""

import ssl
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509

# Imported only when needed: a worker without certificates saves 1.5 MB.

#: What may be wrong with a server's certificate.
EXPIRED = "has expired"
NOT_YET_VALID = "is not valid yet"
OTHER_HOST = "is issued to another host"
NOT_TRUSTED = "is not trusted"

#: OpenSSL's codes (X509_V_ERR) for all but the last.
_REFUSALS = {9: NOT_YET_VALID, 10: EXPIRED, 62: OTHER_HOST, 64: OTHER_HOST}


def certificates(pem: str) -> "list[x509.Certificate]":
    """The certificates in a PEM text.

    Raises:
        ValueError: there is none; the message does not quote the text.
    """
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        raise ValueError("must be PEM text that begins -----BEGIN CERTIFICATE-----") from None


def check_key(key: str, certificate: str) -> None:
    """Check that a private key has no password and belongs to the certificate.

    Raises:
        ValueError: it does not; the message does not quote the key.
    """
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        public = load_pem_private_key(key.encode(), password=None).public_key()
    except TypeError:
        raise ValueError("must not be encrypted with a password") from None
    except Exception:
        # The library's own message may quote the key.
        raise ValueError("must be PEM text that begins -----BEGIN PRIVATE KEY-----") from None
    if public != certificates(certificate)[0].public_key():
        raise ValueError("is not the key of the certificate")


def client_context(
    *,
    trusted: str = "",
    verify: bool = True,
    verify_hostname: bool = True,
    certificate: str = "",
    key: str = "",
) -> ssl.SSLContext:
    """A client's context: TLS 1.2 or newer, unless the system requires a newer version.

    Args:
        trusted: PEM text of the trusted CAs; empty for the system's.
        verify: whether the server's certificate is checked at all.
        verify_hostname: whether it must be issued to the host connected to.
        certificate: PEM text of our own certificate and its chain; empty for none.
        key: PEM text of its private key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Debian 12 sets this in OpenSSL's configuration, Debian 13 does not.
    context.minimum_version = max(context.minimum_version, ssl.TLSVersion.TLSv1_2)
    context.check_hostname = verify and verify_hostname
    context.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_NONE
    if trusted:
        context.load_verify_locations(cadata=trusted)
    elif verify:
        context.load_default_certs()
    if certificate:
        _load_chain(context, f"{key.strip()}\n{certificate}")
    return context


def expiry(certificate: str) -> datetime:
    """When a PEM text's first certificate expires, UTC."""
    return certificates(certificate)[0].not_valid_after_utc


def is_expired(certificate: str) -> bool:
    """Whether a PEM text's first certificate has expired."""
    return expiry(certificate) <= datetime.now(UTC)


def refusal(error: BaseException) -> str | None:
    """What is wrong with the server's certificate, one of the above; None for another error."""
    found = _cause(error)
    if not isinstance(found, ssl.SSLCertVerificationError):
        return None
    return _REFUSALS.get(found.verify_code, NOT_TRUSTED)


def _cause(error: BaseException | None) -> BaseException | None:
    """The TLS error that caused an error, if any."""
    while error is not None and not isinstance(error, ssl.SSLError):
        # SQLAlchemy's and PyMySQL's names: what they caused an error by may be another one.
        origin = getattr(error, "orig", None) or getattr(error, "original_exception", None)
        error = origin or error.__cause__ or error.__context__
    return error


def _load_chain(context: ssl.SSLContext, chain: str) -> None:
    # OpenSSL reads a chain only from a file; this one is private and deleted at once.
    with tempfile.TemporaryDirectory(prefix="tls-") as folder:
        file = Path(folder, "chain.pem")
        file.touch(mode=0o600)
        file.write_text(chain)
        context.load_cert_chain(file)
