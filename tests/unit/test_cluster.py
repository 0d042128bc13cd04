"""The brokers: what clients connect with, and what is never shown."""

from typing import Any

from config.settings import Settings
from dev.servers.certificates import Authority
from source.cluster.auth import Cluster
from source.cluster.logins import current

AUTHORITY = Authority("a broker's")
PAIR = AUTHORITY.issue("client")


def cluster(**settings: Any) -> Cluster:
    return Cluster.of(Settings(DATABASE_URL="mysql://u:p@db/d", **settings))


def test_plain_connection_has_no_login():
    found = cluster(kafka_url="a:9092,b:9093")
    assert found.addresses == ["a:9092", "b:9093"]
    assert found.options == {"security_protocol": "PLAINTEXT"}


def test_password_and_certificate_are_not_shown():
    login = {"kafka_username": "u", "kafka_password": "s3cret", "kafka_sasl_mechanism": "PLAIN"}
    keys = {"kafka_client_cert": PAIR.certificate, "kafka_client_cert_key": PAIR.key}
    found = cluster(kafka_url="kafka+ssl://a", **login, **keys)
    assert current(found.options)["sasl_plain_password"] == "s3cret"
    assert found.certificate == PAIR.certificate
    assert "s3cret" not in repr(found)
    assert "BEGIN" not in repr(found)
