"""Addresses of servers as people write them, and what is said of those that are refused."""

import re
import ssl
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from config import jaas, urls
from config.database_options import understood
from config.database_tls import database_tls
from config.settings import Settings
from dev import ROOT
from dev.servers.certificates import Authority

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1)


def settings(url: str = "mysql://u:p@db/d", **others: str) -> Settings:
    values: dict[str, Any] = {"kafka_url": "kafka://a:1", "DATABASE_URL": url, **others}
    return Settings(**values)


def parts(url):
    found = urls.database(url)
    return found.username, found.password, found.host, found.port, found.database


@pytest.mark.parametrize(
    "scheme",
    [
        "mysql", "mysql2", "mariadb", "MySQL", "trilogy", "mysql+pymysql", "mariadb+pymysql",
        "mysql+mysqldb", "mysql+mysqlconnector", "mysql+asyncmy", "mysql+aiomysql",
        "mariadb+mariadbconnector",
    ],
)  # fmt: skip
def test_schemes_of_other_programs(scheme):
    url = urls.database(f"{scheme}://u:p@db:3307/shop")
    assert url.render_as_string(hide_password=False) == "mysql+pymysql://u:p@db:3307/shop"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mysql://u:p%40ss%2Fw%3A%23%3F@db/d", ("u", "p@ss/w:#?", "db", None, "d")),
        ("mysql://u:a:b+c%ss@db:1/d\n", ("u", "a:b+c%ss", "db", 1, "d")),
        ("mysql://a%3Ab%40c:p@db/sh%2Fop%20x", ("a:b@c", "p", "db", None, "sh/op x")),
        ("mysql://u:p@[::1]:3306/d", ("u", "p", "::1", 3306, "d")),
        ("mysql://u:p@[2001:db8::7]/d", ("u", "p", "2001:db8::7", None, "d")),
        ("mysql://u:p@[fe80::1%25eth0]/d", ("u", "p", "fe80::1%eth0", None, "d")),
        ("mysql://u@db/d", ("u", None, "db", None, "d")),
    ],
)
def test_parts_of_a_url(url, expected):
    assert parts(url) == expected


@given(NAMES, NAMES, NAMES)
def test_any_login_survives_quoting(user, password, database):
    user, password, database = (quote(text, safe="") for text in (user, password, database))
    for host in ("db", "[::1]"):
        found = urls.database(f"mysql://{user}:{password}@{host}:1/{database}")
        parts = found.username, found.password, found.database
        assert [quote(str(part), safe="") for part in parts] == [user, password, database]
        # As it is handed to the driver.
        assert urls.for_driver(found, encrypts=False) == found


@pytest.mark.parametrize(
    ("url", "socket", "host"),
    [
        ("mysql://u:p@/d?unix_socket=/cloudsql/p:region:i", "/cloudsql/p:region:i", ""),
        ("mysql+pymysql://u:p@localhost/d?unix_socket=/s", "/s", "localhost"),
        ("mysql2://u:p@localhost:3306/d?socket=/s&pool=5", "/s", "localhost"),
        ("mysql://u@/d?unix_socket=%2Fa%20b", "/a b", ""),
        ("mysql:///d?unix_socket=/s", "/s", ""),
    ],
)  # fmt: skip
def test_sockets(url, socket, host):
    made = settings(url)
    assert (made.database.query["unix_socket"], made.database.host) == (socket, host)
    assert made.database_address == socket
    # Encrypted where that is asked for, as by MySQL's clients.
    assert made.database.query["ssl_disabled"] == "true"
    asked = settings(f"{url}&ssl_mode=REQUIRED")
    assert asked.database.query == {"unix_socket": socket}
    assert asked.database_tls is not None


def test_database_address():
    for url, shown in (
        ("mysql://u:p@[::1]/d", "[::1]:3306"),
        ("mysql://u:p@db:1/d", "db:1"),
    ):
        assert settings(url).database_address == shown


