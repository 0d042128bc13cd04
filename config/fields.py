"""Every setting, declared once. `config/settings.py` verifies them; `config/load.py` reads them."""

from typing import Annotated, Literal, TypeVar

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

#: Old variable names, which still work, and the new ones.
DEPRECATED_VARIABLES = {
    "FLUSH_MAX_ROWS": "FLUSH_MAX_EVENTS",
    "BUFFER_MAX_ROWS": "BUFFER_MAX_EVENTS",
}

#: Variables that may hold the database's URL: ours first, then those of Heroku's add-ons.
DATABASE_VARIABLES = ("DATABASE_URL", "JAWSDB_URL", "CLEARDB_DATABASE_URL")

Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "AWS_MSK_IAM"]

_T = TypeVar("_T")
SHOWN = "shown"
#: A setting that the metrics show: it shapes the flow, and is neither an address nor a secret.
Shown = Annotated[_T, SHOWN]
SECRET, CERTIFICATE, KEY = "secret", "CERTIFICATE", "PRIVATE KEY"
#: A setting that may be in a file, whose name is in the variable ``…_FILE``.
Secret = Annotated[_T, SECRET]
#: The same in PEM, by what its text begins: the variable itself may name the file, too.
Certificate = Annotated[_T, SECRET, CERTIFICATE]
Key = Annotated[_T, SECRET, KEY]


class Fields(BaseSettings):
    """Every setting of the app; field ``flush_interval`` is variable ``FLUSH_INTERVAL``."""

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
    kafka_sasl_mechanism: Mechanism | None = Field(
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
        description="Address the web pages are served on. Who may read which: `WEB_TOKEN`.",
    )
    web_token: Secret[SecretStr | None] = Field(
        None,
        description="Token that every page except `/health/` requires. Without one, pages that "
        "show events are served on this machine only; see docs/web.md.",
    )
