"""A server that answers is not said to be away, and a login refused for a while ends no worker."""

import re
from itertools import count
from urllib.parse import quote

import pytest

from agents.flash_sales import FLASH_SALES
from checks.database import check_database
from checks.result import CheckResults
from checks.startup import prepare
from config.settings import Settings
from db.connection.engine import connect
from db.schema.preconditions import Preconditions
from pipeline.errors import FatalError
from source.cluster.auth import Cluster
from tests.helpers.accounts import WORKER, grants
from tests.helpers.databases import each_server
from tests.helpers.events import event, ids
from tests.helpers.worker import dead_letters, rows, wait_until

NAME = "rotated"
ACCOUNT = f"'{NAME}'@'127.0.0.1'"


@pytest.fixture
def account(request, server, migrated_url):
    """URL of an account of this test's own, with the rights of workers; its limits may be given."""
    database = migrated_url.rpartition("/")[2]
    limits = getattr(request, "param", "")
    server.execute(f"CREATE USER {ACCOUNT} IDENTIFIED BY 'first-s3cret' {limits}")
    for statement in grants(WORKER):
        here = statement.replace(" ON shop.", f" ON `{database}`.")
        server.execute(here.replace(f"'{WORKER}'@'%'", ACCOUNT))
    yield f"mysql://{NAME}:first-s3cret@127.0.0.1:{server.port}/{database}"
    server.execute(f"DROP USER {ACCOUNT}")


def end_connections(server):
    for (number,) in server.execute(
        f"SELECT ID FROM information_schema.PROCESSLIST WHERE USER = '{NAME}'"
    ):
        server.execute(f"KILL {number}")


@each_server
def test_worker_outlives_a_changed_password(server, worker, produce, account, migrated_url):
    running = worker(DATABASE_URL=account, FLUSH_INTERVAL=0.3).wait_ready()
    server.execute(f"ALTER USER {ACCOUNT} IDENTIFIED BY 'other-s3cret'")
    end_connections(server)
    produce([event(n) for n in range(100)])
    wait_until(lambda: not running.is_ready(), 20)
    wait_until(lambda: "login is refused" in running.get("/ready/").get("reason", ""), 20)
    reason = running.get("/ready/")["reason"]
    assert reason.startswith("the database cannot be used: MySQL error 1045: ")
    assert running.request("/health/")[0] == 200
    server.execute(f"ALTER USER {ACCOUNT} IDENTIFIED BY 'first-s3cret'")
    wait_until(lambda: len(rows(migrated_url)) == 100, 30)
    wait_until(running.is_ready, 20)
    log = running.log_text()
    assert "s3cret" not in log
    assert "cannot be stored" not in log
    assert "away" not in log


@each_server
def test_rotated_password_in_a_file_is_taken(
    server, worker, produce, account, migrated_url, tmp_path
):
    file, new = tmp_path / "url", tmp_path / "new"
    file.write_text(f"{account}\n")
    running = worker(DATABASE_URL="", DATABASE_URL_FILE=file, FLUSH_INTERVAL=0.3).wait_ready()
    for number, password in enumerate(("other-s3cret", "thïrd-s3cret")):
        server.execute(f"ALTER USER {ACCOUNT} IDENTIFIED BY '{password}'")
        end_connections(server)
        produce([event(n) for n in range(100 * number, 100 * number + 100)])
        new.write_text(account.replace("first-s3cret", quote(password)))
        new.rename(file)
        running.wait_stored(migrated_url, 100 * number + 100)
    assert ids(migrated_url) == sorted(f"e{n}" for n in range(200))
    wait_until(running.is_ready, 20)
    log = running.log_text()
    assert "New connections use the new text of DATABASE_URL_FILE." in log
    assert "s3cret" not in log
    assert running.terminate() == 0


@each_server
def test_account_limit_blames_no_event(server, worker, produce, account, migrated_url):
    running = worker(DATABASE_URL=account, FLUSH_INTERVAL=0.3).wait_ready()
    server.execute(f"ALTER USER {ACCOUNT} WITH MAX_UPDATES_PER_HOUR 1")
    end_connections(server)
    produce([event(n) for n in range(100)])
    wait_until(lambda: "has exceeded the" in running.get("/ready/").get("reason", ""), 20)
    assert "the database cannot be used: MySQL error 1226" in running.get("/ready/")["reason"]
    server.execute(f"ALTER USER {ACCOUNT} WITH MAX_UPDATES_PER_HOUR 0")
    end_connections(server)
    wait_until(lambda: len(rows(migrated_url)) == 100, 30)
    wait_until(running.is_ready, 20)
    assert "cannot be stored" not in running.log_text()


@each_server
@pytest.mark.parametrize("account", ["WITH MAX_QUERIES_PER_HOUR 150"], indirect=True)
def test_used_up_queries_are_an_outage(server, worker, produce, account, migrated_url):
    """Each statement counts, so it may end anywhere in a write, at COMMIT or ROLLBACK, too."""
    running = worker(DATABASE_URL=account, FLUSH_INTERVAL=0.3).wait_ready()
    sent = count()

    def reason():
        produce([event(next(sent)) for _ in range(20)])
        return running.get("/ready/").get("reason", "")

    wait_until(lambda: "cannot be used: MySQL error 1226" in reason(), 40)
    assert ids(migrated_url), "some were stored before"
    wait_until(lambda: len(waits(running)) >= 5, 30)
    for place, seconds in enumerate(waits(running)):
        assert seconds >= min(10, 0.2 * 2**place) - 0.05, "the pauses double"
    assert running.request("/health/")[0] == 200
    server.execute(f"ALTER USER {ACCOUNT} WITH MAX_QUERIES_PER_HOUR 0")
    end_connections(server)
    everything = sorted(f"e{n}" for n in range(next(sent)))
    wait_until(lambda: ids(migrated_url) == everything, 30)
    wait_until(running.is_ready, 20)
    assert dead_letters(migrated_url) == []
    for words in ("cannot be stored", "bisecting", "away"):
        assert words not in running.log_text()


def waits(running):
    """Seconds between attempts, of each so far."""
    return [float(one) for one in re.findall(r"retrying in ([\d.]+) s: .*1226", running.log_text())]


async def test_account_limit_is_not_reported_as_no_answer(server, account):
    server.execute(f"ALTER USER {ACCOUNT} WITH MAX_QUERIES_PER_HOUR 1")
    settings = Settings(DATABASE_URL=account, kafka_url="kafka://127.0.0.1:9")
    engine = connect(settings.database)
    results = CheckResults()
    check_database(engine, FLASH_SALES, results)
    [found] = [one for one in results.all if one.subject == "Database"]
    assert "MySQL error 1226: User 'rotated' has exceeded the" in found.found
    assert found.hint == "raise the limit, or wait until the hour is over"
    preconditions = Preconditions(engine, deduplicate=False)
    cluster = Cluster.of(settings)
    with pytest.raises(FatalError) as refusal:
        await prepare(settings, cluster, "t", engine, preconditions, None)  # type: ignore[arg-type]
    assert f"127.0.0.1:{server.port} answers, but cannot be used: MySQL error" in str(refusal.value)
    assert "raise the limit" in str(refusal.value)
    engine.dispose()
