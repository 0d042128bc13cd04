"""Which settings a login to Kafka needs, and which it excludes."""

import re
from urllib.parse import urlsplit

from config import urls
from config.fields import Fields

_PLAINTEXT = "or set KAFKA_ALLOW_PLAINTEXT_LOGIN=true if all who can read the network may read it"
#: As Kafka takes them; `auth` is the token's own.
_EXTENSION = re.compile(r"(?!auth=)[A-Za-z]+=[\x20-\x7e]+")
_OAUTH = ("kafka_oauth_token_url", "kafka_oauth_scope", "kafka_oauth_extensions", "kafka_oauth_ca")


def check(settings: Fields) -> None:
    """Check the settings of Kafka's login and TLS together.

    Raises:
        ValueError: they do not fit; says what to change.
    """
    brokers = urls.brokers(settings.kafka_url)
    mechanism = settings.kafka_sasl_mechanism
    login = mechanism, settings.kafka_username, settings.kafka_password
    if brokers.login and not any(login):
        raise ValueError(
            "KAFKA_URL asks for a login (SASL_…): set KAFKA_SASL_MECHANISM, KAFKA_USERNAME "
            "and KAFKA_PASSWORD too, or begin it with SSL:// or PLAINTEXT://"
        )
    if mechanism == "AWS_MSK_IAM":
        if any(login[1:]):
            raise ValueError(
                "AWS_MSK_IAM takes its login from AWS: remove KAFKA_USERNAME and KAFKA_PASSWORD"
            )
    elif any(login) and not all(login):
        raise ValueError(
            "KAFKA_SASL_MECHANISM, KAFKA_USERNAME and KAFKA_PASSWORD belong together: set all "
            "three or none"
        )
    _check_oauth(settings)
    for name in ("kafka_trusted_cert", "kafka_client_cert"):
        if getattr(settings, name) and not brokers.tls:
            raise ValueError(f"{name.upper()} needs TLS: begin KAFKA_URL with kafka+ssl://")
    if mechanism and not brokers.tls and not settings.kafka_allow_plaintext_login:
        raise ValueError(
            f"KAFKA_SASL_MECHANISM needs TLS: begin KAFKA_URL with kafka+ssl://, {_PLAINTEXT}"
        )


def extensions(text: str) -> dict[str, str]:
    """The SASL extensions in ``name=value,name2=value2``.

    Raises:
        ValueError: it is not of this form.
    """
    pairs = [one.strip().partition("=") for one in text.split(",") if one.strip()]
    if not all(_EXTENSION.fullmatch("".join(one)) for one in pairs):
        raise ValueError("must be name=value, several separated by commas; a name has letters only")
    return {name: value for name, _, value in pairs}


def _check_oauth(settings: Fields) -> None:
    given = [name.upper() for name in _OAUTH if getattr(settings, name)]
    if settings.kafka_sasl_mechanism != "OAUTHBEARER":
        if given:
            raise ValueError(f"{given[0]} needs KAFKA_SASL_MECHANISM=OAUTHBEARER: set it too")
        return
    if "KAFKA_OAUTH_TOKEN_URL" not in given:
        raise ValueError("KAFKA_SASL_MECHANISM=OAUTHBEARER needs KAFKA_OAUTH_TOKEN_URL: set it too")
    url = urlsplit(settings.kafka_oauth_token_url)
    if url.scheme not in ("https", "http") or not url.hostname or url.username or url.fragment:
        raise ValueError("KAFKA_OAUTH_TOKEN_URL is wrong: it must be https://host/path")
    if url.scheme == "http" and not settings.kafka_allow_plaintext_login:
        raise ValueError(
            "KAFKA_OAUTH_TOKEN_URL sends a secret and needs TLS: begin it with https://, "
            f"{_PLAINTEXT}"
        )
    try:
        extensions(settings.kafka_oauth_extensions)
    except ValueError as error:
        raise ValueError(f"KAFKA_OAUTH_EXTENSIONS is wrong: it {error}") from None
