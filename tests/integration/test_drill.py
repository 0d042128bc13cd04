"""A drill for those on call: ten troubles, and what `status --check`, `/ready/`, the page say."""

import json
import subprocess
import threading
from typing import NamedTuple

import pytest
from sqlalchemy import text

from dev import ROOT
from dev.servers.database.accounts import OWNER, WORKER, grant
from tests.helpers.accounts import dba
from tests.helpers.databases import each_server_slow
from tests.helpers.events import event, ids, names
from tests.helpers.relayed import TroubledKafka
from tests.helpers.small_disk import small_disk
from tests.helpers.wire import batch, send
from tests.helpers.worker import FAUST, dead_letters, environment, rows, wait_until

pytestmark = [pytest.mark.usefixtures("apache"), pytest.mark.slow, pytest.mark.timeout(300)]

FINE, ATTENTION, BROKEN = 0, 1, 2
ACCOUNT = f"'{WORKER}'@'127.0.0.1'"


class Probe(NamedTuple):
    """The exit status of `status --check`, and its line."""

    status: int
    line: str


@pytest.fixture
def probe(its_settings):
    """Runs `status --check`."""

    def run(*options: str, **settings: object) -> Probe:
        done = subprocess.run(
            [*FAUST, "status", "--check", *options],
            cwd=ROOT,
            env=environment(**{**its_settings, "START_TIMEOUT": 0, **settings}),
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.stdout.count("\n") == 1, done.stdout + done.stderr
        return Probe(done.returncode, done.stdout)

    return run


def shown(running):
    """Why the worker is not ready, by `/ready/`; the page soon says the same."""
    status, body = running.request("/ready/")
    reason = json.loads(body).get("reason")
    assert (status == 200) == (reason is None)
    wait_until(lambda: (running.get("/dashboard/data/")["ready"] is None) == running.is_ready(), 10)
    return reason


@pytest.fixture
def flowing(worker, produce, migrated_url):
    """A worker that has stored ten events."""
    running = worker(FLUSH_INTERVAL=0.3, SESSION_TIMEOUT=6, START_TIMEOUT=0).wait_ready()
    produce([event(n) for n in range(10)])
    running.wait_stored(migrated_url, 10)
    return running


def test_nothing_is_wrong(flowing, probe):
    wait_until(lambda: probe().status == FINE, 30, "all is fine")
    assert probe().line.startswith("OK: ")
    assert shown(flowing) is None


def test_bad_deploy(flowing, worker, produce, probe):
    assert flowing.terminate() == 0
    broken = worker(FLUSH_INTERVAL="soon")
    assert broken.wait(30) == 2
    assert broken.log_text().splitlines()[-1].startswith("FLUSH_INTERVAL is wrong: ")
    produce([event(n) for n in range(10, 15)])
    found = probe()
    assert found.status == BROKEN
    assert "No worker is in the group, and 5 events are waiting." in found.line


def test_database_away(flowing, server, produce, probe, migrated_url):
    server.kill()
    try:
        wait_until(lambda: "database" in (shown(flowing) or ""), 20, "not ready")
        found = probe()
        assert found.status == BROKEN
        assert "connect to MySQL server" in found.line
        assert "waiting=U" in found.line
    finally:
        server.start()
    produce([event(n) for n in range(10, 20)])
    flowing.wait_stored(migrated_url, 20)
    wait_until(lambda: shown(flowing) is None, 20, "ready")


@pytest.fixture
def disk(folder, server):
    """A database server of its own, whose disk can be filled."""
    with small_disk(folder / "disk", server) as disk:
        yield disk


@each_server_slow
def test_full_disk(worker, produce, probe, disk, migrate_cli):
    disk.server.create_database("shop")
    assert migrate_cli(grant(disk.server, OWNER, "shop")).returncode == 0
    url = grant(disk.server, WORKER, "shop")
    running = worker(DATABASE_URL=url, FLUSH_INTERVAL=0.3, START_TIMEOUT=0).wait_ready()
    produce([event(n) for n in range(10)])
    running.wait_stored(url, 10)
    disk.fill()
    produce([event(n) for n in range(10, 20_000)])
    wait_until(lambda: "is full" in (shown(running) or ""), 30, "not ready")
    # The server may answer queries all the same; its worker says why it stores nothing.
    wait_until(lambda: probe(DATABASE_URL=url).status == BROKEN, 120, "broken")
    assert "full" in probe(DATABASE_URL=url).line
    assert len(rows(url)) == 10
    disk.free()
    running.wait_stored(url, 20_000)
    assert ids(url) == names(range(20_000))
    assert dead_letters(url) == []
    wait_until(lambda: shown(running) is None, 20, "ready")
    wait_until(lambda: probe(DATABASE_URL=url).status == FINE, 30, "all is fine")


def test_lag(flowing, produce, probe):
    flowing.pause()
    try:
        produce([event(n) for n in range(10, 30)])
        assert probe("--waiting", "5").status == ATTENTION
        found = probe("--broken-waiting", "10")
        assert found.status == BROKEN
        # A worker that sleeps through its session is no longer in the group.
        late = "20 events are waiting, more than 10."
        absent = "No worker is in the group, and 20 events are waiting."
        assert late in found.line or absent in found.line
    finally:
        flowing.resume()


def test_revoked_grant(flowing, server, produce, probe, migrated_url):
    database = migrated_url.rpartition("/")[2]
    server.execute(f"REVOKE INSERT ON `{database}`.flash_sale_events FROM {ACCOUNT}")
    produce([event(n) for n in range(10, 15)])
    assert flowing.wait(60) == 1
    sentence = flowing.log_text().splitlines()[-1]
    assert "INSERT" in sentence
    assert "flash_sale_events" in sentence
    found = probe()
    assert found.status == BROKEN
    assert "5 events are waiting" in found.line


def test_recreated_topic(flowing, broker, topic, probe):
    broker.delete_topic(topic)
    broker.create_topic(topic)
    assert flowing.wait(90) == 1
    found = probe()
    assert found.status == BROKEN
    assert "recreated" in found.line


def test_poison_row(flowing, produce, probe, migrated_url):
    produce([b'{"event_id":"long","user_id":"' + b"u" * 300 + b'","category":"c"}'])
    flowing.wait_stored(migrated_url, 11)
    wait_until(lambda: "dead letters" in probe().line, 30, "a dead letter")
    found = probe()
    assert found.status == ATTENTION
    assert "1 dead letters are not replayed." in found.line
    assert shown(flowing) is None


def test_dead_broker(worker, topic, tmp_path, probe, migrated_url):
    with TroubledKafka(tmp_path / "broker") as kafka:
        kafka.create_topic(topic)
        running = worker(KAFKA_URL=kafka.url, SESSION_TIMEOUT=10).wait_ready()
        send(kafka, topic, {0: batch(map(event, range(10)))})
        running.wait_stored(migrated_url, 10)
        kafka.kill()
        wait_until(lambda: "Kafka" in (shown(running) or ""), 30, "not ready")
        found = probe(KAFKA_URL=kafka.url)
        assert found.status == BROKEN
        assert "Kafka" in found.line


def test_wrong_password(flowing, probe, its_settings):
    wrong = str(its_settings["DATABASE_URL"]).replace(f"{WORKER}:", f"{WORKER}:not")
    found = probe(DATABASE_URL=wrong)
    assert found.status == BROKEN
    assert "password" in found.line
    assert shown(flowing) is None


class Traffic(threading.Thread):
    """Sends events, numbered from ``sent`` on, until it is stopped."""

    def __init__(self, produce, sent):
        super().__init__()
        self.sent = sent
        self._produce = produce
        self._stopped = threading.Event()

    def run(self):
        while not self._stopped.wait(0.02):
            self._produce([event(n) for n in range(self.sent, self.sent + 100)])
            self.sent += 100

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._stopped.set()
        self.join()


def test_purge_under_load(flowing, produce, faust, probe, migrated_engine, migrated_url):
    old = 3_000
    produce([event(n) for n in range(10, old)] + [b"bad"] * 20)
    flowing.wait_stored(migrated_url, old + 20)
    with dba(migrated_engine).begin() as connection:
        # A month passes.
        for statement in (
            "UPDATE growth SET noted_at = noted_at - INTERVAL 31 DAY",
            "INSERT INTO growth SELECT CURRENT_TIMESTAMP(3) - INTERVAL 31 DAY, MAX(id), '{}'"
            " FROM flash_sale_events",
            "UPDATE dead_letters SET created_at = created_at - INTERVAL 31 DAY",
        ):
            connection.execute(text(statement))
    with Traffic(produce, old) as traffic:
        # What is not in the sums is kept.
        wait_until(lambda: summed(migrated_engine) > old, 60, "summed")
        before = traffic.sent
        purged = faust("purge", "events", "--older-than", "30d", "--yes")
        assert f"{old} events stored before" in purged.splitlines()[-1]
        assert "20 dead letters" in faust("purge", "dead-letters", "--older-than", "30d", "--yes")
        assert traffic.sent > before
    wait_until(lambda: len(rows(migrated_url)) >= traffic.sent - old, 60, "all stored")
    assert ids(migrated_url) == names(range(old, traffic.sent))
    assert dead_letters(migrated_url) == []
    assert shown(flowing) is None
    wait_until(lambda: probe().status == FINE, 30, "all is fine")


def summed(engine):
    """How many events both kinds of sums have."""
    with engine.connect() as connection:
        return connection.scalar(
            text("SELECT LEAST(last_id, category_last_id) FROM rollup_state WHERE id = 1")
        )
