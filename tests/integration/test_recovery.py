"""What an operator meets: topics that change, backups, rows only the database refuses."""

import pytest
from sqlalchemy import create_engine, text

from dev.audit import Sent
from tests.chaos.proxy import Proxy
from tests.helpers.accounts import WORKER, dba, grant, make_accounts
from tests.helpers.databases import each_server, each_server_slow
from tests.helpers.events import event, ids, offsets_of, stored
from tests.helpers.traffic import Traffic, audit
from tests.helpers.worker import dead_letters, rows, stored_offsets, wait_until

# --- rows that only the database refuses


@each_server
def test_a_row_only_the_database_refuses_costs_only_itself(
    worker, produce, migrated_url, migrated_engine
):
    with dba(migrated_engine).begin() as connection:
        connection.execute(
            text("ALTER TABLE flash_sale_events ADD CONSTRAINT no_free CHECK (price > 0)")
        )
        connection.execute(text("ALTER TABLE flash_sale_events MODIFY category VARCHAR(5)"))
    bad: dict[int, dict[str, object]] = {
        7: {"price": 0.0},
        150: {"category": "toolong"},
        151: {"price": 0.0},
    }
    produce([event(n, **bad.get(n, {})) for n in range(200)])
    worker().wait_ready()
    wait_until(lambda: stored(migrated_url) >= 200, 30)
    assert ids(migrated_url) == sorted(f"e{n}" for n in range(200) if n not in bad)
    letters = dead_letters(migrated_url)
    assert len(letters) == len(bad)
    assert all(letter["reason"] == "unstorable" for letter in letters)
    details = sorted(letter["detail"] for letter in letters)
    assert details[0].startswith("the database says: ")
    assert "no_free" in details[0]
    assert "category" in details[2]


@pytest.fixture
def read_only(server):
    """Turns the server read-only, as a failover does, and back."""

    def turn(on):
        server.execute(f"SET GLOBAL read_only = {int(on)}")

    yield turn
    turn(on=False)


@pytest.mark.slow
@each_server_slow
def test_no_trouble_of_the_server_makes_a_dead_letter(
    worker, broker, topic, migrated_url, migrated_engine, read_only
):
    running = worker(FLUSH_INTERVAL=0.3).wait_ready()
    flow = Traffic(broker, topic, rate=500, count=9000)
    wait_until(lambda: rows(migrated_url), 20)
    read_only(on=True)
    wait_until(lambda: not running.is_ready(), 20)
    assert "read-only" in running.get("/ready/")["reason"]
    read_only(on=False)
    wait_until(running.is_ready, 30)
    with migrated_engine.begin() as connection:
        # Longer than a worker waits for a lock: error 1205.
        connection.execute(text("SELECT * FROM stream_offsets FOR UPDATE")).all()
        wait_until(lambda: not running.is_ready(), 30)
        wait_until(lambda: "1205" in running.log_text(), 30)
    flow.finish()
    audit(migrated_url, flow.sent)
    assert not [d for d in dead_letters(migrated_url) if "the database says" in d["detail"]]


# --- topics that change


# --- offsets that change


def test_offsets_set_back_under_a_running_worker_stop_it(
    worker, produce, migrated_url, faust, topic
):
    running = worker(FLUSH_INTERVAL=0.3).wait_ready()
    produce([(event(n), 0) for n in range(10)])
    wait_until(lambda: len(rows(migrated_url)) == 10, 20)
    faust("offsets", "reset", "--to", "5", "--partition", "0", "--yes", "--force")
    produce([(event(n), 0) for n in range(10, 20)])
    assert running.wait(30) == 1
    assert f"stored offset of {topic}/0 is 5" in running.log_text()
    worker().wait_ready()
    wait_until(lambda: offsets_of(migrated_url)[0] == 20, 20)
    assert ids(migrated_url) == sorted(
        [*(f"e{n}" for n in range(20)), *(f"e{n}" for n in range(5, 10))]
    ), "from 5 on once more, as requested"


