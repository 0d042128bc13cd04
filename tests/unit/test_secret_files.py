"""Secrets in files: each setting's, what is wrong with them in a sentence, and changed ones."""

import logging
from pathlib import Path

import pytest
from pydantic import SecretStr

from config.load import _known_names, load, warnings
from config.settings import Settings
from dev.servers.certificates import Authority

AUTHORITY = Authority("a broker's")
FIRST, SECOND = AUTHORITY.issue("first"), AUTHORITY.issue("second")
URL = "mysql://shop:s3cret@db:3306/shop"
GOOD = {"KAFKA_URL": "SASL_SSL://a:9092", "DATABASE_URL": URL}
#: What each setting's file holds.
TEXTS = {
    "DATABASE_URL": URL,
    "KAFKA_PASSWORD": "s3cret",
    "KAFKA_TRUSTED_CERT": AUTHORITY.pem,
    "KAFKA_CLIENT_CERT": FIRST.certificate,
    "KAFKA_CLIENT_CERT_KEY": FIRST.key,
    "KAFKA_OAUTH_CA": AUTHORITY.pem,
    "DATABASE_CA": AUTHORITY.pem,
    "SENTRY_DSN": "https://s3cret@sentry/1",
    "WEB_TOKEN": "s3cret-of-sixteen",
}
OAUTH = {
    "KAFKA_SASL_MECHANISM": "OAUTHBEARER",
    "KAFKA_USERNAME": "app",
    "KAFKA_OAUTH_TOKEN_URL": "https://login/token",
}
PEM = [name for name in TEXTS if "BEGIN" in TEXTS[name]]


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    """Sets variables; none of the app's is set before."""
    for name in _known_names():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ENV_FILE", "/dev/null")

    def set_variables(**variables: object) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))

    return set_variables


@pytest.fixture
def file(tmp_path):
    """Writes a file, as Kubernetes does: at once."""

    def write(name: str, text: str) -> Path:
        path = Path(tmp_path, name)
        new = path.with_suffix(".new")
        new.write_text(text)
        new.rename(path)
        return path

    return write


def refusal(capsys):
    with pytest.raises(SystemExit) as stopped:
        load()
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "s3cret" not in said
    return said.strip()


def test_every_secret_may_be_in_a_file(environment, file, capsys):
    settings = {name.lower() for name, one in Settings.model_fields.items() if "Secret" in str(one)}
    assert settings <= {name.lower() for name in TEXTS} == Settings.secrets().keys()
    files = {f"{name}_FILE": file(name, f"{text}\n") for name, text in TEXTS.items()}
    environment(KAFKA_URL="SASL_SSL://a:9092", **OAUTH, **files)
    for name, text in TEXTS.items():
        value = getattr(load(), name.lower())
        value = value.get_secret_value() if isinstance(value, SecretStr) else value
        assert value.strip() == text.strip(), name
    assert capsys.readouterr().err == ""


def test_pem_is_text_or_a_path(environment, file, monkeypatch, tmp_path):
    paths = {name: file(name, TEXTS[name]) for name in PEM}
    environment(**GOOD, **OAUTH, KAFKA_PASSWORD="s3cret", **paths)
    assert load().kafka_tls is not None
    assert load().kafka_client_cert.strip() == FIRST.certificate.strip()
    monkeypatch.chdir(tmp_path)
    environment(KAFKA_TRUSTED_CERT="KAFKA_TRUSTED_CERT")
    assert load().kafka_trusted_cert.strip() == AUTHORITY.pem.strip()


def test_the_file_precedes_an_add_ons_variable(environment, file):
    environment(KAFKA_URL="a:9092", JAWSDB_URL="mysql://u:p@add-on/d")
    environment(DATABASE_URL_FILE=file("url", URL))
    assert load().database.host == "db"


@pytest.mark.parametrize("name", TEXTS)
def test_setting_and_file_together_are_refused(environment, file, capsys, name):
    environment(**{**GOOD, name: TEXTS[name], f"{name}_FILE": file("f", TEXTS[name])})
    assert refusal(capsys) == f"{name} and {name}_FILE are both set: remove one of them."


def test_unusable_file_is_one_sentence(environment, file, capsys, tmp_path):
    environment(**GOOD, KAFKA_PASSWORD_FILE="/nowhere/s3cret")
    wrong = "KAFKA_PASSWORD_FILE is wrong: its file "
    assert refusal(capsys) == f"{wrong}cannot be read: No such file or directory."
    environment(KAFKA_PASSWORD_FILE=tmp_path)
    assert refusal(capsys) == f"{wrong}cannot be read: Is a directory."
    environment(KAFKA_PASSWORD_FILE=file("empty", "\n"))
    assert refusal(capsys) == f"{wrong}is empty."
    (tmp_path / "binary").write_bytes(b"s3cret\xff")
    environment(KAFKA_PASSWORD_FILE=tmp_path / "binary")
    assert refusal(capsys) == f"{wrong}is not UTF-8."


