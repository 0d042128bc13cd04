"""The database with the documented grants only, and in TLS that is verified."""

import re
from pathlib import Path

import pytest

from db.tables import metadata
from local import ROOT
from local.mariadb import MariaDB, SecretURL
from tests.certificates import Authority
from tests.support import rows, wait_until

DOCUMENT = (ROOT / "docs" / "database.md").read_text()
PASSWORD = "database-s3cret-of-the-tests"


def grants(before_or_after: str) -> list[str]:
    """Statements of the document's SQL block that begins so."""
    block = re.search(rf"```sql\n-- {before_or_after}.*?\n(.*?)```", DOCUMENT, re.DOTALL)
    assert block
    return [line.rstrip(";") for line in block[1].splitlines()]


@pytest.fixture(scope="module")
def authority():
    return Authority("the database's")


@pytest.fixture(scope="module")
def mariadb(folder: Path, authority):
    """In place of the session's server: one that takes nobody without TLS."""
    files = folder / "mariadb-tls-files"
    files.mkdir()
    key = authority.issue("mariadb").write(files / "server.pem")
    key.chmod(0o644)  # the server may run as another user
    options = (f"--ssl-cert={key}", f"--ssl-key={key}", "--require-secure-transport=ON")
    with MariaDB(folder / "mariadb-tls", options=options) as running:
        yield running


@pytest.fixture
def migrated_url(database_url):
    """In place of the session's: here the test migrates."""
    return database_url


@pytest.fixture
def account(mariadb, database_url):
    """Makes one of the documented accounts; returns its URL."""
    database = database_url.rpartition("/")[2]

    def make(name: str, block: str) -> SecretURL:
        for statement in grants(block):
            here = statement.replace("shop.", f"`{database}`.").replace("@'%'", "@'127.0.0.1'")
            mariadb.execute(re.sub("'[a-z ]*password'", f"'{PASSWORD}'", here))
        return SecretURL(f"mysql://{name}:{PASSWORD}@127.0.0.1:{mariadb.port}/{database}")

    yield make
    for name in ("shop_migrate", "shop_worker"):
        mariadb.execute(f"DROP USER IF EXISTS '{name}'@'127.0.0.1'")


def test_every_table_has_its_grant():
    granted = set(re.findall(r" ON shop\.(\w+) TO 'shop_worker'", DOCUMENT))
    assert granted == {*metadata.tables, "alembic_version"}


def test_the_documented_grants_are_enough_and_tls_is_verified(
    account, authority, migrate_cli, worker, faust, produce, tmp_path
):
    result = migrate_cli(account("shop_migrate", "Before"))
    assert result.returncode == 0, result.stderr
    url = account("shop_worker", "After")
    produce([b'{"event_id": "e", "user_id": "u", "category": "c", "price": 1}', b"bad"])
    file = tmp_path / "ca.pem"
    file.write_text(authority.pem)
    by_text = worker(DATABASE_URL=url, DATABASE_CA=authority.pem, CONSUMER_GROUP="one")
    by_file = worker(DATABASE_URL=f"{url}?ssl_ca={file}&ssl_verify_cert=true", CONSUMER_GROUP="two")
    wait_until(lambda: len(rows(url)) == 2, 40, "each group stores the event")
    for running in (by_text, by_file):
        assert PASSWORD not in running.log_text()
    settings = {"DATABASE_URL": url, "CONSUMER_GROUP": "one"}
    assert "1 would be refused again" in faust("dead-letters", "replay", "--dry-run", **settings)
    assert "1 deleted" in faust("dead-letters", "purge", **settings)
    assert by_text.terminate() == 0
    faust("offsets", "reset", **settings)


def test_what_is_refused_is_one_sentence(worker, database_url, authority, mariadb, folder):
    other = Authority("another")
    plain_login = database_url.replace("flash_sale:", "flash_sale:x")
    cases = [
        (
            {"DATABASE_CA": other.pem},
            "The database's certificate is not trusted: put the authority that signed it into",
        ),
        ({"DATABASE_URL": f"{database_url}?ssl_verify_cert=true"}, "certificate is not trusted"),
        (
            {
                "DATABASE_URL": database_url.replace("127.0.0.1", "localhost"),
                "DATABASE_CA": authority.pem,
            },
            "certificate is made out to another host: change the host in DATABASE_URL, or add",
        ),
        (
            {"DATABASE_URL": plain_login, "DATABASE_CA": authority.pem},
            "the login is refused: check the user and password in DATABASE_URL",
        ),
    ]
    started = [
        (worker(**{"DATABASE_URL": database_url, **settings}), sentence)
        for settings, sentence in cases
    ]
    for running, sentence in started:
        assert running.wait(60) == 1
        log = running.log_text()
        assert sentence in log, log
        assert "Traceback" not in log
        assert str(database_url).split(":")[2].split("@")[0] not in log


def test_tls_that_is_not_offered_is_one_sentence(worker, authority, folder):
    with MariaDB(folder / "mariadb-plain", options=("--skip-ssl",)) as plain:
        running = worker(DATABASE_URL=plain.create_database("d"), DATABASE_CA=authority.pem)
        assert running.wait(60) == 1
        assert "The database offers no TLS: turn it on there, or drop" in running.log_text()
