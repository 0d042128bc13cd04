"""Where settings come from, and what is said of names that are none."""

import pytest

from config.load import _known_names, load, warnings
from config.settings import Settings
from db.connection.engine import connect

GOOD = {"KAFKA_URL": "kafka://a:9092", "DATABASE_URL": "mysql://shop:s3cret@db:3306/shop"}

#: What shells, platforms and other programs set.
COMMON = """
    PATH HOME USER SHELL LANG LC_ALL TERM TZ PWD OLDPWD HOSTNAME HOST LOGNAME EDITOR DISPLAY
    TMPDIR MAIL SHLVL COLUMNS LINES PAGER PS1 DEBUG ENV ENVIRONMENT CI NO_COLOR COLORTERM
    PYTHONPATH PYTHONUNBUFFERED PYTHONDONTWRITEBYTECODE VIRTUAL_ENV PIP_INDEX_URL SSL_CERT_FILE
    HTTP_PROXY HTTPS_PROXY NO_PROXY WEB_CONCURRENCY WEB_MEMORY DYNO DYNO_RAM HONCHO_PROCESS_NAME
    HEROKU_APP_NAME SOURCE_VERSION REDIS_URL KAFKA_HEAP_OPTS KAFKA_OPTS KAFKA_LOG_DIRS KAFKA_HOME
    KAFKA_SERVICE_HOST KAFKA_SERVICE_PORT KAFKA_PORT KAFKA_PORT_9092_TCP KAFKA_PORT_9092_TCP_ADDR
    KAFKA_VERSION KAFKA_NODE_ID KAFKA_CFG_LISTENERS KAFKA_CLIENT_ID KAFKA_API_KEY MYSQL_HOST
    MYSQL_PORT MYSQL_USER MYSQL_PASSWORD MYSQL_ROOT_PASSWORD MYSQL_DATABASE MYSQL_PWD
    MYSQL_SERVICE_HOST MYSQL_PORT_3306_TCP MARIADB_ROOT_PASSWORD MYSQL_TCP_PORT DB_HOST DB_PORT
    DB_NAME DB_USER DB_PASSWORD DATABASE_HOST DATABASE_NAME DATABASE_USER DATABASE_PASSWORD
    DATABASE_PORT POSTGRES_URL KUBERNETES_SERVICE_HOST KUBERNETES_PORT POD_NAME POD_IP NAMESPACE
    GRAFANA_PASSWORD BROKER MARIADBD FAUST_LOOP FAUST_DATADIR LOG_LEVEL LOGLEVEL LOG_FILE LOG_DIR
    SECRET_KEY API_TOKEN AUTH_TOKEN GITHUB_TOKEN NPM_TOKEN VAULT_TOKEN TOKEN SESSION_MANAGER
    SESSION_SECRET XDG_SESSION_ID XDG_SESSION_TYPE DESKTOP_SESSION DBUS_SESSION_BUS_ADDRESS
    SSH_CONNECTION SSH_AUTH_SOCK GPG_TTY SUDO_USER INVOCATION_ID JOURNAL_STREAM NOTIFY_SOCKET
    AWS_REGION AWS_ACCESS_KEY_ID REQUEST_TIMEOUT GUNICORN_TIMEOUT GRACEFUL_TIMEOUT IDLE_TIMEOUT
    SERVER_PORT METRICS_PORT HTTP_PORT APP_PORT TRANSPORT EXPORT BUILDKIT_PROGRESS
    COMPOSE_PROJECT_NAME DOCKER_HOST CONSUMER_KEY CONSUMER_SECRET
"""


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    """In another folder than the app's, with none of its settings, and no `.env` in either."""
    for name in _known_names():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("config.load._ROOT", tmp_path / "app")
    (tmp_path / "app").mkdir()


def test_environment_overrides_env_file(monkeypatch, tmp_path):
    lines = [f"{name}='{value}'" for name, value in GOOD.items()]
    (tmp_path / "app" / ".env").write_text("\n".join([*lines, "TOPIC=app", "PORT=1", "FOO=3"]))
    assert (load().topic, load().port) == ("app", 1)
    (tmp_path / ".env").write_text("export TOPIC=here\nPORT=2\n")
    assert (load().topic, load().port, load().kafka_url) == ("here", 2, GOOD["KAFKA_URL"])
    monkeypatch.setenv("TOPIC", "set")
    monkeypatch.setenv("PORT", "")
    assert (load().topic, load().port) == ("set", 2)


