"""From Kafka to MySQL and back: what the analysts get, and what the operators see."""

import time
from datetime import datetime, timedelta

from sqlalchemy import text

from config.version import VERSION
from db.schema.sales_tables import ROW_COLUMNS
from dev.servers.processes import free_port
from models.fields import ROW_NAMES
from models.rules import transform
from tests.chaos.proxy import Proxy
from tests.contract.fuzz import values
from tests.contract.test_cases import FLOATS, assert_same_row, load, row_of, value
from tests.helpers.accounts import OWNER, WORKER, grant
from tests.helpers.databases import each_server, each_server_slow
from tests.helpers.events import event, stored
from tests.helpers.worker import dead_letters, rows, stored_offsets, wait_until


def whole_rows(engine):
    """Rows with every digit: MySQL shows six of a FLOAT, unless it is computed with."""
    columns = ", ".join(
        f"{name} + 0E0 AS {name}" if name in FLOATS else name for name in ROW_COLUMNS
    )
    with engine.connect() as connection:
        found = connection.execute(text(f"SELECT {columns} FROM flash_sale_events ORDER BY id"))
        return [dict(row) for row in found.mappings()]


def row_on(engine, case):
    """The row of a case as this kind of server stores it: MySQL rounds, MariaDB cuts."""
    row = row_of(case)
    transformed = transform(value(case))
    assert isinstance(transformed, tuple)
    ts = transformed[0][ROW_NAMES.index("ts")]
    if engine.dialect.is_mariadb or not ts or float(f"0{ts[19:]}") < 0.5:
        return row
    return row | {"ts": str(datetime.fromisoformat(row["ts"]) + timedelta(seconds=1))}


def assert_contract(cases, url, engine):
    """Rows and dead letters are those of the cases, sent to partition 0 with number as key."""
    found = whole_rows(engine)
    expected = [row_on(engine, case) for case in cases if case["expect"] == "row"]
    assert len(found) == len(expected)
    for one, row in zip(found, expected, strict=True):
        assert_same_row({**one, "ts": one["ts"] and str(one["ts"])}, row)

    letters = {int(letter["kafka_key"]): letter for letter in dead_letters(url)}
    wanted = {n: c for n, c in enumerate(cases) if c["expect"] == "dead_letter"}
    assert letters.keys() == wanted.keys()
    for number, case in wanted.items():
        assert letters[number]["reason"] == case["reason"], case["case"]
        assert letters[number]["value"] == value(case), "as it came"
        assert letters[number]["kafka_offset"] == number


@each_server
def test_the_contract_holds_end_to_end(worker, produce, migrated_url, migrated_engine):
    cases = load()
    produce([(value(case), 0, str(n).encode()) for n, case in enumerate(cases)])
    worker().wait_ready()
    wait_until(lambda: stored(migrated_url) >= len(cases), 30)
    assert_contract(cases, migrated_url, migrated_engine)


@each_server_slow
def test_the_contract_holds_under_faults(worker, produce, migrated_url, migrated_engine, server):
    cases = load()
    settings = {"FLUSH_INTERVAL": 0.2, "FLUSH_MAX_EVENTS": 20}
    with Proxy(server.port) as proxy:
        settings["DATABASE_URL"] = migrated_url.replace(f":{server.port}/", f":{proxy.port}/")
        for start in range(0, len(cases), 600):
            running = worker(**settings).wait_ready()
            part = cases[start : start + 600]
            produce([(value(case), 0, str(start + n).encode()) for n, case in enumerate(part)])
            proxy.lost_commits = 1
            # Of each packet: a write of these small batches has about 30.
            proxy.cut_share = 0.02
            wait_until(lambda: stored(migrated_url) > start, 40)  # noqa: B023 - called at once
            proxy.cut_share = 0
            running.kill()
        worker(**settings)
        wait_until(lambda: stored(migrated_url) >= len(cases), 40)
        assert proxy.cuts >= 3
    assert_contract(cases, migrated_url, migrated_engine)


@each_server_slow
def test_the_database_takes_every_row_the_rules_let_pass(worker, produce, migrated_url):
    count = 20_000
    fuzz = values(seed=7)
    produce([next(fuzz) for _ in range(count)])
    worker(BREAKER_SHARE=0).wait_ready()
    wait_until(lambda: stored(migrated_url) >= count, 60)
    letters = dead_letters(migrated_url)
    assert len(rows(migrated_url)) + len(letters) == count
    assert not [letter for letter in letters if "the database says" in letter["detail"]]


def test_first_row_within_10_s_and_others_within_the_interval(worker, produce, migrated_url):
    produce([event(0)])
    started = time.monotonic()
    running = worker(FLUSH_INTERVAL=5)
    wait_until(lambda: rows(migrated_url), 10 - (time.monotonic() - started), "the first row")
    running.wait_ready()
    produce([event(1)])
    wait_until(lambda: len(rows(migrated_url)) == 2, 6, "a row within the interval and a second")


