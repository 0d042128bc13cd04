"""Tokens that log in to Kafka: OAuth's by client credentials, and those that AWS signs."""

import asyncio
import json
import re
import ssl
from base64 import urlsafe_b64decode
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from time import time
from typing import Any, NamedTuple
from urllib.parse import quote_plus

import aiohttp
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaError
from mode.utils.logging import get_logger

from pipeline.log_events import named
from source.cluster.logins import USED

log = get_logger(__name__)

#: Seconds that the token endpoint may take.
TIMEOUT = 5

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
#: Of the errors that RFC 6749 names, what to change; of no other is anything shown.
_REFUSALS = {
    "invalid_client": "rejects the client: check KAFKA_USERNAME and KAFKA_PASSWORD",
    "unauthorized_client": "gives this client no token: allow it client credentials there",
    "unsupported_grant_type": "has no client credentials: allow them there",
    "invalid_scope": "rejects the scope: check KAFKA_OAUTH_SCOPE",
}


class TokenError(KafkaError):  # type: ignore[misc]
    """There is no token; the text says what to change.

    Args:
        sentence: names the setting.
        passing: whether it may pass by itself.
    """

    def __init__(self, sentence: str, *, passing: bool = False) -> None:
        super().__init__(sentence)
        self.sentence, self.passing = sentence, passing

    def __str__(self) -> str:
        return self.sentence


class Token(NamedTuple):
    """A token, and when it ends: seconds since 1970."""

    text: str
    end: float

    def __repr__(self) -> str:
        return f"<token until {self.end:.0f}>"