def test_env_file_setting_replaces_the_default_files(monkeypatch, tmp_path, capsys):
    (tmp_path / ".env").write_text("TOPIC=not this\n")
    other = tmp_path / "worker.env"
    other.write_text("\n".join(f"{name}={value}" for name, value in GOOD.items()))
    monkeypatch.setenv("ENV_FILE", str(other))
    assert load().topic == "flash_sale_events"
    monkeypatch.setenv("ENV_FILE", "/nowhere/.env")
    assert _refusal(capsys) == "ENV_FILE is wrong: the file /nowhere/.env does not exist.\n"


def test_unreadable_env_file_is_one_sentence(tmp_path, capsys):
    (tmp_path / ".env").write_bytes(b"TOPIC=\xff\n")
    sentence = f"The settings in {tmp_path}/.env cannot be read: it is not UTF-8.\n"
    assert _refusal(capsys) == sentence


def test_wrong_setting_in_a_file_is_one_sentence(tmp_path, capsys):
    (tmp_path / ".env").write_text("KAFKA_URL=kafka://a:1\nJAWSDB_URL=mysql://u:s3cret@db\n")
    assert _refusal(capsys).startswith("JAWSDB_URL is wrong: must be mysql://user")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("FLUSH_INTERVALL", "FLUSH_INTERVAL"),
        ("FLUSH_INTERVAL_", "FLUSH_INTERVAL"),
        ("FLUSHINTERVAL", "FLUSH_INTERVAL"),
        ("KAFKA_TOPIC", "TOPIC"),
        ("TOPICS", "TOPIC"),
        ("DB_URL", "DATABASE_URL"),
        ("DATABASE_URI", "DATABASE_URL"),
        ("DATABSE_URL", "DATABASE_URL"),
        ("CONSUMERGROUP", "CONSUMER_GROUP"),
        ("KAFKA_BOOTSTRAP_SERVERS", "KAFKA_URL"),
        ("STARTING_OFFSET", "STARTING_OFFSETS"),
    ],
)
def test_misspelled_setting_is_a_warning(name, meant):
    sentence = f"{name} is not a setting and is ignored: did you mean {meant}?"
    assert list(warnings({name: "3"})) == [sentence]


def test_foreign_name_is_fine_if_ours_is_set():
    others = {"DB_URL": "x", "MYSQL_URL": "x", "KAFKA_TOPIC": "t", "WEB_PORT": "1"}
    assert list(warnings({**others, "JAWSDB_URL": "x", "TOPIC": "t", "PORT": "1"})) == []


def test_common_variables_cause_no_warning():
    assert list(warnings(dict.fromkeys(COMMON.split(), "1"))) == []


def test_warnings_come_before_the_error(monkeypatch, capsys):
    monkeypatch.setenv("KAFKA_URL", GOOD["KAFKA_URL"])
    monkeypatch.setenv("DB_URL", "jdbc:mysql://db:3307/shop?user=app&password=s3cret&useSSL=true")
    warning, refusal = _refusal(capsys).splitlines()
    assert warning == (
        "DB_URL is not a setting and is ignored: did you mean DATABASE_URL? Write "
        "DATABASE_URL=mysql://app:PASSWORD@db:3307/shop?ssl_mode=REQUIRED"
    )
    assert refusal.startswith("DATABASE_URL is not set: set it in the environment or in .env (")


FIRST = " (the first host: only one address is supported)"


@pytest.mark.parametrize(
    ("jdbc", "written"),
    [
        ("jdbc:mysql://db:3306/shop?user=x&password=s3cret", "mysql://x:PASSWORD@db:3306/shop"),
        ("jdbc:mariadb://db/shop", "mysql://USER:PASSWORD@db:3306/shop"),
        ("jdbc:mysql://x:s3cret@db:3306/shop", "mysql://x:PASSWORD@db:3306/shop"),
        ("jdbc:mysql://x:s3@cret@db:3306/shop", "mysql://x:PASSWORD@db:3306/shop"),
        ("JDBC:mysql:replication://a/shop?user=o'x", "mysql://o%27x:PASSWORD@a:3306/shop"),
        ("jdbc:mysql://[::1]:3307/shop", "mysql://USER:PASSWORD@[::1]:3307/shop"),
        ("jdbc:mysql://x:s3cret@[2001:db8::1]/shop", "mysql://x:PASSWORD@[2001:db8::1]:3306/shop"),
        ("jdbc:mysql://a:1,[::1]:2/shop", f"mysql://USER:PASSWORD@a:1/shop{FIRST}"),
        ("jdbc:mysql://[::1]:2,a/shop", f"mysql://USER:PASSWORD@[::1]:2/shop{FIRST}"),
        ("jdbc:mysql://(host=a,port=1),(host=b)/shop", f"mysql://USER:PASSWORD@a:1/shop{FIRST}"),
        ("jdbc:mysql://address=(host=::1)(port=1)/shop", "mysql://USER:PASSWORD@[::1]:1/shop"),
        (
            "jdbc:mysql://db/shop?useSSL=true&requireSSL=true&verifyServerCertificate=true"
            "&trustCertificateKeyStorePassword=s3cret",
            "mysql://USER:PASSWORD@db:3306/shop?ssl_mode=REQUIRED&ssl_verify_cert=true",
        ),
        (
            "jdbc:mariadb://db/shop?sslMode=verify-full&serverSslCert=/etc/ca.pem",
            "mysql://USER:PASSWORD@db:3306/shop?ssl_mode=VERIFY_IDENTITY&ssl_ca=/etc/ca.pem",
        ),
        (
            "jdbc:mysql://db/shop?useSSL=false&allowPublicKeyRetrieval=true&serverTimezone=UTC",
            "mysql://USER:PASSWORD@db:3306/shop",
        ),
    ],
)
def test_jdbc_url_error_shows_its_translation(monkeypatch, capsys, jdbc, written):
    monkeypatch.setenv("KAFKA_URL", GOOD["KAFKA_URL"])
    monkeypatch.setenv("DATABASE_URL", jdbc)
    assert _refusal(capsys) == f"DATABASE_URL is wrong: is a JDBC URL: write {written}.\n"


