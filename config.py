"""Settings: read from the environment, checked once, said in one sentence when wrong."""

import sys
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic import model_validator as validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

EXIT_WRONG_SETTING = 2


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

    kafka_url: str = Field(description="Brokers: `kafka://host:9092,host2:9092`.")
    database_url: SecretStr = Field(
        validation_alias=AliasChoices("DATABASE_URL"),
        description="MySQL or MariaDB: `mysql://user:password@host:3306/database`.",
    )
    topic: str = Field("flash_sale_events", min_length=1, max_length=249, description="Topic read.")
    consumer_group: str = Field(
        "flash-sale-etl",
        min_length=1,
        max_length=255,
        description="Kafka consumer group, and the name under which offsets are kept.",
    )
    starting_offsets: Literal["latest", "earliest"] = Field(
        "latest", description="Where a group begins in a topic it has never read."
    )
    flush_interval: float = Field(
        5.0, gt=0, le=3600, description="Seconds between writes to the database."
    )
    flush_max_rows: int = Field(
        20_000, ge=1, le=1_000_000, description="Events written in one transaction at most."
    )
    buffer_max_rows: int = Field(
        60_000,
        ge=1,
        le=10_000_000,
        description="Events held in memory at most; above it the worker stops reading Kafka.",
    )
    shutdown_timeout: float = Field(
        8.0, gt=0, le=300, description="Seconds the last flush may take at shutdown or rebalance."
    )
    session_timeout: float = Field(
        10.0,
        ge=1,
        le=300,
        description="Seconds without a sign of life after which others get a worker's partitions.",
    )
    breaker_share: float = Field(
        0.95,
        ge=0,
        le=1,
        description="Share of dropped events at which the worker stops reading; 0 for never.",
    )
    breaker_window: int = Field(
        1000, ge=1, le=1_000_000, description="Events over which that share is taken."
    )
    breaker_pause: float = Field(
        0.0, ge=0, description="Seconds after which it reads on by itself; 0 for never."
    )
    port: int = Field(6066, ge=1, le=65535, description="Port of the web pages.")

    @field_validator("kafka_url")
    @classmethod
    def _brokers(cls, value: str) -> str:
        if not broker_urls(value):
            raise ValueError("must be kafka://host:port, several separated by commas")
        return value

    @field_validator("database_url")
    @classmethod
    def _database(cls, value: SecretStr) -> SecretStr:
        try:
            url = make_url(value.get_secret_value())
        except (ArgumentError, ValueError):
            url = URL.create("")
        # The password stays out of the message: a URL is never quoted back.
        if url.drivername not in {"mysql", "mysql+pymysql"} or not url.host or not url.database:
            raise ValueError("must be mysql://user:password@host:3306/database")
        return value

    @validator(mode="after")
    def _buffer_holds_a_flush(self) -> "Settings":
        if self.buffer_max_rows < self.flush_max_rows:
            raise ValueError(
                f"BUFFER_MAX_ROWS is {self.buffer_max_rows}: must be at least FLUSH_MAX_ROWS "
                f"({self.flush_max_rows})"
            )
        return self

    @property
    def brokers(self) -> list[str]:
        """Broker addresses as Faust wants them, ``kafka://host:port`` each."""
        return broker_urls(self.kafka_url)

    @property
    def database(self) -> URL:
        """The database as SQLAlchemy wants it; its ``str()`` masks the password."""
        return make_url(self.database_url.get_secret_value()).set(drivername="mysql+pymysql")


def broker_urls(value: str) -> list[str]:
    """Split ``kafka://a:1,b:2`` or ``kafka://a:1,kafka://b:2``; empty when a part is wrong."""
    hosts = [part.strip().removeprefix("kafka://") for part in value.split(",") if part.strip()]
    if not value.strip().startswith("kafka://") or any(not _is_address(host) for host in hosts):
        return []
    return [f"kafka://{host}" for host in hosts]


def _is_address(host: str) -> bool:
    name, _, port = host.rpartition(":")
    return bool(name) and "/" not in host and "@" not in host and port.isdecimal()


def load() -> Settings:
    """Read the settings; on a wrong one print a sentence and exit with status 2."""
    try:
        return Settings()
    except ValidationError as error:
        for problem in error.errors():
            print(_sentence(problem["loc"], problem["msg"]), file=sys.stderr)
        raise SystemExit(EXIT_WRONG_SETTING) from None


def _sentence(location: tuple[int | str, ...], message: str) -> str:
    reason = message.removeprefix("Value error, ")
    if not location:
        return f"{reason}."
    variable = str(location[0]).upper()
    if reason == "Field required":
        return f"{variable} is not set: set it in the environment ({_description(variable)})"
    return f"{variable} is wrong: {reason[:1].lower()}{reason[1:]}."


def _description(variable: str) -> str:
    description = Settings.model_fields[variable.lower()].description or ""
    return description.rstrip(".")