VERIFIED, NAMELESS, UNVERIFIED = (
    (ssl.CERT_REQUIRED, True),
    (ssl.CERT_REQUIRED, False),
    (ssl.CERT_NONE, False),
)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        # PlanetScale, Prisma, Node.
        ("sslaccept=strict", VERIFIED),
        ("sslaccept=accept_invalid_certs", UNVERIFIED),
        ('ssl={"rejectUnauthorized":true}', VERIFIED),
        ("ssl=%7B%22rejectUnauthorized%22%3Afalse%7D", UNVERIFIED),
        ('ssl={"minVersion":"TLSv1.2"}', VERIFIED),
        ("ssl=true", VERIFIED),
        # Azure, libpq, MySQL's clients, MariaDB's.
        ("sslmode=require", UNVERIFIED),
        ("sslmode=verify-ca", NAMELESS),
        ("sslmode=verify-full", VERIFIED),
        ("ssl-mode=VERIFY_IDENTITY", VERIFIED),
        ("sslMode=REQUIRED", UNVERIFIED),
        ("ssl_disabled=False&ssl_verify_cert=true", VERIFIED),
        # Go.
        ("tls=true&parseTime=true&loc=Local", VERIFIED),
        ("tls=skip-verify", UNVERIFIED),
        # Java.
        ("useSSL=true", UNVERIFIED),
        ("useSSL=true&requireSSL=true&verifyServerCertificate=true", NAMELESS),
        ("verifyServerCertificate=true", VERIFIED),
        ("useSSL=true&trustServerCertificate=true", UNVERIFIED),
        # Of several the strictest.
        ("sslaccept=strict&ssl_mode=REQUIRED", VERIFIED),
        ("tls=preferred&useSSL=true", UNVERIFIED),
    ],
)
def test_tls_options_of_other_drivers(options, expected):
    context = database_tls(urls.database(f"mysql://u:p@db/d?{options}"), "")
    assert context is not None
    assert (context.verify_mode, context.check_hostname) == expected


@pytest.mark.parametrize(
    "options",
    ["ssl_mode=DISABLED", "sslmode=disable", "tls=false", "useSSL=false", "ssl_disabled=true",
     "ssl=false", "useSSL=false&requireSSL=false&verifyServerCertificate=false"],
)  # fmt: skip
def test_tls_turned_off(options):
    made = settings(f"mysql://u:p@db/d?{options}")
    assert made.database_tls is None
    assert made.database.query == {"ssl_disabled": "true"}


def test_documented_urls_and_options_work():
    page = (ROOT / "docs" / "database.md").read_text()
    addresses = page.partition("## Addresses")[2].partition("\n## ")[0]
    found = re.findall(r"`(\w[\w+]*://\w[^`]*)`", addresses)
    assert len(found) == 5
    for url in found:
        assert urls.database(url).database == "shop"
    table = page.partition("\n## TLS")[2].partition("\n\nCase")[0]
    for name, values in re.findall(r"`(\w+)=([^`…]+)`", table):
        assert understood([(name, values)]), name
    for name in re.findall(r"`(\w+)`", table.partition("| option")[2]):
        assert understood([(name, "/path")]), name


@pytest.mark.parametrize(
    "options",
    [
        "reconnect=true&charset=utf8mb4&encoding=utf8&pool=5&timeout=5000&connect_timeout=10",
        "read_timeout=5&socket_timeout=5&connection_limit=1&parseTime=true&loc=UTC",
        "allowPublicKeyRetrieval=true&serverTimezone=UTC&rewriteBatchedStatements=true",
        "serverVersion=8.0.37&tls=preferred&requireSSL=false&ssl_mode=PREFERRED",
    ],
)
def test_tuning_options_of_other_drivers_are_ignored(options):
    made = settings(f"mysql://u:p@db/d?{options}")
    assert made.database == settings("mysql://u:p@db/d").database
    assert made.database_tls is None


@pytest.mark.parametrize("name", ["sslca", "ssl_ca", "ssl-ca", "sslrootcert", "serverSslCert"])
def test_files_of_other_programs(name, tmp_path):
    authority = Authority("the database's")
    file = tmp_path / "ca.pem"
    file.write_text(authority.pem)
    client = tmp_path / "client.pem"
    authority.issue("client").write(client)
    files = f"{name}={file}&sslcert={client}&sslkey={client}"
    context = settings(f"mysql://u:p@db/d?{files}").database_tls
    assert context is not None
    assert (context.verify_mode, context.check_hostname) == VERIFIED
    assert [one["subject"][0][0][1] for one in context.get_ca_certs()] == ["the database's"]


