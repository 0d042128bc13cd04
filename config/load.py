"""Settings, read from the environment and from `.env`. Each mistake is reported in one sentence."""

import logging
import os
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from pydantic import AliasChoices, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from config import jaas
from config.database_options import FILES
from config.fields import DATABASE_VARIABLES, DEPRECATED_VARIABLES
from config.jdbc import from_jdbc
from config.logging import LogFormat, say
from config.secret_files import Rotation, SecretFile, named
from config.settings import Settings

EXIT_WRONG_SETTING = 2

_ROOT = Path(__file__).parent.parent

#: Placeholder addresses for servers that a command does not use. `kafka+ssl` because TLS is
#: compatible with every other setting.
KAFKA, DATABASE = "kafka_url", "DATABASE_URL"
_NOWHERE: dict[str, Any] = {
    KAFKA: "kafka+ssl://nowhere.invalid:9093",
    DATABASE: "mysql://nobody@nowhere.invalid/none",
}

#: Secrets that are used at the start alone: a change of their files waits for the next.
_AT_START = ("web_token", "sentry_dsn")

#: How similar (0 to 1) to a setting's name a variable's must be to count as misspelled.
_LIKENESS = 0.9
#: What other programs call our settings. They are no mistake if ours is set too.
_OTHER_NAMES = {
    "BOOTSTRAP_SERVERS": "KAFKA_URL",
    "KAFKA_BOOTSTRAP_SERVERS": "KAFKA_URL",
    "KAFKA_BROKER": "KAFKA_URL",
    "KAFKA_BROKERS": "KAFKA_URL",
    "KAFKA_TOPIC": "TOPIC",
    "KAFKA_CONSUMER_GROUP": "CONSUMER_GROUP",
    "KAFKA_GROUP": "CONSUMER_GROUP",
    "KAFKA_GROUP_ID": "CONSUMER_GROUP",
    "GROUP_ID": "CONSUMER_GROUP",
    "KAFKA_USER": "KAFKA_USERNAME",
    "KAFKA_SASL_USERNAME": "KAFKA_USERNAME",
    "KAFKA_SASL_PASSWORD": "KAFKA_PASSWORD",
    "SASL_MECHANISM": "KAFKA_SASL_MECHANISM",
    "SASL_USERNAME": "KAFKA_USERNAME",
    "SASL_PASSWORD": "KAFKA_PASSWORD",
    "AUTO_OFFSET_RESET": "STARTING_OFFSETS",
    "KAFKA_AUTO_OFFSET_RESET": "STARTING_OFFSETS",
    "DATABASE": "DATABASE_URL",
    "DATABASE_URI": "DATABASE_URL",
    "DB_URI": "DATABASE_URL",
    "DB_URL": "DATABASE_URL",
    "JDBC_URL": "DATABASE_URL",
    "MARIADB_URL": "DATABASE_URL",
    "MYSQL_URL": "DATABASE_URL",
    "SPRING_DATASOURCE_URL": "DATABASE_URL",
    "WEB_PORT": "PORT",
}
#: Variables that may hold a JAAS line, which means that a login is needed.
_JAAS_NAMES = (
    "KAFKA_SASL_JAAS_CONFIG",
    "SASL_JAAS_CONFIG",
    "KAFKA_JAAS_CONFIG",
    "SPRING_KAFKA_PROPERTIES_SASL_JAAS_CONFIG",
)
#: Variables by which other programs turn on TLS to Kafka.
_PROTOCOL_NAMES = ("KAFKA_SECURITY_PROTOCOL", "SECURITY_PROTOCOL")
_PROTOCOLS = ("SSL", "SASL_SSL")


