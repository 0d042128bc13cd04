"""Real logins at the addresses that people have: sockets, IPv6, odd names and passwords."""

import os
import pwd
import socket
import tempfile
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import pymysql
import pytest
from pymysql.converters import escape_string
from sqlalchemy import make_url, text

from config.settings import Settings
from db.connection.engine import connect, server_version
from dev.servers.tcp_relay import RelayThread, TcpRelay
from pipeline.errors import LoginError
from tests.helpers.accounts import OWNER, WORKER, grants
from tests.helpers.databases import each_server, mysql_only
from tests.helpers.worker import rows, wait_until

ODD = "p@ss/w:#?%41[]&=+; '\"\\é€🔥"
EVENT = b'{"event_id": "e", "user_id": "u", "category": "c"}'


@pytest.fixture
def account(server):
    """Makes an account with the document's rights of another one; returns its part of a URL."""
    made = []

    def make(database, like=WORKER, *, name="o'd@d:us/er", host="localhost", login=None):
        user = f"'{escape_string(name)}'@'{host}'"
        by_password = f"IDENTIFIED BY '{escape_string(ODD)}'"
        server.execute(f"CREATE USER {user} {login or by_password}")
        made.append(user)
        for statement in grants(like):
            here = statement.replace(" ON shop.", f" ON `{database}`.")
            server.execute(here.replace(f"'{like}'@'%'", user))
        return quote(name, safe="") if login else f"{quote(name, safe='')}:{quote(ODD, safe='')}"

    yield make
    for user in made:
        server.execute(f"DROP USER {user}")


@pytest.fixture
def path(server):
    """The server's socket; its own path may be longer than a socket's may be."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        link = Path(folder, "s")
        link.symlink_to(server.socket)
        yield link


@pytest.fixture
def engine():
    """Makes the app's engine for a URL."""
    with ExitStack() as stack:

        def make(url):
            settings = Settings(kafka_url="a:1", DATABASE_URL=url)
            made = connect(settings.database, settings.database_tls)
            stack.callback(made.dispose)
            return made

        yield make


@each_server
def test_worker_writes_through_a_socket(account, path, migrated_url, produce, worker, faust):
    database = make_url(migrated_url).database
    # This account may come through the socket only.
    url = f"mysql://{account(database)}@/{database}?unix_socket={path}"
    said = faust("check", DATABASE_URL=url)
    assert "ok    Database TLS" in said
    assert "not needed for a local socket" in said
    produce([EVENT, b"bad"])
    running = worker(DATABASE_URL=url.replace("@/", "@localhost/"))
    wait_until(lambda: len(rows(migrated_url)) == 1, 40, "the event is stored")
    assert running.terminate() == 0
    log = running.log_text()
    assert f"into {database} at {path}. Settings come" in log
    assert ODD not in log
    assert quote(ODD, safe="") not in log


def test_missing_socket_is_named(worker):
    running = worker(DATABASE_URL="mysql://u:p@/d?unix_socket=/nowhere/s.sock", START_TIMEOUT=0)
    assert running.wait(40) == 1
    sentence = "The database at /nowhere/s.sock does not answer: start it, or change DATABASE_URL"
    assert sentence in running.log_text()
    assert "Traceback" not in running.log_text()


def test_socket_login_needs_no_password(server, account, path, database_url, engine):
    database = make_url(database_url).database
    user = own_name = pwd.getpwuid(os.getuid()).pw_name
    logins = [f"{own_name}@", f"{own_name}:@localhost", ""]
    if server.is_mysql:
        try:
            server.execute("INSTALL PLUGIN auth_socket SONAME 'auth_socket.so'")
        except pymysql.OperationalError as error:
            pytest.skip(f"this server has no logins by socket: {error}")
        login = f"IDENTIFIED WITH auth_socket AS '{own_name}'"
        user = account(database, OWNER, name="by_socket", login=login)
        logins = [f"{user}@", f"{user}:@localhost"]
    elif own_name != "root":  # who has an account there
        account(database, OWNER, name=own_name, login="IDENTIFIED VIA unix_socket")
    for login in logins:
        with engine(f"mysql://{login}/{database}?unix_socket={path}").connect() as connection:
            found = connection.execute(text("SELECT DATABASE(), CURRENT_USER()")).one()
            assert tuple(found) == (database, f"{user}@localhost")


def test_odd_names_and_passwords_log_in(server, account, path, migrate_cli, engine):
    database = "sh/op #1 é"
    server.create_database(database)
    try:
        by_tcp = account(database, OWNER, name="o'd@d:us/er", host="127.0.0.1")
        by_socket = account(database, OWNER, host="localhost")
        name = quote(database, safe="")
        for url in (
            f"mysql2://{by_tcp}@127.0.0.1:{server.port}/{name}",
            f"mariadb+pymysql://{by_socket}@/{name}?unix_socket={path}",
        ):
            result = migrate_cli(url)
            assert result.returncode == 0, result.stdout + result.stderr
            with engine(url).connect() as connection:
                found = connection.execute(text("SELECT DATABASE(), CURRENT_USER()")).one()
                assert found[0] == database
                assert found[1].startswith("o'd@d:us/er@")
    finally:
        server.drop_database(database)


@mysql_only
def test_tls_options_are_respected(server, account, path, database_url, engine):
    database = make_url(database_url).database
    login = account(database, OWNER)
    by_socket = f"mysql://{login}@/{database}?unix_socket={path}"
    for url, encrypted in (
        (str(database_url), True),
        (f"{database_url}?tls=preferred", True),
        (f"{database_url}?sslaccept=accept_invalid_certs", True),
        (f"{database_url}?sslmode=verify-ca&sslca={server.folder / 'data' / 'ca.pem'}", True),
        (f"{database_url}?useSSL=false", False),
        (by_socket, False),
        (f"{by_socket}&ssl_mode=REQUIRED", True),
    ):
        with engine(url).connect() as connection:
            cipher = connection.execute(text("SHOW STATUS LIKE 'Ssl_cipher'")).one()[1]
            assert bool(cipher) is encrypted, url.partition("?")[2]
    # The server has made its certificate itself, which no authority vouches for.
    for options in ("sslaccept=strict", 'ssl={"rejectUnauthorized":true}', "tls=true"):
        with pytest.raises(LoginError, match="The database's certificate is not trusted"):
            server_version(engine(f"{database_url}?{options}"))


def forwards():
    async def forward(source, target):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()

    return forward, forward


@pytest.fixture
def on_ipv6():
    """Makes a port of 127.0.0.1 reachable at ::1; returns the address."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"this machine has no IPv6: {error}")
    with ExitStack() as stack:

        def make(port):
            relay = TcpRelay("127.0.0.1", port, forwards, bind="::1")
            thread = RelayThread(relay)
            thread.start()
            stack.callback(thread.stop)
            return f"[::1]:{relay.port}"

        yield make


@each_server
def test_servers_on_ipv6(on_ipv6, server, broker, migrated_url, produce, worker, faust):
    kafka = on_ipv6(int(broker.bootstrap.rpartition(":")[2]))
    database = on_ipv6(server.port)
    servers = {
        "KAFKA_URL": kafka,
        "DATABASE_URL": migrated_url.replace(f"127.0.0.1:{server.port}", database),
    }
    produce([EVENT])
    assert "::1 is an address" in faust("check", **servers)
    running = worker(**servers)
    wait_until(lambda: len(rows(migrated_url)) == 1, 40, "the event is stored")
    assert running.terminate() == 0
    assert f"of Kafka at {kafka}, as group" in running.log_text()
    assert f" at {database}. Settings come" in running.log_text()