ENCODE = "must be percent-encoded: write %40 for @"


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("mysql://u:s3@cret@db/d", ENCODE),
        ("mysql://u:s3/cret@db/d", ENCODE),
        ("mysql://u:3/s3cret@db/d", ENCODE),
        ("mysql://u:s3#cret@db/d", ENCODE),
        ("mysql://u:3?s3cret@db/d", ENCODE),
        ("mysql://u:1/d?s3cret=x@db/d", ENCODE),
        ("mysql://u:s3cret@db/d#x", ENCODE),
        ("mysql://u:s3cret@db/d/", "must be mysql://user:password@host:3306/database"),
        ("mysql://u:s3cret@db:0/d", "must be mysql://"),
        ("mysql://u:s3cret@db:65536/d", "must be mysql://"),
        ("mysql://u:s3cret@/d", "must be mysql://"),
        ("mysql://u:s3cret@[db]/d", "must be mysql://"),
        ("mysql://u:s3cret@db", "must be mysql://"),
        ("mysql+oracle://u:s3cret@db/d", "must be mysql://"),
        ("mysql://u:s3cret@::1:3306/d", "put an IPv6 address in brackets, [::1]:3306"),
        ("mysql://u:s3cret@a:1,b:2/d", "names several hosts"),
        ("mysql://u:s3cret@a,b/d?charset=utf8", "names several hosts"),
        ("mysql://u:s3cret@db/d?unix_socket=/s", "has a host and a unix_socket"),
        ("mysql://u:s3cret@/d?unix_socket=s", "unix_socket must be an absolute path"),
        (f"mysql://u:s3cret@/d?socket=/{'x' * 107}", "socket is longer than the 107 bytes"),
        ("mysql://u:s3cret@db/d?ssl_cipher=s3cret", "has an unknown option 'ssl_cipher': remove"),
        ("mysql://u:s3cret@db/d?user=x&password=s3cret", "has an unknown option 'user': remove"),
        ("mysql://u:s3cret@db/d?local_infile=false", "has an unknown option 'local_infile'"),
        ("mysql://u:s3cret@db/d?allowPublicKeyRetrieval=false", "Retrieval must be true"),
        ("mysql://u:s3cret@db/d?sslmode=", "sslmode must be disabled or preferred or required or"),
        ("mysql://u:s3cret@db/d?tls=custom", "tls must be true or false or skip_verify or pref"),
        ("mysql://u:s3cret@db/d?useSSL=yes", "useSSL must be true or false"),
        ("mysql://u:s3cret@db/d?ssl=Amazon+RDS", "ssl must be true, false or {"),
        ('mysql://u:s3cret@db/d?ssl={"ca":"s3cret"}', "put a CA into ssl_ca"),
        ('mysql://u:s3cret@db/d?ssl={"minVersion":"TLSv1.3"}', "must not be newer than TLSv1.2"),
        ('mysql://u:s3cret@db/d?ssl={"rejectUnauthorized":"no"}', "rejectUnauthorized of ssl"),
        ("mysql://u:s3cret@db/d?useSSL=false&sslaccept=strict", "two conflicting options"),
        ("mysql://u:s3cret@db/d?ssl_ca=/a&sslca=/b", "conflicting options, one of them sslca"),
        ("mysql://u:s3cret@db/d?useSSL=false&verifyServerCertificate=true", "turns TLS off"),
        ("mysql://u:s3cret@db/d?sslmode=verify-ca&ssl_verify_cert=false", "another does not"),
    ],
)  # fmt: skip
def test_refusal_never_shows_the_password(url, sentence):
    with pytest.raises(ValueError, match="DATABASE_URL") as refusal:
        settings(url)
    assert sentence in str(refusal.value)
    assert "s3" not in str(refusal.value)
    assert "cret" not in str(refusal.value)


def test_database_ca_needs_tls():
    with pytest.raises(
        ValueError, match="turns TLS off, but another option or DATABASE_CA needs it"
    ):
        settings("mysql://u:p@db/d?ssl_mode=DISABLED", database_ca=Authority("x").pem)


@given(st.text("abc@/?#:[]% ", min_size=1), st.text("abc@/?#:[]% ", min_size=1))
@example(":", "@/:?")
def test_no_refusal_quotes_a_login(user, password):
    said = ""
    try:
        urls.database(f"mysql://{user}:{password}xyzzy@host/shop")
    except ValueError as error:
        said = str(error)
    assert "xyzzy" not in said