class _Defaults(Settings):
    """The default settings, whatever the environment says."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *others: PydanticBaseSettingsSource,
        **named: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def load(needed: Collection[str] = tuple(_NOWHERE), *, is_worker: bool = True) -> Settings:
    """Read the settings; print a sentence for each wrong one and exit with status 2.

    Args:
        needed: which of ``KAFKA`` and ``DATABASE`` must be set. If empty, no server is used
            and the defaults are returned.
        is_worker: whether to print in the log's format, which may be JSON.
    """
    if not needed:
        return _Defaults(**_NOWHERE)
    log_format: LogFormat = "text"
    try:
        files = env_files()
        values = variables(files)
        if is_worker and values.get("LOG_FORMAT") == "json":
            log_format = "json"
        for warning in warnings(values):
            say(warning, logging.WARNING, log_format)
        if KAFKA in needed:
            _refuse_jaas_lines(values)
        return _rotating(files, needed, values)
    except ValidationError as error:
        sentences = _sentences(error, values)
    except ValueError as error:
        sentences = [f"{str(error).rstrip('.')}."]
    for sentence in sentences:
        say(sentence, logging.CRITICAL, log_format)
    raise SystemExit(EXIT_WRONG_SETTING)


def env_files() -> list[Path]:
    """The existing files that settings are read from; later ones take precedence.

    Raises:
        ValueError: ENV_FILE names a missing file.
    """
    if named := os.environ.get("ENV_FILE"):
        if not Path(named).exists():
            raise ValueError(f"ENV_FILE is wrong: the file {named} does not exist.")
        return [Path(named)]
    found = {path.resolve(): path for path in (_ROOT / ".env", Path.cwd() / ".env")}
    return [path for path in found.values() if path.is_file()]


def variables(files: list[Path]) -> dict[str, str]:
    """All variables that are set, in the files or the environment.

    Raises:
        ValueError: a file cannot be read.
    """
    values: dict[str, str | None] = {}
    for file in files:
        try:
            values.update(dotenv_values(file))
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise ValueError(f"The settings in {file} cannot be read: {why}.") from None
    return {name.upper(): value for name, value in {**values, **os.environ}.items() if value}


def warnings(values: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each variable with a deprecated, misspelled or foreign name.

    Args:
        values: all variables that are set.
    """
    for old, new in DEPRECATED_VARIABLES.items():
        if old in values:
            effect = f"; it is ignored because {new} is set" if new in values else ""
            yield f"{old} is deprecated: use {new} instead{effect}."
    known = _known_names()
    for name in sorted(values.keys() - known):
        meant = next(iter(get_close_matches(name, known, 1, _LIKENESS)), None)
        if meant is None:
            meant = _OTHER_NAMES.get(name)
            if meant is None or not values.keys().isdisjoint(_names_of(meant)):
                continue
        hint = ""
        if meant in DATABASE_VARIABLES and (translated := from_jdbc(values[name])):
            hint = f" Write {meant}={translated}"
        yield f"{name} is not a setting and is ignored: did you mean {meant}?{hint}"
    for name in _PROTOCOL_NAMES:
        protocol = values.get(name, "").upper()
        if protocol in _PROTOCOLS and "://" not in values.get(KAFKA.upper(), "://"):
            yield f"{name} is not a setting and is ignored: begin KAFKA_URL with {protocol}://"


def _refuse_jaas_lines(values: Mapping[str, str]) -> None:
    if "KAFKA_SASL_MECHANISM" in values:
        return
    for name in _JAAS_NAMES:
        if refusal := jaas.refusal(values.get(name, "")):
            raise ValueError(f"{name} {refusal}.")


def _rotating(files: list[Path], needed: Collection[str], values: Mapping[str, str]) -> Settings:
    """The settings, which follow the files that secrets are in.

    Raises:
        ValueError: a file cannot be read, or its variable and the setting's are both set.
    """
    kept = Settings.secrets()
    found = {name: named(_names_of(name)[0], values, pem) for name, pem in kept.items()}
    sources = {name: file for name, file in found.items() if file}
    texts = {name: file.read() for name, file in sources.items()}
    settings = _settings(files, needed, _given(texts))
    options = settings.database_without_login.query
    more = {
        name: SecretFile("DATABASE_URL", Path(str(options[name])))
        for name in FILES
        if name in options
    }
    followed = {name: file for name, file in sources.items() if name not in _AT_START} | more
    seen = {name: texts.get(name) or file.read() for name, file in followed.items()}

    def make(texts: Mapping[str, str]) -> Settings:
        fresh = {name: text for name, text in texts.items() if name in sources}
        try:
            made = _Defaults(**_given({**dict(settings), **fresh}))
        except ValidationError as error:
            raise ValueError(" ".join(_sentences(error, values)).rstrip(".")) from None
        if made.database_without_login != settings.database_without_login:
            raise ValueError(
                "DATABASE_URL_FILE names another database or other options now: restart the worker"
            )
        made.follow(settings.newest)
        return made

    if followed:
        settings.follow(Rotation(settings, followed, seen, make).newest)
    return settings


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by setting, under the names by which a constructor takes them."""
    by_alias = {name for name, one in Settings.model_fields.items() if one.validation_alias}
    return {_names_of(name)[0] if name in by_alias else name: one for name, one in values.items()}


def _settings(files: list[Path], needed: Collection[str], given: Mapping[str, Any]) -> Settings:
    try:
        return Settings(_env_file=files, **given)
    except ValidationError as error:
        missing = {str(one["loc"][0]) for one in error.errors() if one["type"] == "missing"}
    nowhere = {name: url for name, url in _NOWHERE.items() if name in missing - {*needed}}
    return Settings(_env_file=files, **{**nowhere, **given})


def _known_names() -> set[str]:
    return {name for field in Settings.model_fields for name in _names_of(field.upper())}


def _names_of(setting: str) -> list[str]:
    """The variables that may set a setting, in order of precedence."""
    setting = setting.upper()
    alias = Settings.model_fields[setting.lower()].validation_alias
    names = [str(name) for name in alias.choices] if isinstance(alias, AliasChoices) else [setting]
    return [*names, f"{setting}_FILE"] if setting.lower() in Settings.secrets() else names


def _sentences(error: ValidationError, values: Mapping[str, str]) -> list[str]:
    return [_sentence(one["loc"], one["msg"], values) for one in error.errors()]


def _sentence(location: tuple[int | str, ...], message: str, values: Mapping[str, str]) -> str:
    reason = message.removeprefix("Value error, ")
    if not location:
        return f"{reason}."
    variable = str(location[0]).upper()
    if reason == "Field required":
        description = (Settings.model_fields[variable.lower()].description or "").rstrip(".")
        return f"{variable} is not set: set it in the environment or in .env ({description})."
    variable = next(filter(values.get, _names_of(variable)), variable)
    return f"{variable} is wrong: {reason[:1].lower()}{reason[1:]}."
