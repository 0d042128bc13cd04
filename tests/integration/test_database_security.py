"""The database with the documented grants only, and in TLS that is verified."""

import re
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from agents.flash_sales import FLASH_SALES
from checks.database import rehearse
from config.load import load
from config.settings import Settings
from db.connection.engine import connect, server_version
from db.dead_letters.query import DeadLetters, Filter
from db.dead_letters.replay import Replayer
from db.rollup.rounds import Rollup
from db.rollup.watermark import join
from db.schema.tables import metadata
from db.write.offsets import OffsetStore
from dev.servers.certificates import Authority
from dev.servers.database import private_server
from pipeline.errors import FatalError, LoginError
from pipeline.partition import Partition
from tests.helpers.accounts import OWNER, WORKER, grant, grants, make_accounts
from tests.helpers.databases import each_server, each_server_slow, require
from tests.helpers.events import event, ids
from tests.helpers.sums import settle
from tests.helpers.worker import dead_letters, rows, wait_until


@pytest.fixture(scope="module")
def authority():
    return Authority("the database's")


@pytest.fixture(scope="module")
def server(request, folder, authority):
    """In place of the session's server: one that takes nobody without TLS."""
    require(request.param)
    files = folder / f"{request.param}-tls-files"
    files.mkdir(exist_ok=True)
    key = authority.issue("database").write(files / "server.pem")
    key.chmod(0o644)  # the server may run as another user
    ca = files / "ca.pem"
    ca.write_text(authority.pem)
    options = tuple(
        f"--ssl-{what}={file}" for what, file in (("cert", key), ("key", key), ("ca", ca))
    )
    options += ("--require-secure-transport=ON",)
    with private_server(folder / f"{request.param}-tls", request.param, options=options) as running:
        make_accounts(running)
        yield running


@pytest.fixture
def migrated_url(database_url):
    """In place of the session's: here the test migrates."""
    return database_url


def test_every_table_has_its_grant():
    granted = set(re.findall(r" ON shop\.(\w+) TO", "\n".join(grants(WORKER))))
    assert granted == {*metadata.tables, "alembic_version"}


@each_server
def test_the_documented_grants_are_enough_and_tls_is_verified(
    server, database_url, authority, migrate_cli, worker, produce, topic, tmp_path
):
    result = migrate_cli(database_url)
    assert result.returncode == 0, result.stderr
    url = grant(server, WORKER, database_url.rpartition("/")[2])
    produce([b'{"event_id": "e", "user_id": "u", "category": "c", "price": 1}', b"bad"])
    running = worker(DATABASE_URL=url, DATABASE_CA=authority.pem, CONSUMER_GROUP="one")
    wait_until(lambda: len(rows(url)) == 1, 40, "the event is stored")
    assert running.terminate() == 0
    assert server.password() not in running.log_text()

    # The commands do no more than this; the authority is in a file this time.
    file = tmp_path / "ca.pem"
    file.write_text(authority.pem)
    with made(f"{url}?ssl_ca={file}&ssl_verify_cert=true") as engine:
        assert Replayer(engine, "one", FLASH_SALES, announce=join).replay(Filter()).stored == 0
        assert DeadLetters(engine, "one").purge(Filter()) == 1
        OffsetStore(engine, "one").set({Partition(topic, 0): 0})
        rehearse(engine, FLASH_SALES)
        sums = Rollup(engine, 0)
        sums.rebuild()
        settle(engine)
        assert sums.purge(datetime(2038, 1, 1)) == (0, 0, 0)