@pytest.mark.parametrize(
    ("url", "addresses", "tls"),
    [
        ("host", ["host:9092"], False),
        ("host:9093", ["host:9093"], False),
        ("a:1, b ,c:3", ["a:1", "b:9092", "c:3"], False),
        ("kafka://a:1,b:2,", ["a:1", "b:2"], False),
        ("kafka://a:1/", ["a:1"], False),
        ("PLAINTEXT://a:1,plaintext://b:2", ["a:1", "b:2"], False),
        ("kafka://a:1,PLAINTEXT://b:2", ["a:1", "b:2"], False),
        ("SSL://a:1,kafka+ssl://b", ["a:1", "b:9092"], True),
        ("kafka+ssl://a:9096,kafka+ssl://b:9097\n", ["a:9096", "b:9097"], True),
        ("[::1]", ["[::1]:9092"], False),
        ("SSL://[2001:db8::1]:9093,[::1]:1", ["[2001:db8::1]:9093", "[::1]:1"], True),
    ],
)
def test_brokers(url, addresses, tls):
    assert urls.brokers(url) == urls.Brokers(tuple(addresses), tls)


def test_listener_names_with_a_login():
    login = {"kafka_sasl_mechanism": "PLAIN", "kafka_username": "u", "kafka_password": "s3cret"}
    made = settings(kafka_url="sasl_ssl://a:1,SASL_SSL://b", **login)
    assert made.broker_addresses == ["a:1", "b:9092"]
    assert made.kafka_tls is not None
    with pytest.raises(ValueError, match="needs TLS: begin KAFKA_URL with kafka"):
        settings(kafka_url="a:1", **login)
    with pytest.raises(ValueError, match="set KAFKA_SASL_MECHANISM, KAFKA_USERNAME and KAFKA_PASS"):
        settings(kafka_url="SASL_SSL://a:1")


def test_login_without_tls_needs_a_setting_that_says_so():
    login = {"kafka_sasl_mechanism": "PLAIN", "kafka_username": "u", "kafka_password": "s3cret"}
    for url in ("SASL_PLAINTEXT://a:1,sasl_plaintext://b", "a:1,b:9092"):
        with pytest.raises(ValueError, match="set KAFKA_ALLOW_PLAINTEXT_LOGIN=true if") as refusal:
            settings(kafka_url=url, **login)
        assert "s3cret" not in str(refusal.value)
        made = settings(kafka_url=url, kafka_allow_plaintext_login="true", **login)
        assert (made.broker_addresses, made.kafka_tls) == (["a:1", "b:9092"], None)


OAUTH = {
    "kafka_url": "SASL_SSL://a:1",
    "kafka_sasl_mechanism": "OAUTHBEARER",
    "kafka_username": "app",
    "kafka_password": "s3cret",
    "kafka_oauth_token_url": "https://login/token",
}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"kafka_oauth_token_url": ""}, "needs KAFKA_OAUTH_TOKEN_URL: set it too"),
        ({"kafka_oauth_token_url": "login/token"}, "TOKEN_URL is wrong: it must be https://host"),
        ({"kafka_oauth_token_url": "https://u:s3cret@login"}, "is wrong: it must be https://host"),
        ({"kafka_oauth_token_url": "http://login"}, "sends a secret and needs TLS: begin it with"),
        ({"kafka_username": ""}, "belong together: set all three or none"),
        ({"kafka_oauth_extensions": "auth=s3cret"}, "KAFKA_OAUTH_EXTENSIONS is wrong: it must be"),
        ({"kafka_oauth_extensions": "a_b=c"}, "KAFKA_OAUTH_EXTENSIONS is wrong: it must be"),
        ({"kafka_sasl_mechanism": "PLAIN"}, "needs KAFKA_SASL_MECHANISM=OAUTHBEARER: set it too"),
        (
            {"kafka_sasl_mechanism": "AWS_MSK_IAM"},
            "takes its login from AWS: remove KAFKA_USERNAME and KAFKA_PASSWORD",
        ),
    ],
)
def test_settings_of_a_login_belong_together(change, sentence):
    settings(**OAUTH)
    with pytest.raises(ValueError, match=re.escape(sentence)) as refusal:
        settings(**OAUTH | change)
    assert "s3cret" not in str(refusal.value)