class Tokens(AbstractTokenProvider):  # type: ignore[misc]
    """Gives each connection a token, a new one in time before the last one ends.

    Args:
        fetch: gets a new one.
        extensions: SASL extensions to send with it.
        rejected: what to change when the broker rejects a token.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[Token]],
        extensions: Mapping[str, str],
        rejected: Callable[[str], str],
        clock: Callable[[], float] = time,
    ) -> None:
        self._fetch, self._extensions, self._clock = fetch, dict(extensions), clock
        self._rejected = rejected
        #: The token, and from when until when it is given out.
        self._token, self._fetched_at, self._renewed_at = Token("", 0.0), 0.0, 0.0

    async def token(self) -> str:
        """A token that the next connection may use.

        Raises:
            TokenError: there is none.
        """
        now = self._clock()
        # A clock that was set back says nothing about how old the token is.
        if not self._fetched_at <= now < self._renewed_at:
            try:
                self._token = await self._fetch()
            except TokenError as error:
                if now >= self._token.end:
                    raise
                log.warning(
                    "%s The last token is used as long as it is valid.",
                    error,
                    extra=named("token_not_renewed"),
                )
            else:
                self._fetched_at, self._renewed_at = now, now + USED * (self._token.end - now)
        return self._token.text

    def extensions(self) -> dict[str, str]:
        """The SASL extensions."""
        return self._extensions

    def forget(self) -> None:
        """Take a new token next time: the broker rejects this one."""
        self._renewed_at, self._token = 0.0, self._token._replace(end=0.0)

    @property
    def advice(self) -> str:
        """What to change when the broker rejects the last token."""
        return self._rejected(self._token.text)


def client_credentials(
    url: str,
    client: str,
    secret: Callable[[], str],
    scope: str,
    trusted: Callable[[], ssl.SSLContext],
) -> Callable[[], Awaitable[Token]]:
    """Gets tokens by OAuth's grant of that name (RFC 6749, 4.4).

    Args:
        url: of the token endpoint.
        client: its id.
        secret: returns the client's secret.
        scope: to ask for; empty for none.
        trusted: returns the TLS context for the endpoint.
    """

    async def fetch() -> Token:
        form = {"grant_type": "client_credentials", **({"scope": scope} if scope else {})}
        login = aiohttp.encode_basic_auth(quote_plus(client), quote_plus(secret()))
        limit = aiohttp.ClientTimeout(TIMEOUT)
        connector = aiohttp.TCPConnector(ssl=trusted())
        session = aiohttp.ClientSession(timeout=limit, connector=connector, trust_env=True)
        try:
            async with (
                session,
                session.post(
                    url, data=form, headers={"Authorization": login}, allow_redirects=False
                ) as answer,
            ):
                return _token(answer.status, await answer.read())
        except aiohttp.ClientConnectorCertificateError as error:
            why = "has a certificate that is not trusted: set KAFKA_OAUTH_CA to its authority"
            raise TokenError(f"KAFKA_OAUTH_TOKEN_URL {why}.") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _no_answer(type(error).__name__) from error

    return fetch


def rejected_token(token: str) -> str:
    """What to change when a broker rejects a token of OAuth; says what it is for."""
    claims = _claims(token)
    named = [f"{name} {claims[name]}" for name in ("iss", "aud", "scope") if name in claims]
    if isinstance(end := claims.get("exp"), int | float):
        named.append(f"exp {datetime.fromtimestamp(end, UTC):%Y-%m-%dT%H:%M:%SZ}")
    shown = f" ({', '.join(named)})" if named else ""
    return (
        f"the broker wants another issuer, audience, scope or time than the token of "
        f"KAFKA_OAUTH_TOKEN_URL has{shown}: change KAFKA_OAUTH_SCOPE, the client or the broker"
    )


def msk_iam(region: str) -> Callable[[], Awaitable[Token]]:
    """Gets tokens for Amazon MSK, signed with the credentials that AWS's library finds.

    Args:
        region: such as ``eu-central-1``.
    """

    async def fetch() -> Token:
        if not region:
            raise TokenError("AWS_MSK_IAM needs a region: set AWS_REGION.")
        try:
            from aws_msk_iam_sasl_signer import MSKAuthTokenProvider
        except ImportError:
            raise TokenError(
                "AWS_MSK_IAM needs a library: run `pip install -r requirements-msk.txt`."
            ) from None
        try:
            text, end = await asyncio.to_thread(MSKAuthTokenProvider.generate_auth_token, region)
        except Exception as error:
            # The library's errors have no common class, and its text may quote a key.
            raise TokenError(
                f"AWS gives no credentials for Kafka ({type(error).__name__}): set "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this machine a role.",
                passing=True,
            ) from None
        return Token(text, end / 1000)

    return fetch


def _token(status: int, body: bytes) -> Token:
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    answer = answer if isinstance(answer, dict) else {}
    if status != 200:
        raise _refusal(status, str(answer.get("error")))
    text, life = answer.get("access_token"), answer.get("expires_in")
    if not isinstance(text, str) or not _TOKEN.fullmatch(text):
        raise TokenError("KAFKA_OAUTH_TOKEN_URL answers without a token: check it.")
    end = _claims(text).get("exp")
    if isinstance(life, int | float | str) and re.fullmatch(r"\d{1,12}(\.\d+)?", str(life)):
        return Token(text, time() + float(life))
    return Token(text, float(end) if isinstance(end, int | float) else 0.0)


def _refusal(status: int, error: str) -> TokenError:
    if status == 429 or status >= 500:
        return _no_answer(f"HTTP {status}")
    if status == 401:
        error = "invalid_client"
    if what := _REFUSALS.get(error):
        return TokenError(f"KAFKA_OAUTH_TOKEN_URL {what}.")
    return TokenError(f"KAFKA_OAUTH_TOKEN_URL answers with HTTP {status}: check it.")


def _no_answer(why: str) -> TokenError:
    return TokenError(
        f"KAFKA_OAUTH_TOKEN_URL does not answer: start it, or change it ({why}).", passing=True
    )


def _claims(token: str) -> dict[str, Any]:
    """What a JWT says of itself; nothing of another token."""
    try:
        part = token.split(".")[1]
        claims = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (IndexError, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}