def test_wrong_text_names_the_files_variable(environment, file, capsys):
    environment(KAFKA_URL="a:9092", DATABASE_URL_FILE=file("url", "postgres://u:s3cret@db/d"))
    assert refusal(capsys).startswith("DATABASE_URL_FILE is wrong: must be mysql://user:")
    environment(DATABASE_URL_FILE=file("url", URL), KAFKA_TRUSTED_CERT_FILE=file("ca", "s3cret"))
    assert refusal(capsys).startswith("KAFKA_TRUSTED_CERT_FILE is wrong: must be PEM text")


def test_a_file_is_a_known_name():
    files = {f"{name}_FILE": "/run/secrets/s3cret" for name in TEXTS}
    assert list(warnings(files)) == []
    [warning] = warnings({"KAFKA_PASWORD_FILE": "/run/secrets/kafka"})
    assert warning.endswith("did you mean KAFKA_PASSWORD_FILE?")


def test_settings_without_files_follow_none(environment):
    environment(KAFKA_URL="a:9092", DATABASE_URL=URL)
    settings = load()
    assert settings.newest() is settings


def test_a_changed_file_is_taken(environment, file, caplog):
    caplog.set_level(logging.INFO)
    environment(
        KAFKA_URL="SASL_SSL://a:9092",
        KAFKA_SASL_MECHANISM="PLAIN",
        KAFKA_USERNAME="app",
        TOPIC="t",
        KAFKA_PASSWORD_FILE=file("password", "s3cret-1"),
        DATABASE_URL_FILE=file("url", URL),
        KAFKA_TRUSTED_CERT=file("ca.pem", AUTHORITY.pem),
        WEB_TOKEN_FILE=file("token", TEXTS["WEB_TOKEN"]),
    )
    settings = load()
    context = settings.newest().kafka_tls
    assert settings.newest().kafka_tls is context
    file("password", "s3cret-2\n")
    file("url", URL.replace("shop:s3cret", "other:s3cret-3"))
    # What else changes waits for the next start.
    environment(TOPIC="another")
    file("token", "another-s3cret-of-sixteen")
    newest = settings.newest()
    assert newest.kafka_password == SecretStr("s3cret-2")
    assert (newest.database.username, newest.database.password) == ("other", "s3cret-3")
    assert newest.topic == "t"
    other = Authority("another")
    file("ca.pem", other.pem)
    assert settings.newest().kafka_tls not in (None, context)
    assert settings.kafka_password == SecretStr("s3cret-1")
    assert [one.getMessage() for one in caplog.records] == [
        "New connections use the new text of DATABASE_URL_FILE and KAFKA_PASSWORD_FILE.",
        "New connections use the new text of KAFKA_TRUSTED_CERT.",
    ]


def test_files_of_the_urls_options_are_followed(environment, file):
    ca, certificate = file("ca.pem", AUTHORITY.pem), file("cert.pem", FIRST.certificate + FIRST.key)
    environment(KAFKA_URL="a:9092", DATABASE_URL=f"{URL}?ssl_ca={ca}&ssl_cert={certificate}")
    settings = load()
    _, before = settings.newest_database()
    assert settings.newest_database()[1] is before
    file("cert.pem", SECOND.certificate + SECOND.key)
    assert settings.newest_database()[1] not in (None, before)


def test_half_a_rotation_keeps_what_works(environment, file, caplog):
    environment(
        KAFKA_URL="SSL://a:9092",
        DATABASE_URL_FILE=file("url", URL),
        KAFKA_CLIENT_CERT=file("cert.pem", FIRST.certificate),
        KAFKA_CLIENT_CERT_KEY=file("key.pem", FIRST.key),
    )
    settings = load()
    before = settings.newest().kafka_tls
    file("cert.pem", SECOND.certificate)
    for _ in range(3):
        assert settings.newest().kafka_tls is before
    assert [one.getMessage() for one in caplog.records] == [
        "KAFKA_CLIENT_CERT_KEY is wrong: is not the key of the certificate. What was read before "
        "stays in use."
    ]
    file("key.pem", SECOND.key)
    assert settings.newest().kafka_tls not in (None, before)
    file("url", URL).unlink()
    assert settings.newest().database.host == "db"
    file("url", "mysql://shop:s3cret@elsewhere:3306/shop")
    assert settings.newest().database.host == "db"
    assert "DATABASE_URL_FILE names another database" in caplog.records[-1].getMessage()
    assert "s3cret" not in caplog.text
