"""Every setting, declared once. `config/load.py` reads them and says what is wrong."""

import ssl
from functools import cached_property
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic import model_validator as validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine import URL

from config import jaas, tls, urls
from config.database_tls import database_tls

#: Characters of `WEB_TOKEN`: nobody guesses it.
SHORTEST_TOKEN = 16

#: Variables of the version before, which still work, and their names now.
DEPRECATED_VARIABLES = {
    "FLUSH_MAX_ROWS": "FLUSH_MAX_EVENTS",
    "BUFFER_MAX_ROWS": "BUFFER_MAX_EVENTS",
}

#: Where the database's URL is looked for: our name for it, then those of Heroku's add-ons.
DATABASE_VARIABLES = ("DATABASE_URL", "JAWSDB_URL", "CLEARDB_DATABASE_URL")


class Settings(BaseSettings):
    """Every setting of the app; field ``flush_interval`` is variable ``FLUSH_INTERVAL``.

    Raises:
        pydantic.ValidationError: a variable is missing or wrong.
    """

    model_config = SettingsConfigDict(
        env_ignore_empty=True,
        case_sensitive=False,
        extra="ignore",
        hide_input_in_errors=True,
    )

    env_file: str = Field(
        "",
        description="A file of settings to read instead of `.env`; `/dev/null` reads none.",
    )
    kafka_url: str = Field(
        description="Brokers: `host:9092,host2:9092`, with `kafka+ssl://` (or `SSL://`, "
        "`SASL_SSL://`) before them for TLS."
    )
    kafka_trusted_cert: str = Field(
        "", repr=False, description="Authority that signs the brokers' certificates, PEM text."
    )
    kafka_client_cert: str = Field("", repr=False, description="Client certificate, PEM text.")
    kafka_client_cert_key: SecretStr | None = Field(
        None, description="Private key of the client certificate, PEM text."
    )
    kafka_verify_hostname: bool = Field(
        True, description="Whether a broker's certificate must name the broker's host."
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = Field(
        None, description="Login to Kafka: `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`, in TLS."
    )
    kafka_username: str = Field("", description="User name of that login.")
    kafka_password: SecretStr | None = Field(None, description="Password of that login.")
    kafka_prefix: str = Field(
        "", description="Put before topic and group, unless they begin with it."
    )
    database_url: SecretStr = Field(
        validation_alias=AliasChoices(*DATABASE_VARIABLES),
        description="MySQL or MariaDB: `mysql://user:password@host:3306/database`; options are in "
        "docs/database.md.",
    )
    database_ca: str = Field(
        "", repr=False, description="Authority that signs the database's certificate, PEM text."
    )
    topic: str = Field("flash_sale_events", min_length=1, max_length=249, description="Topic read.")
    consumer_group: str = Field(
        "flash-sale-etl",
        min_length=1,
        max_length=255,
        description="Kafka consumer group, and the name under which offsets are kept.",
    )
    starting_offsets: Literal["latest", "earliest"] = Field(
        "latest", description="Where a group starts in a topic that it has never read."
    )
    isolation_level: Literal["read_committed", "read_uncommitted"] = Field(
        "read_committed",
        description="Whether events of aborted transactions are left out, or read too.",
    )
    deduplicate: bool = Field(
        False, description="Whether an event whose `event_id` is stored already is left out."
    )
    flush_interval: float = Field(
        5.0, gt=0, le=3600, description="Seconds between writes to the database."
    )
    flush_max_events: int = Field(
        30_000,
        ge=1,
        le=1_000_000,
        validation_alias=AliasChoices("FLUSH_MAX_EVENTS", "FLUSH_MAX_ROWS"),
        description="Events written in one transaction at most.",
    )
    buffer_max_events: int = Field(
        60_000,
        ge=1,
        le=10_000_000,
        validation_alias=AliasChoices("BUFFER_MAX_EVENTS", "BUFFER_MAX_ROWS"),
        description="Events held in memory at most; above it the worker stops reading Kafka.",
    )
    buffer_max_bytes: int = Field(
        64 * 1024 * 1024,
        ge=1024 * 1024,
        le=64 * 1024**3,
        description="Bytes they may take: read, waiting and being written together.",
    )
    decompressed_max_bytes: int = Field(
        64 * 1024 * 1024,
        ge=1024,
        le=2**31 - 1,
        description="Bytes that one compressed batch of Kafka may expand to at most.",
    )
    shutdown_timeout: float = Field(
        8.0, gt=0, le=300, description="Seconds the last flush may take at shutdown or rebalance."
    )
    rollup_interval: float = Field(
        5.0,
        ge=0,
        le=3600,
        description="Seconds between rounds of the sales sums; 0 keeps none.",
    )
    session_timeout: float = Field(
        10.0,
        ge=1,
        le=300,
        description="Seconds without a heartbeat after which others get a worker's partitions.",
    )
    breaker_share: float = Field(
        0.95,
        ge=0,
        le=1,
        description="Share of dropped events at which a partition is held; 0 turns that off.",
    )
    breaker_window: int = Field(
        1000,
        ge=1,
        le=1_000_000,
        description="Newest events of a partition over which that share is taken.",
    )
    breaker_pause: float = Field(
        0.0,
        ge=0,
        description="Seconds after which a held partition is read again by itself; with 0 it stays "
        "held until `breaker close`.",
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="Log lines: `text` for people, `json` for machines, an object a line."
    )
    port: int = Field(6066, ge=1, le=65535, description="Port of the web pages.")
    web_bind: str = Field(
        "0.0.0.0",  # noqa: S104 - a platform's router and probes come from outside
        description="Address the web pages are served on.",
    )
    web_token: SecretStr | None = Field(
        None,
        description="Secret that every page but `/health/` asks for; see docs/web.md.",
    )

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
            raise ValueError(f"must have {SHORTEST_TOKEN} characters or more")
        return value

    @field_validator("kafka_trusted_cert", "kafka_client_cert", "database_ca")
    @classmethod
    def _certificates(cls, value: str) -> str:
        # Where a variable holds one line only, its line ends are written as \n.
        text = value.replace("\\n", "\n")
        if text:
            tls.certificates(text)
        return text

    @validator(mode="after")
    def _client_certificate_has_its_key(self) -> "Settings":
        if bool(self.kafka_client_cert) != bool(self.kafka_client_cert_key):
            raise ValueError(
                "KAFKA_CLIENT_CERT and KAFKA_CLIENT_CERT_KEY go together: set both, or none"
            )
        if self.kafka_client_cert:
            try:
                tls.check_key(self._client_key, self.kafka_client_cert)
            except ValueError as error:
                raise ValueError(f"KAFKA_CLIENT_CERT_KEY is wrong: {error}") from None
        return self

    @validator(mode="after")
    def _login_is_whole(self) -> "Settings":
        login = self.kafka_sasl_mechanism, self.kafka_username, self.kafka_password
        if urls.brokers(self.kafka_url).login and not any(login):
            raise ValueError(
                "KAFKA_URL asks for a login (SASL_SSL): set KAFKA_SASL_MECHANISM, KAFKA_USERNAME "
                "and KAFKA_PASSWORD as well, or begin it with SSL://"
            )
        if any(login) and not all(login):
            raise ValueError(
                "KAFKA_SASL_MECHANISM, KAFKA_USERNAME and KAFKA_PASSWORD go together: set all "
                "three, or none"
            )
        return self

    @validator(mode="after")
    def _secrets_go_in_tls(self) -> "Settings":
        for name in ("kafka_trusted_cert", "kafka_client_cert", "kafka_sasl_mechanism"):
            if getattr(self, name) and self.kafka_tls is None:
                raise ValueError(
                    f"{name.upper()} is set, but KAFKA_URL asks for no TLS: begin it with "
                    f"kafka+ssl://"
                )
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
                f"BUFFER_MAX_EVENTS is {self.buffer_max_events}: must be at least FLUSH_MAX_EVENTS "
                f"({self.flush_max_events})"
            )
        return self

    @property
    def broker_addresses(self) -> list[str]:
        """Addresses of the brokers, ``host:port`` each."""
        return list(urls.brokers(self.kafka_url).addresses)

    @property
    def brokers(self) -> list[str]:
        """Addresses as Faust wants them, ``kafka://host:port`` each, in TLS or not."""
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
        """Where the database is: ``host:port``, or the path of its socket."""
        return urls.shown(self._database_url)

    @cached_property
    def database_tls(self) -> ssl.SSLContext | None:
        """The TLS context for the database, or None where TLS is only taken if offered, or not."""
        return database_tls(self._database_url, self.database_ca)

    @property
    def _database_url(self) -> URL:
        return urls.database(self.database_url.get_secret_value())

    @property
    def _client_key(self) -> str:
        key = self.kafka_client_cert_key
        return key.get_secret_value().replace("\\n", "\n") if key else ""

    def _with_prefix(self, name: str) -> str:
        return name if name.startswith(self.kafka_prefix) else f"{self.kafka_prefix}{name}"