@each_server
def test_what_is_refused_is_one_sentence(server, database_url, authority, worker, tmp_path):
    other = Authority("another").pem
    wrong_login = database_url.replace(f"{OWNER}:", f"{OWNER}:x")
    local = database_url.replace("127.0.0.1", "localhost")
    elsewhere = "certificate is issued to another host: change the host in DATABASE_URL, or add"
    cases = [
        (f"{database_url}?ssl_verify_cert=true", "", "certificate is not trusted: put the CA that"),
        (local, authority.pem, elsewhere),
        (wrong_login, authority.pem, "the login is refused: check the user and password in"),
    ]
    for url, trusted, sentence in cases:
        with made(url, trusted) as engine, pytest.raises((FatalError, LoginError)) as refusal:
            server_version(engine)
        assert sentence in str(refusal.value)
    with made(f"{local}?ssl_verify_identity=false", authority.pem) as engine:
        server_version(engine)
    without = "--tls-version=" if server.is_mysql else "--skip-ssl"
    with (
        type(server)(tmp_path / "plain", server.installation, options=(without,)) as plain,
        made(plain.create_database("d"), authority.pem) as engine,
        pytest.raises(LoginError, match="The database offers no TLS: turn it on there, or"),
    ):
        server_version(engine)

    running = worker(DATABASE_URL=database_url, DATABASE_CA=other)
    assert running.wait(60) == 1
    log = running.log_text()
    assert "CRITICAL] The database's certificate is not trusted: put the CA" in log
    assert "Traceback" not in log
    assert str(database_url).split(":")[2].split("@")[0] not in log


@each_server
def test_changed_authority_in_a_file_is_taken(
    server, database_url, authority, monkeypatch, tmp_path
):
    file, other = tmp_path / "ca.pem", Authority("another")
    file.write_text(authority.pem)
    by_setting = {"DATABASE_URL": database_url, "DATABASE_CA_FILE": str(file)}
    by_option = {"DATABASE_URL": f"{database_url}?ssl_ca={file}", "DATABASE_CA_FILE": ""}
    for way in (by_setting, by_option):
        for name, value in {"KAFKA_URL": "kafka://h:9", "ENV_FILE": "/dev/null", **way}.items():
            monkeypatch.setenv(name, value)
        settings = load()
        engine = connect(settings.database, settings.database_tls, newest=settings.newest_database)
        server_version(engine)
        file.write_text(other.pem)
        server_version(engine)  # by the connection that is there
        engine.dispose()
        with pytest.raises(LoginError, match="certificate is not trusted"):
            server_version(engine)
        file.write_text(authority.pem)
        server_version(engine)
        engine.dispose()


@pytest.fixture
def certify(server, authority):
    """Gives the server a certificate of another authority, and ends all connections."""

    def change(issuer):
        files = Path(f"{server.folder}-files")
        issuer.issue("database").write(files / "server.pem")
        (files / "ca.pem").write_text(issuer.pem)
        server.execute("ALTER INSTANCE RELOAD TLS" if server.is_mysql else "FLUSH SSL")
        sessions = f"SELECT ID FROM information_schema.PROCESSLIST WHERE USER = '{WORKER}'"
        for (number,) in server.execute(sessions):
            server.execute(f"KILL {number}")

    yield change
    change(authority)


@pytest.mark.slow
@each_server_slow
def test_certificates_change_under_a_running_worker(
    server, database_url, authority, certify, migrate_cli, worker, produce, tmp_path
):
    assert migrate_cli(database_url).returncode == 0
    url = grant(server, WORKER, database_url.rpartition("/")[2])
    file, new = tmp_path / "ca.pem", tmp_path / "new"
    file.write_text(authority.pem)
    running = worker(DATABASE_URL=url, DATABASE_CA_FILE=file, FLUSH_INTERVAL=0.3).wait_ready()
    for number in range(3):
        produce([event(n) for n in range(100 * number, 100 * number + 100)])
        running.wait_stored(url, 100 * number + 100)
        following = Authority(f"number {number}")
        certify(following)
        produce([b"bad"])
        wait_until(lambda: "not trusted" in running.get("/ready/").get("reason", ""), 20)
        new.write_text(following.pem)
        new.rename(file)
        wait_until(running.is_ready, 30, "ready again")
    running.wait_stored(url, 303)
    assert ids(url) == sorted(f"e{n}" for n in range(300))
    assert len(dead_letters(url)) == 3
    assert running.terminate() == 0
    log = running.log_text()
    assert "Traceback" not in log
    assert "CERTIFICATE_VERIFY_FAILED" not in log, "it is a sentence"


@contextmanager
def made(url, trusted=""):
    """The app's engine with these settings."""
    settings = Settings(kafka_url="kafka://h:9", DATABASE_URL=url, database_ca=trusted)
    engine = connect(settings.database, settings.database_tls)
    yield engine
    engine.dispose()
