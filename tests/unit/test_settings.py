"""A wrong setting is one sentence naming the variable, and never shows the password."""

import re
import ssl

import pytest

from config.fields import DATABASE_VARIABLES, DEPRECATED_VARIABLES
from config.load import load
from config.settings import Settings
from dev.servers.certificates import Authority

AUTHORITY = Authority("a broker's")
PAIR = AUTHORITY.issue("client")
TLS = {
    "KAFKA_URL": "kafka+ssl://a:9093",
    "KAFKA_TRUSTED_CERT": AUTHORITY.pem,
    "KAFKA_CLIENT_CERT": PAIR.certificate,
    "KAFKA_CLIENT_CERT_KEY": PAIR.key,
}
GOOD = {
    "KAFKA_URL": "kafka://a:9092,b:9093",
    "DATABASE_URL": "mysql://shop:s3cret@db:3306/shop",
}


@pytest.fixture
def environment(monkeypatch):
    for name in {
        *map(str.upper, Settings.model_fields),
        *DATABASE_VARIABLES,
        *DEPRECATED_VARIABLES,
    }:
        monkeypatch.delenv(name, raising=False)

    def set_variables(**variables: str) -> None:
        for name, value in {**GOOD, **variables}.items():
            monkeypatch.setenv(name, value)

    return set_variables


def test_defaults_match_the_replaced_job(environment):
    environment()
    settings = load()
    assert settings.topic == "flash_sale_events"
    assert settings.starting_offsets == "latest"
    assert settings.flush_interval == 5
    assert settings.brokers == ["kafka://a:9092", "kafka://b:9093"]
    assert settings.database.drivername == "mysql+pymysql"


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"KAFKA_URL": ""}, "KAFKA_URL is not set"),
        ({"KAFKA_URL": "http://host"}, "KAFKA_URL is wrong: must be host:9092 or kafka://host:"),
        ({"DATABASE_URL": ""}, "DATABASE_URL is not set"),
        ({"DATABASE_URL": "postgres://shop:s3cret@db/shop"}, "DATABASE_URL is wrong: must be"),
        ({"DATABASE_URL": "mysql://shop:s3cret@db:port/shop"}, "DATABASE_URL is wrong: must be"),
        ({"DATABASE_URL": "mysql://shop:s3cret@db:3306"}, "DATABASE_URL is wrong: must be"),
        ({"STARTING_OFFSETS": "newest"}, "STARTING_OFFSETS is wrong: input should be 'latest'"),
        ({"FLUSH_INTERVAL": "five"}, "FLUSH_INTERVAL is wrong: input should be a valid number"),
        ({"FLUSH_INTERVAL": "0"}, "FLUSH_INTERVAL is wrong: input should be greater than 0"),
        ({"FLUSH_MAX_EVENTS": "-1"}, "FLUSH_MAX_EVENTS is wrong"),
        ({"PORT": "70000"}, "PORT is wrong"),
        ({"WEB_TOKEN": "s3cret"}, "WEB_TOKEN is wrong: must have at least 16 characters"),
        ({"JAWSDB_URL": "mysql://shop:s3cret@db", "DATABASE_URL": ""}, "JAWSDB_URL is wrong: must"),
        (
            {"DATABASE_URL": f"{GOOD['DATABASE_URL']}?user_data=on"},
            "DATABASE_URL is wrong: has an unknown option 'user_data': remove it, or see docs/",
        ),
        (
            {"DATABASE_URL": f"{GOOD['DATABASE_URL']}?ssl_ca=/nowhere/ca.pem"},
            "DATABASE_URL is wrong: ssl_ca cannot be read: No such file",
        ),
        (
            {"DATABASE_URL": f"{GOOD['DATABASE_URL']}?ssl-mode=ON"},
            "DATABASE_URL is wrong: ssl-mode must be disabled or preferred or required or",
        ),
        (
            {"DATABASE_CA": "ca.pem"},
            "DATABASE_CA is wrong: must be PEM text that begins -----BEGIN CERT",
        ),
        ({**TLS, "KAFKA_TRUSTED_CERT": "s3cret"}, "KAFKA_TRUSTED_CERT is wrong: must be PEM text"),
        ({**TLS, "KAFKA_URL": GOOD["KAFKA_URL"]}, "KAFKA_TRUSTED_CERT needs TLS: begin KAFKA_URL"),
        (
            {**TLS, "KAFKA_CLIENT_CERT_KEY": ""},
            "KAFKA_CLIENT_CERT and KAFKA_CLIENT_CERT_KEY belong",
        ),
        (
            {**TLS, "KAFKA_CLIENT_CERT_KEY": "s3cret"},
            "KAFKA_CLIENT_CERT_KEY is wrong: must be PEM text that begins -----BEGIN PRIVATE",
        ),
        (
            {**TLS, "KAFKA_CLIENT_CERT_KEY": AUTHORITY.issue("another").key},
            "KAFKA_CLIENT_CERT_KEY is wrong: is not the key of the certificate",
        ),
        (
            {**TLS, "KAFKA_SASL_MECHANISM": "PLAIN", "KAFKA_PASSWORD": "s3cret"},
            "KAFKA_SASL_MECHANISM, KAFKA_USERNAME and KAFKA_PASSWORD belong together",
        ),
        (
            {"KAFKA_SASL_MECHANISM": "PLAIN", "KAFKA_USERNAME": "u", "KAFKA_PASSWORD": "s3cret"},
            "KAFKA_SASL_MECHANISM needs TLS: begin KAFKA_URL with kafka+ssl",
        ),
        (
            {"FLUSH_MAX_EVENTS": "20", "BUFFER_MAX_EVENTS": "10"},
            "BUFFER_MAX_EVENTS is 10: it must be at least FLUSH_MAX_EVENTS (20).",
        ),
    ],
)
def test_wrong_setting_is_one_sentence(environment, capsys, variables, sentence):
    environment(**variables)
    with pytest.raises(SystemExit) as stopped:
        load()
    message = capsys.readouterr().err
    assert stopped.value.code == 2
    assert message.startswith(sentence)
    assert message.count("\n") == 1
    assert "s3cret" not in message


