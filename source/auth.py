"""What a Kafka client connects with: addresses, TLS and login, for Faust and for aiokafka."""

from typing import Any

import faust
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from config.settings import Settings


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


def client_options(settings: Settings) -> dict[str, Any]:
    """As the clients and connections of aiokafka want them, addresses apart."""
    return dict(credentials_to_aiokafka_auth(credentials(settings)))
