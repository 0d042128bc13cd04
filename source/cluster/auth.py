"""What a Kafka client connects with: addresses, TLS and login, for Faust and for aiokafka."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import faust
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from config.settings import Settings


@dataclass(frozen=True, slots=True)
class Cluster:
    """The brokers.

    Args:
        addresses: of the brokers, ``host:port`` each.
        options: TLS and login, as aiokafka's clients and connections take them.
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


def credentials(settings: Settings) -> faust.SSLCredentials | faust.SASLCredentials | None:
    """As Faust wants them; None for a plain connection."""
    if settings.kafka_tls is None:
        return None
    if settings.kafka_password is None:
        return faust.SSLCredentials(settings.kafka_tls)
    return faust.SASLCredentials(
        username=settings.kafka_username,
        password=settings.kafka_password.get_secret_value(),
        mechanism=settings.kafka_sasl_mechanism,
        ssl_context=settings.kafka_tls,
    )
