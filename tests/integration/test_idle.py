"""A database that is gone or frozen shows soon, idle or not; connections are limited."""

import asyncio
import threading
import time
from contextlib import ExitStack

import pytest
from sqlalchemy import make_url, text

from db.connection import engine as sessions
from db.connection.engine import POOL_SIZE, connect
from db.write.offsets import OffsetStore
from dev.servers.tcp_relay import RelayThread, TcpRelay
from pipeline.errors import TransientError
from tests.helpers.accounts import dba
from tests.helpers.events import event, offsets_of
from tests.helpers.worker import wait_until


@pytest.mark.parametrize(
    ("take", "give_back"),
    [("kill", "start"), pytest.param("pause", "resume", marks=pytest.mark.slow)],
)
def test_an_idle_worker_without_its_database_is_not_ready(worker, server, take, give_back):
    running = worker(FLUSH_INTERVAL=0.5).wait_ready()
    getattr(server, take)()
    try:
        wait_until(lambda: not running.is_ready(), 10, "not ready")
        assert "the database is away" in running.get("/ready/")["reason"]
        assert running.request("/health/")[0] == 200
    finally:
        getattr(server, give_back)()
    wait_until(running.is_ready, 15, "ready again")
    assert running.exit_code is None


@pytest.mark.parametrize("to", ["3", pytest.param("gone", marks=pytest.mark.slow)])
def test_idle_worker_ends_within_10_s_of_changed_offsets(
    worker, produce, migrated_url, migrated_engine, faust, topic, to
):
    produce([(event(n), 0) for n in range(10)])
    running = worker(FLUSH_INTERVAL=0.3).wait_ready()
    running.wait_stored(migrated_url, 10)
    wait_until(lambda: offsets_of(migrated_url)[0] == 10, 10)
    if to == "gone":
        with dba(migrated_engine).begin() as connection:
            connection.execute(text("DELETE FROM stream_offsets"))
    else:
        faust("offsets", "reset", "--to", to, "--partition", 0, "--yes", "--force")
    assert running.wait(10) == 1
    sentence = f"The stored offset of {topic}/0 is {to}, but the worker continues from 10"
    assert sentence in running.log_text()
    assert "Traceback" not in running.log_text()


@pytest.mark.slow
def test_a_worker_under_load_is_not_ended_by_its_own_writes(worker, produce, migrated_url):
    running = worker(FLUSH_INTERVAL=0.05).wait_ready()
    begun, sent = time.monotonic(), 0
    while time.monotonic() - begun < 20:
        produce([event(sent + n) for n in range(50)])
        sent += 50
    running.wait_stored(migrated_url, sent)
    assert running.terminate() == 0


@pytest.fixture
def frozen(server):
    server.pause()
    yield
    server.resume()


@pytest.fixture
def locked(migrated_engine):
    """It answers questions, and no write."""
    with dba(migrated_engine).connect() as connection:
        connection.exec_driver_sql("SET SESSION wait_timeout = 600")
        connection.exec_driver_sql("LOCK TABLES dead_letters WRITE")
        yield
        connection.exec_driver_sql("UNLOCK TABLES")


@pytest.mark.parametrize("state", [pytest.param("frozen", marks=pytest.mark.slow), "locked"])
def test_unanswered_write_makes_it_unready_within_10_s(worker, produce, request, state):
    running = worker(FLUSH_INTERVAL=0.3).wait_ready()
    produce([b"bad"])
    wait_until(lambda: "Batch 1:" in running.log_text(), 20)
    request.getfixturevalue(state)
    produce([b"bad"])
    wait_until(lambda: not running.is_ready(), 10, "not ready")
    assert "no answer" in running.get("/ready/")["reason"]
    assert "[WARNING] The database is away: no answer" in running.log_text()


@pytest.fixture
def held(server):
    """A way to the database that holds back answers while told to, and counts questions."""

    class Held:
        port = 0
        back = holds = False
        questions = 0

    async def requests(source, target):
        while data := await source.read(65536):
            way.questions += 1
            target.write(data)

    async def responses(source, target):
        while data := await source.read(65536):
            way.holds = way.back
            while way.back:  # noqa: ASYNC110 - set by another thread
                await asyncio.sleep(0.01)
            target.write(data)

    way = Held()
    relay = TcpRelay("127.0.0.1", server.port, lambda: (requests, responses))
    thread = RelayThread(relay)
    thread.start()
    way.port = relay.port
    yield way
    thread.stop()


def test_a_worker_that_slept_does_not_blame_the_database(worker, held, server, migrated_url):
    url = migrated_url.replace(f":{server.port}/", f":{held.port}/")
    running = worker(DATABASE_URL=url, ROLLUP_INTERVAL=0, SESSION_TIMEOUT=60).wait_ready()
    held.back = True
    wait_until(lambda: held.holds, 30, "an answer comes in")
    running.pause()
    held.back = False
    time.sleep(7)  # longer than an answer may take
    running.resume()
    asked = held.questions
    wait_until(lambda: held.questions > asked + 1, 30, "it asks again")
    wait_until(running.is_ready, 10)
    assert "The database" not in running.log_text()


def test_connections_are_bounded_and_further_ones_wait(migrated_url, server, monkeypatch):
    monkeypatch.setattr(sessions, "POOL_TIMEOUT", 2)
    engine = connect(make_url(migrated_url).set(drivername="mysql+pymysql"))
    with ExitStack() as held:
        for _ in range(POOL_SIZE):
            held.enter_context(engine.connect()).execute(text("SELECT 1"))
        with pytest.raises(TransientError, match=r"all connections .* are in use: .* timeout 2"):
            OffsetStore(engine, "g").read("t")
        database = engine.url.database
        count = f"SELECT COUNT(*) FROM information_schema.processlist WHERE db = '{database}'"
        assert server.execute(count) == [(POOL_SIZE,)]
    waiting = [
        threading.Thread(target=OffsetStore(engine, "g").read, args=("t",))
        for _ in range(3 * POOL_SIZE)
    ]
    for one in waiting:
        one.start()
    for one in waiting:
        one.join(30)
    assert not any(one.is_alive() for one in waiting)
    assert server.execute(count) == [(POOL_SIZE,)]
    engine.dispose()