def test_settings_never_show_secrets(environment):
    login = {"KAFKA_SASL_MECHANISM": "PLAIN", "KAFKA_USERNAME": "u", "KAFKA_PASSWORD": "s3cret"}
    environment(**TLS, **login, WEB_TOKEN="s3cret-of-sixteen")
    settings = load()
    shown = repr(settings) + str(settings) + str(settings.database)
    assert "s3cret" not in shown
    assert "BEGIN" not in shown


@pytest.mark.parametrize("name", ["JAWSDB_URL", "CLEARDB_DATABASE_URL"])
def test_heroku_add_on_is_the_fallback_database_url(environment, name):
    environment(**{"DATABASE_URL": "", name: "mysql://u:p@add-on/heroku_1?reconnect=true"})
    assert load().database.render_as_string() == "mysql+pymysql://u:***@add-on/heroku_1"
    environment(**{name: "mysql://u:p@add-on/heroku_1?reconnect=true"})
    assert load().database.host == "db"


def test_prefix_is_added_to_topic_and_group_once(environment):
    environment(KAFKA_PREFIX="wabash-58779.", CONSUMER_GROUP="wabash-58779.etl")
    settings = load()
    assert settings.topic == "wabash-58779.flash_sale_events"
    assert settings.consumer_group == "wabash-58779.etl"


def test_several_addresses_in_tls(environment):
    environment(**TLS | {"KAFKA_URL": "kafka+ssl://a:9096,kafka+ssl://b:9097"})
    settings = load()
    assert settings.broker_addresses == ["a:9096", "b:9097"]
    assert settings.kafka_tls is not None
    assert settings.kafka_tls.check_hostname


@pytest.mark.parametrize(
    ("options", "verified", "name_too"),
    [
        ("ssl_mode=REQUIRED", ssl.CERT_NONE, False),
        ("ssl-mode=VERIFY_CA", ssl.CERT_REQUIRED, False),
        ("ssl_mode=verify_identity", ssl.CERT_REQUIRED, True),
        ("ssl_verify_cert=true", ssl.CERT_REQUIRED, True),
        ("ssl_verify_cert=true&ssl_verify_identity=false", ssl.CERT_REQUIRED, False),
        ("ssl_verify_cert=true&ssl_check_hostname=false", ssl.CERT_REQUIRED, False),
    ],
)
def test_database_options_decide_what_is_verified(environment, options, verified, name_too):
    environment(DATABASE_URL=f"{GOOD['DATABASE_URL']}?{options}")
    context = load().database_tls
    assert context is not None
    assert (context.verify_mode, context.check_hostname) == (verified, name_too)


def test_every_setting_has_a_description():
    for name, field in Settings.model_fields.items():
        assert field.description, name


def test_deprecated_names_work_and_warn(environment, capsys):
    environment(FLUSH_MAX_ROWS="70", BUFFER_MAX_ROWS="80")
    settings = load()
    assert (settings.flush_max_events, settings.buffer_max_events) == (70, 80)
    assert capsys.readouterr().err.splitlines() == [
        "FLUSH_MAX_ROWS is deprecated: use FLUSH_MAX_EVENTS instead.",
        "BUFFER_MAX_ROWS is deprecated: use BUFFER_MAX_EVENTS instead.",
    ]
    environment(FLUSH_MAX_ROWS="-1")
    with pytest.raises(SystemExit):
        load()
    assert capsys.readouterr().err.splitlines()[-1].startswith("FLUSH_MAX_ROWS is wrong")
    environment(FLUSH_MAX_EVENTS="60", FLUSH_MAX_ROWS="70")
    assert load().flush_max_events == 60
    assert "ignored because FLUSH_MAX_EVENTS is set" in capsys.readouterr().err


def test_metrics_show_no_secret_and_no_address(environment):
    login = {"KAFKA_SASL_MECHANISM": "PLAIN", "KAFKA_USERNAME": "u", "KAFKA_PASSWORD": "s3cret"}
    environment(**TLS, **login, WEB_TOKEN="s3cret-of-sixteen", FLUSH_INTERVAL="3")
    shown = load().shown
    assert (shown["topic"], shown["flush_interval"]) == ("flash_sale_events", "3.0")
    assert not [name for name in shown if re.search("url|cert|ca$|user|pass|token|bind|port", name)]
    assert not [value for value in shown.values() if re.search("s3cret|BEGIN|:9093|db", value)]