def test_what_the_pages_say(worker, produce, migrated_url, topic):
    running = worker().wait_ready()
    produce([(event(0, user_id=None, price="x"), 0), (event(1), 0), (b"bad", 1), (b"{}", 1)])
    wait_until(lambda: stored(migrated_url) == 4, 20)
    wait_until(lambda: running.get("/batches/")["events"] == 4, 5)
    wait_until(lambda: all(p["lag"] == 0 for p in running.get("/batches/")["partitions"]), 10)
    page = running.get("/batches/")
    assert page["version"] == VERSION
    assert page["valid"] == 2
    assert page["dropped"] == {"malformed": 1, "invalid": 1, "unstorable": 0}
    assert page["filled"] == {"user_id": 1, "price": 1}
    assert page["repaired"] == {"price": {"mistyped": 1}}
    assert page["revenue"] == 6.0
    assert page["buffered"] == 0
    assert page["last_batch"]["valid"] <= 2
    assert {(p["topic"], p["partition"]): p["committed_offset"] for p in page["partitions"]} == {
        (topic, 0): 2,
        (topic, 1): 2,
        (topic, 2): 0,
        (topic, 3): 0,
    }
    status, metrics = running.request("/metrics")
    assert status == 200
    assert 'etl_events_total{outcome="stored"} 2.0' in metrics
    assert 'etl_events_total{outcome="malformed"} 1.0' in metrics
    assert 'etl_repaired_values_total{field="price",kind="mistyped"} 1.0' in metrics
    assert f'etl_lag_events{{partition="0",topic="{topic}"}} 0.0' in metrics
    assert running.request("/health/")[0] == 200


def test_pages_that_show_topology_or_tables_are_off(worker):
    running = worker().wait_ready()
    for path in ("/router/", "/table/", "/tables/", "/graph/", "/stats/", "/performance/"):
        assert running.request(path)[0] == 404, path


def test_an_empty_interval_writes_nothing(worker, migrated_url):
    running = worker(FLUSH_INTERVAL=0.2).wait_ready()
    wait_until(lambda: running.get("/batches/")["empty_flushes"] > 3, 10)
    assert running.get("/batches/")["batches"] == 0


def test_group_starting_at_the_end_misses_no_later_event(worker, produce, migrated_url):
    produce([event(0)])
    first = worker(STARTING_OFFSETS="latest", FLUSH_INTERVAL=3600).wait_ready()
    first.wait_first_flush()
    produce([event(1)])
    first.kill()
    produce([event(2)])
    worker(STARTING_OFFSETS="latest").wait_ready()
    wait_until(lambda: len(rows(migrated_url)) == 2, 20)
    assert {row["event_id"] for row in rows(migrated_url)} == {"e1", "e2"}


def test_the_last_batch_is_written_at_sigterm(worker, produce, migrated_url, topic):
    running = worker(FLUSH_INTERVAL=3600).wait_ready()
    running.wait_first_flush()
    produce([event(n) for n in range(100)])
    wait_until(lambda: running.get("/batches/")["buffered"] == 100, 20)
    assert rows(migrated_url) == []
    started = time.monotonic()
    assert running.terminate() == 0
    assert time.monotonic() - started < 10
    assert len(rows(migrated_url)) == 100
    assert sum(stored_offsets(migrated_url).values()) == 100
    assert "Batch 1: 100 valid rows written, 0 dropped, 0 repaired" in running.log_text()


def test_two_groups_in_one_database_do_not_disturb_each_other(worker, produce, migrated_url):
    produce([event(n) for n in range(50)])
    worker(CONSUMER_GROUP="one").wait_ready()
    worker(CONSUMER_GROUP="two").wait_ready()
    wait_until(lambda: len(rows(migrated_url)) == 100, 20)
    assert {group for group, _, _ in stored_offsets(migrated_url)} == {"one", "two"}


def assert_ends_with(running, status, sentence):
    assert running.wait(30) == status
    log = running.log_text()
    assert sentence in log
    assert "Traceback" not in log


@each_server_slow
def test_what_is_missing_at_the_start_is_one_sentence(worker, migrated_url, server):
    port = free_port()
    secret = server.url("x").split(":")[2].split("@")[0]
    server.create_database("empty")
    empty = grant(server, OWNER, "empty")
    nothing = f"mysql://u:{secret}@127.0.0.1:{port}/d"
    cases = [
        (
            worker(DATABASE_URL=nothing, START_TIMEOUT=0),
            f"127.0.0.1:{port} does not answer: start it, or change",
        ),
        (worker(DATABASE_URL=empty), "run `faust -A app migrate`"),
        (
            worker(DATABASE_URL=server.url("nowhere")),
            "the database nowhere does not exist: create it, or change",
        ),
        (
            worker(DATABASE_URL=migrated_url.replace(f"{WORKER}:", f"{WORKER}:x")),
            "the login is refused: check the user and password in DATABASE_URL",
        ),
        (
            worker(KAFKA_URL=f"kafka://127.0.0.1:{port}", START_TIMEOUT=0),
            "start it, or change KAFKA_URL",
        ),
    ]
    for running, sentence in cases:
        assert_ends_with(running, 1, sentence)
        assert secret not in running.log_text()


def test_a_missing_topic_is_one_sentence(worker):
    assert_ends_with(worker(TOPIC="nothing_here"), 1, "no topic 'nothing_here': create it, or")


def test_a_wrong_setting_ends_with_status_2(worker):
    running = worker(FLUSH_INTERVAL="often")
    assert running.wait(30) == 2
    assert running.log_text().strip() == (
        "FLUSH_INTERVAL is wrong: input should be a valid number, "
        "unable to parse string as a number."
    )


def test_the_longest_session_allowed_is_one_that_works(worker):
    running = worker(SESSION_TIMEOUT=300).wait_ready()
    assert "Warning" not in running.log_text()
