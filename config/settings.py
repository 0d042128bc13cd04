"""The settings, verified, and what follows from them. They are declared in `config/fields.py`."""

import os
import ssl
from collections.abc import Callable
from datetime import timedelta
from functools import cached_property

from pydantic import PrivateAttr, SecretStr, field_validator
from pydantic import model_validator as validator
from sqlalchemy.engine import URL

from config import jaas, kafka_login, tls, urls
from config.database_tls import database_tls
from config.fields import CERTIFICATE, KEY, SECRET, SHOWN, Fields
from config.instance import AUTO, platform_name

#: Minimum characters of `WEB_TOKEN`, so that it cannot be guessed.
SHORTEST_TOKEN = 16

#: Seconds that a command waits for a server, unless `START_TIMEOUT` is less.
COMMAND_TIMEOUT = 15.0


class Settings(Fields):
    """Every setting of the app, and what follows from them.

    Raises:
        pydantic.ValidationError: a variable is missing or wrong.
    """

    _follow: "Callable[[], Settings] | None" = PrivateAttr(None)

    @field_validator("kafka_url")
    @classmethod
    def _brokers(cls, value: str) -> str:
        urls.brokers(value)
        return value

    @field_validator("kafka_sasl_mechanism", "kafka_username", "kafka_password", mode="before")
    @classmethod
    def _no_jaas_line(cls, value: object) -> object:
        if isinstance(value, str) and (refusal := jaas.refusal(value)):
            raise ValueError(refusal)
        return value

    @field_validator("database_url")
    @classmethod
    def _database(cls, value: SecretStr) -> SecretStr:
        urls.database(value.get_secret_value())
        return value

    @field_validator("web_token")
    @classmethod
    def _token(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < SHORTEST_TOKEN:
            raise ValueError(f"must have at least {SHORTEST_TOKEN} characters")
        return value

    @field_validator("kafka_trusted_cert", "kafka_client_cert", "kafka_oauth_ca", "database_ca")
    @classmethod
    def _certificates(cls, value: str) -> str:
        # Platforms that allow only one line in a variable write line ends as \n.
        text = value.replace("\\n", "\n")
        if text:
            tls.certificates(text)
        return text

    @field_validator("retention", "retention_dead_letters", "retention_batches")
    @classmethod
    def _a_day_at_least(cls, value: float | None) -> float | None:
        if value and value < 1:
            raise ValueError("must be 0 or at least 1 (days)")
        return value

    @validator(mode="after")
    def _client_certificate_has_its_key(self) -> "Settings":
        if bool(self.kafka_client_cert) != bool(self.kafka_client_cert_key):
            raise ValueError(
                "KAFKA_CLIENT_CERT and KAFKA_CLIENT_CERT_KEY belong together: set both or neither"
            )
        if self.kafka_client_cert:
            try:
                tls.check_key(self._client_key, self.kafka_client_cert)
            except ValueError as error:
                raise ValueError(f"KAFKA_CLIENT_CERT_KEY is wrong: {error}") from None
        return self

    @validator(mode="after")
    def _kafka_takes_the_login(self) -> "Settings":
        kafka_login.check(self)
        return self

    @validator(mode="after")
    def _database_options_work(self) -> "Settings":
        try:
            _ = self.database_tls
        except ValueError as error:
            raise ValueError(f"DATABASE_URL is wrong: {error}") from None
        return self

    @validator(mode="after")
    def _prefixed(self) -> "Settings":
        self.topic = self._with_prefix(self.topic)
        self.consumer_group = self._with_prefix(self.consumer_group)
        return self

    @validator(mode="after")
    def _buffer_holds_a_flush(self) -> "Settings":
        if self.buffer_max_events < self.flush_max_events:
            raise ValueError(
                f"BUFFER_MAX_EVENTS is {self.buffer_max_events}: it must be at least "
                f"FLUSH_MAX_EVENTS ({self.flush_max_events})"
            )
        return self

    @property
    def retentions(self) -> dict[str, timedelta]:
        """How long what is purged is kept, by its name; without what is kept for ever."""
        days = {
            "events": self.retention,
            "dead-letters": self._or_retention(self.retention_dead_letters),
            "batches": self._or_retention(self.retention_batches),
        }
        return {what: timedelta(days=number) for what, number in days.items() if number}

    def _or_retention(self, days: float | None) -> float:
        return self.retention if days is None else days

    @property
    def read_committed(self) -> bool:
        """Whether events of aborted transactions are left out."""
        return self.isolation_level == "read_committed"

    @property
    def shown(self) -> dict[str, str]:
        """Those that the metrics show, by name."""
        fields = type(self).model_fields.items()
        return {name: str(getattr(self, name)) for name, one in fields if SHOWN in one.metadata}

    @property
    def command_timeout(self) -> float:
        """Seconds that a command waits for a server."""
        return min(self.start_timeout, COMMAND_TIMEOUT)

    @property
    def instance_id(self) -> str | None:
        """This worker's name in its group, if its membership is static."""
        if self.group_instance_id == AUTO:
            return platform_name(os.environ)
        return self.group_instance_id or None

    @property
    def broker_addresses(self) -> list[str]:
        """Addresses of the brokers, ``host:port`` each."""
        return list(urls.brokers(self.kafka_url).addresses)

    @property
    def brokers(self) -> list[str]:
        """Addresses as Faust wants them, ``kafka://host:port`` each, with or without TLS."""
        return [f"kafka://{address}" for address in self.broker_addresses]

    @cached_property
    def kafka_tls(self) -> ssl.SSLContext | None:
        """The TLS context for Kafka, or None for a plain connection."""
        if not urls.brokers(self.kafka_url).tls:
            return None
        return tls.client_context(
            trusted=self.kafka_trusted_cert,
            verify_hostname=self.kafka_verify_hostname,
            certificate=self.kafka_client_cert,
            key=self._client_key,
        )

    @property
    def database(self) -> URL:
        """The database as SQLAlchemy wants it; its ``str()`` masks the password."""
        return urls.for_driver(self._database_url, encrypts=self.database_tls is not None)

    @property
    def database_address(self) -> str:
        """The database's address: ``host:port``, or the path of its socket."""
        return urls.shown(self._database_url)

    @cached_property
    def database_tls(self) -> ssl.SSLContext | None:
        """The TLS context for the database; None if TLS is off or used only when offered."""
        return database_tls(self._database_url, self.database_ca)

    def follow(self, newest: "Callable[[], Settings]") -> None:
        """Have ``newest`` call this: it returns the settings as their files have them now."""
        self._follow = newest

    def newest(self) -> "Settings":
        """These, with the secrets that their files have now."""
        return self._follow() if self._follow else self

    def newest_database(self) -> tuple[URL, ssl.SSLContext | None]:
        """The database and its TLS context, for a connection that is made now."""
        newest = self.newest()
        return newest.database, newest.database_tls

    @property
    def database_without_login(self) -> URL:
        """The database's address, name and options about TLS."""
        return self._database_url._replace(username=None, password=None)

    @classmethod
    def secrets(cls) -> dict[str, str]:
        """The settings that may be in files, with what each PEM text begins; empty for others."""
        marks = {name: one.metadata for name, one in cls.model_fields.items()}
        kinds = (CERTIFICATE, KEY)
        return {
            name: next((kind for kind in kinds if kind in found), "")
            for name, found in marks.items()
            if SECRET in found
        }

    @property
    def _database_url(self) -> URL:
        return urls.database(self.database_url.get_secret_value())

    @property
    def _client_key(self) -> str:
        key = self.kafka_client_cert_key
        return key.get_secret_value().replace("\\n", "\n") if key else ""

    def _with_prefix(self, name: str) -> str:
        return name if name.startswith(self.kafka_prefix) else f"{self.kafka_prefix}{name}"
