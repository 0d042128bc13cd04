"""Every setting, declared once. `config/load.py` reads them and says what is wrong."""

import os
import ssl
from collections.abc import Callable
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Literal, TypeVar

from pydantic import AliasChoices, Field, PrivateAttr, SecretStr, field_validator
from pydantic import model_validator as validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine import URL

from config import jaas, kafka_login, tls, urls
from config.database_tls import database_tls
from config.instance import AUTO, platform_name

#: Minimum characters of `WEB_TOKEN`, so that it cannot be guessed.
SHORTEST_TOKEN = 16

#: Seconds that a command waits for a server, unless `START_TIMEOUT` is less.
COMMAND_TIMEOUT = 15.0

#: Old variable names, which still work, and the new ones.
DEPRECATED_VARIABLES = {
    "FLUSH_MAX_ROWS": "FLUSH_MAX_EVENTS",
    "BUFFER_MAX_ROWS": "BUFFER_MAX_EVENTS",
}

#: Variables that may hold the database's URL: ours first, then those of Heroku's add-ons.
DATABASE_VARIABLES = ("DATABASE_URL", "JAWSDB_URL", "CLEARDB_DATABASE_URL")

_T = TypeVar("_T")
_SHOWN = "shown"
#: A setting that the metrics show: it shapes the flow, and is neither an address nor a secret.
Shown = Annotated[_T, _SHOWN]
_SECRET, CERTIFICATE, KEY = "secret", "CERTIFICATE", "PRIVATE KEY"
#: A setting that may be in a file, whose name is in the variable ``…_FILE``.
Secret = Annotated[_T, _SECRET]
#: The same in PEM, by what its text begins: the variable itself may name the file, too.
Certificate = Annotated[_T, _SECRET, CERTIFICATE]
Key = Annotated[_T, _SECRET, KEY]


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
        description="File of settings to read instead of `.env`; `/dev/null` for none.",
    )
    kafka_url: str = Field(
        description="Brokers: `host:9092,host2:9092`; begin with `kafka+ssl://` (or `SSL://`, "
        "`SASL_SSL://`) for TLS."
    )
    kafka_trusted_cert: Certificate[str] = Field(
        "", repr=False, description="CA of the brokers' certificates, PEM: text or path."
    )
    kafka_client_cert: Certificate[str] = Field(
        "", repr=False, description="Client certificate, PEM: text or path."
    )
    kafka_client_cert_key: Key[SecretStr | None] = Field(
        None, description="Private key of the client certificate, PEM: text or path."
    )
    kafka_verify_hostname: bool = Field(
        True, description="Check that a broker's certificate names its host."
    )
    kafka_sasl_mechanism: kafka_login.Mechanism | None = Field(
        None,
        description="Login to Kafka: `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512`, `OAUTHBEARER` or "
        "`AWS_MSK_IAM`; see docs/kafka.md.",
    )
    kafka_username: str = Field("", description="SASL user name; with OAUTHBEARER the client id.")
    kafka_password: Secret[SecretStr | None] = Field(
        None, description="SASL password; with OAUTHBEARER the client secret."
    )
    kafka_oauth_token_url: str = Field(
        "", description="Token endpoint for OAUTHBEARER: `https://…`."
    )
    kafka_oauth_scope: str = Field("", description="Scopes to ask for, separated by spaces.")
    kafka_oauth_extensions: str = Field(
        "", description="SASL extensions, such as `logicalCluster=lkc-1,identityPoolId=pool-1`."
    )
    kafka_oauth_ca: Certificate[str] = Field(
        "", repr=False, description="CA of the token endpoint's certificate, PEM: text or path."
    )
    kafka_allow_plaintext_login: bool = Field(
        False,
        description="Log in without TLS: the network can read PLAIN's password, and the events.",
    )
    kafka_prefix: str = Field(
        "", description="Prefix added to topic and group names that do not begin with it."
    )
    database_url: Secret[SecretStr] = Field(
        validation_alias=AliasChoices(*DATABASE_VARIABLES),
        description="MySQL or MariaDB: `mysql://user:password@host:3306/database`; options are in "
        "docs/database.md.",
    )
    database_ca: Certificate[str] = Field(
        "", repr=False, description="CA of the database's certificate, PEM: text or path."
    )
    topic: Shown[str] = Field(
        "flash_sale_events", min_length=1, max_length=249, description="Topic to read."
    )
    consumer_group: Shown[str] = Field(
        "flash-sale-etl",
        min_length=1,
        max_length=255,
        description="Kafka consumer group; offsets are stored under this name.",
    )
    group_instance_id: Shown[str] = Field(
        "",
        pattern=r"^[a-zA-Z0-9._-]*$",
        max_length=249,
        description="Static membership: a name of this worker alone, kept over restarts; `auto` "
        "takes a StatefulSet's pod's or a dyno's; empty for none. See docs/scaling.md.",
    )
    starting_offsets: Shown[Literal["latest", "earliest"]] = Field(
        "latest", description="Where a group starts in a topic it has never read."
    )
    isolation_level: Shown[Literal["read_committed", "read_uncommitted"]] = Field(
        "read_committed",
        description="`read_committed` skips events of aborted transactions; the other reads them.",
    )
    deduplicate: Shown[bool] = Field(
        False, description="Skip events whose `event_id` is already stored."
    )
    flush_interval: Shown[float] = Field(
        5.0, gt=0, le=3600, description="Seconds between writes to the database."
    )
    flush_max_events: Shown[int] = Field(
        30_000,
        ge=1,
        le=1_000_000,
        validation_alias=AliasChoices("FLUSH_MAX_EVENTS", "FLUSH_MAX_ROWS"),
        description="Maximum events written in one transaction.",
    )
    buffer_max_events: Shown[int] = Field(
        60_000,
        ge=1,
        le=10_000_000,
        validation_alias=AliasChoices("BUFFER_MAX_EVENTS", "BUFFER_MAX_ROWS"),
        description="Maximum events in memory; when full, the worker stops reading Kafka.",
    )
    buffer_max_bytes: Shown[int] = Field(
        64 * 1024 * 1024,
        ge=1024 * 1024,
        le=64 * 1024**3,
        description="Maximum bytes of buffered events: read, waiting and being written.",
    )
    decompressed_max_bytes: Shown[int] = Field(
        64 * 1024 * 1024,
        ge=1024,
        le=2**31 - 1,
        description="Maximum bytes that one compressed Kafka batch may expand to.",
    )
    shutdown_timeout: Shown[float] = Field(
        8.0, gt=0, le=300, description="Seconds the final flush may take at shutdown or rebalance."
    )
    rollup_interval: Shown[float] = Field(
        5.0,
        ge=0,
        le=3600,
        description="Seconds between roll-up runs for the sales sums; 0 disables them.",
    )
    retention: Shown[float] = Field(
        0.0,
        ge=0,
        le=3650,
        description="Days that events, dead letters and batches are kept after they were stored; "
        "0 keeps them for ever.",
    )
    retention_dead_letters: Shown[float | None] = Field(
        None, ge=0, le=3650, description="Days for dead letters; the default is `RETENTION`."
    )
    retention_batches: Shown[float | None] = Field(
        None, ge=0, le=3650, description="Days for batches; the default is `RETENTION`."
    )
    database_max_bytes: Shown[int | None] = Field(
        None,
        ge=1024**2,
        description="Bytes that the database may take, to say when they are used up.",
    )
    start_timeout: Shown[float] = Field(
        300.0,
        ge=0,
        le=86_400,
        description="Seconds that a start waits for a server that is away or busy, a command 15 at "
        "most; 0 for none.",
    )
    session_timeout: Shown[float] = Field(
        10.0,
        ge=1,
        le=300,
        description="Seconds without a heartbeat until a worker's partitions are reassigned.",
    )
    breaker_share: Shown[float] = Field(
        0.95,
        ge=0,
        le=1,
        description="Share of dropped events that opens the circuit breaker and pauses the "
        "partition; 0 disables it.",
    )
    breaker_window: Shown[int] = Field(
        1000,
        ge=1,
        le=1_000_000,
        description="Number of a partition's newest events that the share is computed from.",
    )
    breaker_pause: Shown[float] = Field(
        30.0,
        ge=0,
        description="Seconds until a paused partition lets a window through; they double, up to "
        "600. 0 waits for `breaker close`.",
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="Log lines: `text`, or `json` for one object per line."
    )
    sentry_dsn: Secret[SecretStr | None] = Field(
        None,
        description="Sentry project that errors are sent to: `https://KEY@HOST/PROJECT`; see "
        "docs/deploy.md.",
    )
    port: int = Field(6066, ge=1, le=65535, description="Port of the web pages.")
    web_bind: str = Field(
        "0.0.0.0",  # noqa: S104 - a platform's router and probes come from outside
        description="Address the web pages are served on.",
    )
    web_token: Secret[SecretStr | None] = Field(
        None,
        description="Token that every page except `/health/` requires; see docs/web.md.",
    )

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
    def shown(self) -> dict[str, str]:
        """Those that the metrics show, by name."""
        fields = type(self).model_fields.items()
        return {name: str(getattr(self, name)) for name, one in fields if _SHOWN in one.metadata}

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
            if _SECRET in found
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
