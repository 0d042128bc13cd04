"""Can Kafka be reached? DNS, TCP, TLS and login are checked in this order.

aiokafka reports only that it could not bootstrap, so each step is a check of its own.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import suppress

from aiokafka.errors import (
    AuthenticationFailedError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from config import tls
from pipeline.errors import FatalError, NotYetError
from source.cluster.auth import Cluster
from source.cluster.connections import create_conn
from source.cluster.logins import current
from source.cluster.tokens import TokenError

#: Seconds a step may take.
STEP_TIMEOUT = 10

#: Seconds for which a broker may close a connection that it has accepted: it may be starting or
#: stopping, or want another protocol.
CLOSED_TIMEOUT = 10

#: The steps, in their order.
STEPS = DNS, TCP, TLS, LOGIN = "DNS", "TCP", "TLS", "login"

#: ApiVersions v0, the one request that every broker answers without a login.
_HELLO = struct.pack(">ihhih", 10, 18, 0, 1, -1)
#: The first bytes of a TLS alert.
_ALERT = b"\x15\x03"

Passed = Callable[[str, str], None]


async def reach(cluster: Cluster, passed: Passed = lambda step, what: None) -> None:
    """Connect and log in to the first broker that accepts both.

    Args:
        cluster: the brokers.
        passed: called with each completed step and its result.

    Raises:
        NotYetError: none does, and that may pass; says why each of them does not.
        FatalError: none does, and something must be changed.
    """
    errors: list[FatalError] = []
    for address in cluster.addresses:
        try:
            await _reach(cluster, address, passed)
        except FatalError as error:
            errors.append(error)
        else:
            return
    sentences = " ".join(dict.fromkeys(map(str, errors)))
    passing = [error.patience for error in errors if isinstance(error, NotYetError)]
    if len(passing) < len(errors):
        raise FatalError(sentences)
    raise NotYetError(sentences, max(passing))


def no_answer(addresses: str, error: Exception) -> NotYetError:
    """The error of brokers that cannot be reached."""
    return NotYetError(
        f"Kafka at {addresses} does not answer: start it, or change KAFKA_URL "
        f"({type(error).__name__})."
    )


async def _reach(cluster: Cluster, address: str, passed: Passed) -> None:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        async with asyncio.timeout(STEP_TIMEOUT):
            await _resolve(host, int(port), passed)
            await _connect(host, int(port), passed)
            await _shake_hands(cluster, host, int(port), passed)
            await _log_in(cluster, host, int(port), passed)
    except (KafkaError, TimeoutError, OSError) as error:
        raise no_answer(address, error) from error


async def _resolve(host: str, port: int, passed: Passed) -> None:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        kind = NotYetError if isinstance(error, OSError) else FatalError
        raise kind(f"Kafka's host {host} cannot be resolved: change KAFKA_URL.") from error
    address = found[0][4][0]
    passed(DNS, f"{host} is an address" if host == address else f"{host} has the address {address}")


async def _connect(host: str, port: int, passed: Passed) -> None:
    _, writer = await asyncio.open_connection(host, port)
    writer.close()
    passed(TCP, f"port {port} accepts connections")


async def _shake_hands(cluster: Cluster, host: str, port: int, passed: Passed) -> None:
    context = current(cluster.options).get("ssl_context")
    writer = None
    try:
        reader, writer = await asyncio.open_connection(host, port, ssl=context)
        writer.write(_HELLO)
        answer = await reader.read(4)
        session = writer.get_extra_info("ssl_object")
    except (OSError, ssl.SSLError) as error:
        if context is None:
            answer = b""
        else:
            # With TLS 1.3 a server rejects a client's certificate after the handshake.
            shaken = writer is not None or "ALERT" in str(getattr(error, "reason", ""))
            sentence = _tls_error(cluster, f"{host}:{port}", error, shaken)
            if isinstance(error, ConnectionError | ssl.SSLEOFError):
                raise NotYetError(sentence, CLOSED_TIMEOUT) from error
            raise FatalError(sentence) from error
    finally:
        if writer is not None:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
    if context is None:
        sentence = (
            f"Kafka at {host}:{port} does not accept a plain connection: it may need TLS, begin "
            f"KAFKA_URL with kafka+ssl://."
        )
        if answer.startswith(_ALERT):
            raise FatalError(sentence)
        if not answer:
            raise NotYetError(sentence, CLOSED_TIMEOUT)
        passed(TLS, "not used, as KAFKA_URL says")
    elif not answer:
        sentence = _tls_error(cluster, f"{host}:{port}", None, shaken=True)
        raise NotYetError(sentence, CLOSED_TIMEOUT)
    else:
        passed(TLS, f"{session.version()}, certificate verified")


def _tls_error(cluster: Cluster, address: str, error: Exception | None, shaken: bool) -> str:
    what = refusal = tls.refusal(error) if error else None
    if refusal == tls.NOT_TRUSTED:
        if cluster.own_authority:
            what = "is not signed by the authority in KAFKA_TRUSTED_CERT: change that"
        else:
            what = "is signed by no authority known here: set KAFKA_TRUSTED_CERT to its authority"
    elif refusal == tls.OTHER_HOST:
        what = (
            "is issued to another host: change KAFKA_URL, or set KAFKA_VERIFY_HOSTNAME=false "
            "and let KAFKA_TRUSTED_CERT alone vouch for it"
        )
    elif refusal:
        what = f"{refusal}: renew it there (KAFKA_URL names the broker)"
    if what:
        return f"The certificate of Kafka at {address} {what}."
    if not shaken:
        return f"Kafka at {address} does not use TLS: begin KAFKA_URL with kafka://."
    return f"Kafka at {address} {_client_certificate_error(cluster)}."


def _client_certificate_error(cluster: Cluster) -> str:
    if not cluster.certificate:
        return "requires a client certificate: set KAFKA_CLIENT_CERT and KAFKA_CLIENT_CERT_KEY"
    until = tls.expiry(cluster.certificate)
    if tls.is_expired(cluster.certificate):
        return f"rejects KAFKA_CLIENT_CERT, which expired on {until:%Y-%m-%d}: renew it"
    return "rejects KAFKA_CLIENT_CERT: use one that it trusts"


async def _log_in(cluster: Cluster, host: str, port: int, passed: Passed) -> None:
    mechanism = cluster.options.get("sasl_mechanism")
    tokens = cluster.options.get("sasl_oauth_token_provider")
    try:
        link = await create_conn(host, port, **cluster.options)
    except TokenError as error:
        kind = NotYetError if error.passing else FatalError
        raise kind(error.sentence) from error
    except (AuthenticationFailedError, SaslAuthenticationFailed) as error:
        raise FatalError(
            f"Kafka at {host}:{port} rejects the login by {mechanism}: "
            f"{tokens.advice if tokens else 'check KAFKA_USERNAME and KAFKA_PASSWORD'}."
        ) from error
    except UnsupportedSaslMechanismError as error:
        raise FatalError(
            f"Kafka at {host}:{port} does not offer {mechanism}: change KAFKA_SASL_MECHANISM."
        ) from error
    try:
        await link.send(MetadataRequest([]))
    except KafkaError as error:
        hint = (
            ""
            if mechanism
            else ": it may need KAFKA_SASL_MECHANISM, KAFKA_USERNAME and KAFKA_PASSWORD"
        )
        sentence = f"Kafka at {host}:{port} closes the connection{hint}."
        raise NotYetError(sentence, CLOSED_TIMEOUT) from error
    finally:
        link.close()
    user = cluster.options.get("sasl_plain_username")
    passed(LOGIN, f"{user or 'a token'} by {mechanism}" if mechanism else "not used")