@pytest.mark.parametrize("jdbc", ["jdbc:mysql://x:s3/cret@db/shop", "jdbc:mysql:s3cret@db"])
def test_unparsable_jdbc_url_is_not_quoted(monkeypatch, capsys, jdbc):
    monkeypatch.setenv("KAFKA_URL", GOOD["KAFKA_URL"])
    monkeypatch.setenv("DATABASE_URL", jdbc)
    refusal = _refusal(capsys)
    assert refusal == "DATABASE_URL is wrong: must be mysql://user:password@host:3306/database.\n"


def test_unused_server_needs_no_address(monkeypatch, capsys):
    monkeypatch.setenv("DATABASE_URL", GOOD["DATABASE_URL"])
    monkeypatch.setenv("KAFKA_SASL_MECHANISM", "PLAIN")
    monkeypatch.setenv("KAFKA_USERNAME", "u")
    monkeypatch.setenv("KAFKA_PASSWORD", "s3cret")
    settings = load({"DATABASE_URL"})
    assert settings.database.host == "db"
    assert settings.topic == "flash_sale_events"
    connect(settings.database, settings.database_tls).dispose()
    assert _refusal(capsys).startswith("KAFKA_URL is not set")
    monkeypatch.setenv("KAFKA_URL", "http://a:9092")
    with pytest.raises(SystemExit):
        load({"DATABASE_URL"})
    assert capsys.readouterr().err.startswith("KAFKA_URL is wrong")


def test_command_without_servers_ignores_settings(monkeypatch):
    monkeypatch.setenv("FLUSH_INTERVAL", "x")
    assert load(()).flush_interval == Settings.model_fields["flush_interval"].default


def _refusal(capsys):
    with pytest.raises(SystemExit) as stopped:
        load()
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert "s3cret" not in said
    return str(said)


JAAS = 'org.apache.kafka.common.security.plain.PlainLoginModule required username="u" password="s3"'


@pytest.mark.parametrize("name", ["KAFKA_SASL_JAAS_CONFIG", "SASL_JAAS_CONFIG"])
def test_jaas_line_is_refused_in_foreign_variables(monkeypatch, capsys, name):
    for variable, value in {**GOOD, name: JAAS}.items():
        monkeypatch.setenv(variable, value)
    assert _refusal(capsys) == (
        f"{name} is a JAAS line, which is not supported: set KAFKA_SASL_MECHANISM=PLAIN, "
        "KAFKA_USERNAME=u and KAFKA_PASSWORD=PASSWORD instead.\n"
    )
    load({"DATABASE_URL"})
    # It is another program's where the login is set.
    monkeypatch.setenv("KAFKA_URL", "SASL_SSL://a:9092")
    monkeypatch.setenv("KAFKA_SASL_MECHANISM", "PLAIN")
    monkeypatch.setenv("KAFKA_USERNAME", "u")
    monkeypatch.setenv("KAFKA_PASSWORD", "p")
    load()
    assert capsys.readouterr().err == ""


def test_ignored_protocol_variable_is_a_warning():
    protocol = {"KAFKA_SECURITY_PROTOCOL": "sasl_ssl"}
    assert list(warnings({**protocol, "KAFKA_URL": "a:9092"})) == [
        "KAFKA_SECURITY_PROTOCOL is not a setting and is ignored: begin KAFKA_URL with SASL_SSL://"
    ]
    assert list(warnings({**protocol, "KAFKA_URL": "SASL_SSL://a:9092"})) == []
    assert list(warnings({"SECURITY_PROTOCOL": "PLAINTEXT", "KAFKA_URL": "a:9092"})) == []