def test_connection_string_of_event_hubs_is_a_password():
    password = (
        "Endpoint=sb://shop.servicebus.windows.net/;SharedAccessKeyName=worker;"
        "SharedAccessKey=s3cret+/=;EntityPath=flash_sale_events"
    )
    login = {"kafka_sasl_mechanism": "PLAIN", "kafka_username": "$ConnectionString"}
    made = settings(
        kafka_url="SASL_SSL://shop.servicebus.windows.net:9093", kafka_password=password, **login
    )
    assert made.kafka_username == "$ConnectionString"
    assert made.kafka_password is not None
    assert made.kafka_password.get_secret_value() == password


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("kafka://a:1,kafka+ssl://b:2", "begin all of them alike"),
        ("a:1,SSL://b:2", "begin all of them alike"),
        ("SASL_SSL://a:1,SSL://b:2", "begin all of them alike"),
        ("SASL_SSL://a:1,SASL_PLAINTEXT://b:2", "begin all of them alike"),
        ("SSL://u:s3cret@a:1", "contains a login: remove it, and set KAFKA_SASL_MECH"),
        ("::1:9092", "put an IPv6 address in brackets"),
        ("[a]:1", "must be host:9092 or kafka://host:9092, or kafka+ssl://host:9093 for TLS"),
        ("http://a:1", "must be host:9092"),
        ("CLIENT://a:1", "must be host:9092"),
        ("a:0", "must be host:9092"),
        ("a:99999", "must be host:9092"),
        ("a:1;b:2", "must be host:9092"),
        (",", "must be host:9092"),
        ("a b", "must be host:9092"),
    ],
)
def test_refused_broker_lists(url, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)) as refusal:
        urls.brokers(url)
    assert "s3cret" not in str(refusal.value)


PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"
EITHER = "SCRAM-SHA-512 (or SCRAM-SHA-256)"
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required"


@pytest.mark.parametrize(
    ("line", "mechanism", "user"),
    [
        (f'{PLAIN} username="app" password="s3cret";', "PLAIN", "app"),
        (f"sasl.jaas.config={PLAIN} password='s3cret' username='app'", "PLAIN", "app"),
        (f"{PLAIN} username=app password=s3cret;", "PLAIN", "app"),
        (f'{SCRAM} username="app" password="s3\\"cret";', EITHER, "app"),
        (f'{PLAIN}\n  password="x username=s3cret"\n  username="app";', "PLAIN", "app"),
        (f'{PLAIN} password="x username=s3cret', "PLAIN", "USER"),
        (f"{PLAIN} serviceName=k;", "PLAIN", "USER"),
    ],
)  # fmt: skip
def test_jaas_line_error_names_the_settings_to_use(line, mechanism, user):
    expected = (
        f"is a JAAS line, which is not supported: set KAFKA_SASL_MECHANISM={mechanism}, "
        f"KAFKA_USERNAME={user} and KAFKA_PASSWORD=PASSWORD instead"
    )
    assert jaas.refusal(line) == expected
    login = {"kafka_sasl_mechanism": "PLAIN", "kafka_username": "u", "kafka_password": "p"}
    for name in ("kafka_url", *login):
        with pytest.raises(ValueError, match=name) as refusal:
            settings(**{"kafka_url": "SSL://a:1", **login, name: line})
        assert expected in str(refusal.value)
        assert "s3" not in str(refusal.value)


@pytest.mark.parametrize(
    ("module", "mechanism"),
    [
        ("org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule", "OAUTHBEARER"),
        ("software.amazon.msk.auth.iam.IAMLoginModule", "AWS_MSK_IAM"),
    ],
)
def test_jaas_line_of_a_token_names_its_settings(module, mechanism):
    found = str(jaas.refusal(f'{module} required clientSecret="s3cret";'))
    assert f"set KAFKA_SASL_MECHANISM={mechanism}" in found
    assert "s3cret" not in found


def test_unsupported_jaas_login_module():
    line = "com.sun.security.auth.module.Krb5LoginModule required;"
    assert "an unsupported login module" in str(jaas.refusal(line))
    assert jaas.refusal("PlainLoginModule") is None


@given(NAMES, NAMES)
def test_jaas_line_error_never_shows_the_password(user, password):
    password = f"xyzzy{password}xyzzy"
    for quoted in (f'"{password}"', f"'{password}'", password):
        for options in (f"username='{user}' password={quoted}", f"password={quoted} username=u"):
            assert "xyzzy" not in str(jaas.refusal(f"{PLAIN} {options};"))
