"""What a Kafka client connects with: addresses, TLS and login, for Faust and for aiokafka."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import faust
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from config import kafka_login, tls
from config.settings import Settings
from source.cluster.tokens import Tokens, client_credentials, msk_iam, rejected_token

_REGION = re.compile(r"\.kafka(?:-serverless)?\.([a-z0-9-]+)\.amazonaws\.com")
_MSK_REJECTED = "allow its role kafka-cluster:Connect and what docs/kafka.md names"


@dataclass(frozen=True, slots=True)
class Cluster:
    """The brokers.

    Args:
        addresses: of the brokers, ``host:port`` each.
        options: TLS and login, as aiokafka's clients take them with `source/cluster/logins.py`.
        certificate: PEM text of the client certificate; empty for none.
        own_authority: whether ``KAFKA_TRUSTED_CERT`` replaces the system's authorities.
        patience: seconds that a query waits for what may pass by itself.
    """

    addresses: list[str]
    # Not shown: the password is in it.
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    certificate: str = field(default="", repr=False)
    own_authority: bool = False
    patience: float = 0.0

    @classmethod
    def of(cls, settings: Settings, patience: float = 0.0) -> "Cluster":
        """The one that the settings name, and how long to wait for it."""
        return cls(
            settings.broker_addresses,
            credentials_to_aiokafka_auth(credentials(settings)),
            certificate=settings.kafka_client_cert,
            own_authority=bool(settings.kafka_trusted_cert),
            patience=patience,
        )


def credentials(settings: Settings) -> Any:
    """As Faust wants them, for `source/cluster/logins.py`; None for a plain connection.

    Secrets are functions, which are asked at each connection.
    """
    context = (lambda: settings.newest().kafka_tls) if settings.kafka_tls else None
    mechanism = settings.kafka_sasl_mechanism
    if mechanism is None:
        return context and faust.SSLCredentials(cast(Any, context))
    if tokens := _tokens(settings):
        return faust.OAuthCredentials(oauth_cb=tokens, ssl_context=cast(Any, context))
    return faust.SASLCredentials(
        username=settings.kafka_username,
        password=cast(Any, lambda: _password(settings)),
        mechanism=mechanism,
        ssl_context=cast(Any, context),
    )


def _password(settings: Settings) -> str:
    password = settings.newest().kafka_password
    return password.get_secret_value() if password else ""


def _tokens(settings: Settings) -> Tokens | None:
    """What gives tokens; None where the login is by password."""
    if settings.kafka_sasl_mechanism == "AWS_MSK_IAM":
        return Tokens(msk_iam(_region(settings)), {}, lambda _: _MSK_REJECTED)
    if settings.kafka_sasl_mechanism != "OAUTHBEARER":
        return None
    fetch = client_credentials(
        settings.kafka_oauth_token_url,
        settings.kafka_username,
        lambda: _password(settings),
        settings.kafka_oauth_scope,
        lambda: tls.client_context(trusted=settings.newest().kafka_oauth_ca),
    )
    return Tokens(fetch, kafka_login.extensions(settings.kafka_oauth_extensions), rejected_token)


def _region(settings: Settings) -> str:
    """Amazon's region, which is in the brokers' names (``….kafka.eu-west-1.amazonaws.com``)."""
    found = _REGION.search(settings.broker_addresses[0])
    return found[1] if found else os.environ.get("AWS_REGION", "")