def test_wrong_offsets_are_refused(faust):
    assert "--to must be beginning, end or an offset" in faust(
        "offsets", "reset", "--to", "tomorrow", status=2
    )
    assert "no partition 9" in faust("offsets", "reset", "--partition", "9", status=2)


@pytest.mark.slow
@each_server_slow
def test_resumes_from_restored_backup(
    worker, broker, topic, migrated_url, migrated_engine, tmp_path, server
):
    flow = Traffic(broker, topic, rate=1500, count=9000)
    running = worker(FLUSH_INTERVAL=0.3).wait_ready()
    wait_until(lambda: len(rows(migrated_url)) > 2000, 30)
    with type(server)(tmp_path / "restored", server.installation) as other:
        make_accounts(other)
        target = create_engine(
            other.create_database("restored").replace("mysql:", "mysql+pymysql:")
        )
        copied = _dump_and_restore(dba(migrated_engine), target)
        restored = grant(other, WORKER, "restored")
        assert 0 < copied < 9000
        running.kill()
        flow.finish()
        worker(DATABASE_URL=restored).wait_ready()
        audit(restored, flow.sent)


def _dump_and_restore(source, target):
    """Like `mariadb-dump --single-transaction`: all tables as of one moment."""
    copied = 0
    with source.connect() as old, target.begin() as new:
        old.execute(text("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        old.execute(text("START TRANSACTION WITH CONSISTENT SNAPSHOT"))
        tables = text("SHOW FULL TABLES WHERE Table_type = 'BASE TABLE'")
        generated = text(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = DATABASE()"
            " AND table_name = :table AND extra LIKE '%GENERATED%' AND extra NOT LIKE 'DEFAULT%'"
        )
        for table in old.scalars(tables).all():
            computed = set(old.scalars(generated, {"table": table}))
            new.execute(text(old.execute(text(f"SHOW CREATE TABLE {table}")).one()[1]))
            found = old.execute(text(f"SELECT * FROM {table}")).mappings().all()
            if found:
                names = [name for name in found[0] if name not in computed]
                values = ", ".join(f":{name}" for name in names)
                new.execute(
                    text(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({values})"),
                    [dict(row) for row in found],
                )
            copied += len(found) if table == "flash_sale_events" else 0
    return copied


# --- the answer to COMMIT is lost


@each_server_slow
def test_a_lost_answer_to_commit_doubles_nothing(worker, broker, topic, migrated_url, server):
    with Proxy(server.port) as proxy:
        url = migrated_url.replace(f":{server.port}/", f":{proxy.port}/")
        running = worker(DATABASE_URL=url, FLUSH_INTERVAL=0.3).wait_ready()
        proxy.lost_commits = 5
        flow = Traffic(broker, topic, rate=1500, count=9000)
        flow.finish()
        audit(migrated_url, flow.sent)
        assert proxy.lost_commits == 0
        assert proxy.cuts == 5
        wait_until(lambda: running.get("/batches/")["events"] == 9000, 10, "counted once as well")
        assert running.exit_code is None


@pytest.mark.slow
def test_topics_and_groups_in_one_database_are_independent(worker, broker, topic, migrated_url):
    mine = {"of_the_same_group": f"{topic}-b", "of_another_group": f"{topic}-c"}
    for name in mine.values():
        broker.create_topic(name)
    worker().wait_ready()
    worker(TOPIC=mine["of_the_same_group"]).wait_ready()
    worker(TOPIC=mine["of_another_group"], CONSUMER_GROUP="another").wait_ready()
    sent = Sent()
    for name, count in ((topic, 2000), *((name, 1000) for name in mine.values())):
        Traffic(broker, name, rate=2000, count=count, sent=sent).finish()
    audit(migrated_url, sent)
    by_topic: dict[tuple[str, str], int] = {}
    for (group, name, _), offset in stored_offsets(migrated_url).items():
        by_topic[group, name] = by_topic.get((group, name), 0) + offset
    assert by_topic == {
        (f"group-{topic}", topic): 2000,
        (f"group-{topic}", mine["of_the_same_group"]): 1000,
        ("another", mine["of_another_group"]): 1000,
    }
