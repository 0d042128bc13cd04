"""`faust -A app check` against real servers: what it finds, and that it changes nothing."""

import json
import re
from typing import Any

from sqlalchemy import event, text

from agents.flash_sales import FLASH_SALES
from checks.database import check_database
from checks.everything import check_everything
from checks.result import CheckResults, table
from checks.storing import check_storing
from config.settings import Settings
from db.connection.engine import connect
from db.write.offsets import OffsetStore
from dev.servers.processes import free_port
from models.whole_events import ROWS_BY
from pipeline.partition import Partition
from source.cluster.auth import Cluster
from tests.helpers.accounts import OWNER, dba, grant
from tests.helpers.databases import each_server, each_server_slow
from tests.helpers.sink import stored_ids
from tests.helpers.worker import dead_letters, rows, stored_offsets

EVENT = b'{"event_id": "e%d", "user_id": "u", "product_id": "p1", "category": "c", "price": 2}'


@each_server
def test_healthy_setup_passes_and_is_unchanged(faust, produce, migrated_url, broker):
    produce([EVENT % 1, b"bad"])
    text = faust("check", CONSUMER_GROUP="new", STARTING_OFFSETS="earliest")
    assert "A worker would run, with " in text
    assert not re.search("^fail", text, re.MULTILINE)
    for line in (
        r"ok    Kafka DNS +127.0.0.1 is an address",
        r"ok    Kafka TLS +not used, as KAFKA_URL says",
        r"ok    Topic +\S+ has 4 partitions and 2 offsets in the log",
        r"ok    Group rights +new may be joined",
        r"ok    Database +(\S*MariaDB|MySQL \d)",
        r"ok    Database session +strict, in UTC",
        r"ok    Database clock",
        r"ok    Database TLS +(TLSv1\.[23], not verified|not used), nor needed on this machine",
        r"ok    Pages +those that show events are served on this machine only",
        r" +→ set WEB_TOKEN to read them from elsewhere",
        r"ok    Schema +version ",
        r"ok    Tables +compatible",
        rf"ok    Rows +made by {re.escape(ROWS_BY)}",
        r"ok    Database rights +a batch was written, summed and rolled back",
        r"ok    Storing +rows are (loaded|inserted)",
        r"ok    Stored offsets +none: a new group starts at the log's beginning",
    ):
        assert re.search(f"^{line}", text, re.MULTILINE), (line, text)
    assert rows(migrated_url) == dead_letters(migrated_url) == []
    assert stored_offsets(migrated_url) == {}


@each_server_slow
async def test_each_problem_is_found_with_its_fix(
    broker, produce, migrated_url, migrated_engine, server, topic
):
    produce([EVENT % 1])
    OffsetStore(migrated_engine, "ahead").begin(
        {
            Partition(topic, 0): 5_000,
            Partition(topic, 1): 0,
            Partition(topic, 2): 0,
            Partition(topic, 3): 0,
        }
    )
    database = migrated_url.rpartition("/")[2]
    server.execute("CREATE USER IF NOT EXISTS 'reader'@'127.0.0.1' IDENTIFIED BY 'reads'")
    server.execute(f"GRANT SELECT ON `{database}`.* TO 'reader'@'127.0.0.1'")
    reader = f"mysql://reader:reads@127.0.0.1:{server.port}/{database}"
    server.create_database("check_empty")
    empty = grant(server, OWNER, "check_empty")
    nothing = f"127.0.0.1:{free_port()}"
    cases: list[tuple[dict[str, Any], str, str]] = [
        (
            {"consumer_group": "ahead"},
            "Stored offsets",
            "5000, but its log ends at .* → .*offsets reset",
        ),
        ({"DATABASE_URL": empty}, "Schema", "at version none, .* → run `faust -A app migrate`"),
        (
            {"DATABASE_URL": reader},
            "Database rights",
            "1142.* lacks INSERT on stream_offsets → `GRANT INSERT ON",
        ),
        (
            {"DATABASE_URL": reader.replace("reads", "s3cret")},
            "Database",
            "the login is refused → check the user and password in DATABASE_URL",
        ),
        (
            {"DATABASE_URL": f"mysql://u:s3cret@{nothing}/d"},
            "Database",
            "2003: Can't connect .* → start the database, or change DATABASE_URL",
        ),
        ({"kafka_url": f"kafka://{nothing}"}, "Kafka TCP", "→ start it, or change KAFKA_URL"),
        ({"kafka_url": "kafka://no.such.host.invalid:9"}, "Kafka DNS", "→ change KAFKA_URL"),
    ]
    if broker.has_admin:
        cases.append(({"topic": "nowhere"}, "Topic", "'nowhere' → create it, or change TOPIC"))
    defaults = {"kafka_url": broker.url, "topic": topic, "DATABASE_URL": migrated_url}
    for wrong, subject, expected in cases:
        settings = Settings(**{**defaults, **wrong})
        engine = connect(settings.database)
        results = await check_everything(
            settings, Cluster.of(settings), settings.topic, FLASH_SALES, engine
        )
        engine.dispose()
        text = table(results.all)
        assert results.has_failed(subject), text
        [found] = [one for one in results.all if one.subject == subject]
        assert re.search(expected, f"{found.found} → {found.hint}"), text
        assert "s3cret" not in text
    server.execute("DROP USER 'reader'@'127.0.0.1'")
    server.drop_database("check_empty")


def test_missing_table_is_found(faust, migrated_url, server):
    server.execute(f"DROP TABLE `{migrated_url.rpartition('/')[2]}`.dead_letters")
    text = faust("check", status=1)
    assert "the table dead_letters is missing\n" in text
    assert "→ restore it, or run `faust -A app migrate` on an empty database" in text
    assert "A worker would not run: 1 problem to fix" in text
    found = json.loads(faust("check", "--json", status=1))
    assert found["ok"] is False
    [wrong] = [one for one in found["results"] if one["state"] == "fail"]
    assert wrong["subject"] == "Tables"
    assert wrong["hint"] == "restore it, or run `faust -A app migrate` on an empty database"


def test_sample_predicts_what_happens_to_real_events(faust, produce, migrated_url):
    odd = b'{"event_id": "odd\\u001b[31m", "product_id": "p2", "price": "9", "quantity": 2}'
    produce([*(EVENT % n for n in range(20)), odd, b"\x1b]0;bad\x07", b'{"price": 1}', None])
    text = faust("check", "--sample", 100)
    assert "24 events read" in text
    assert re.search(r"would be stored +21$", text, re.MULTILINE)
    assert re.search(r"filled +category 1, price 1|price 21", text)
    assert "price.mistyped 1" in text
    assert re.search(r"^    price +2.0$", text, re.MULTILINE)
    assert re.search(r"would be dropped +3$", text, re.MULTILINE)
    assert re.search(r"invalid +1, such as \S+/\d/\d+: no event_id", text)
    assert re.search(r"malformed +2, such as ", text)
    assert "\x1b" not in text
    found = json.loads(faust("check", "--sample", 4, "--json"))
    assert found["events"] == 4
    assert rows(migrated_url) == []
    assert stored_offsets(migrated_url) == {}


def test_clock_difference_is_found(migrated_engine):
    # No server's clock can be set here; a session's own can.
    event.listen(
        migrated_engine, "connect", lambda c, _: c.cursor().execute("SET timestamp = 1000000000")
    )
    found = CheckResults()
    assert check_database(migrated_engine, FLASH_SALES, found)
    [clock] = [one for one in found.all if one.subject == "Database clock"]
    assert clock.state == "warn"
    assert "differs from this machine's by " in clock.found


def storing(engine):
    """What check says of how rows get into the table; nothing is kept."""
    found = CheckResults()
    check_storing(engine, FLASH_SALES, found)
    assert stored_ids(engine) == []
    [line] = found.all
    assert (line.subject, line.state) == ("Storing", "ok")
    return line.found, line.hint


def test_check_says_whether_rows_are_loaded(proving, server):
    assert storing(proving) == ("rows are loaded (LOAD DATA LOCAL)", "")
    server.execute("SET GLOBAL local_infile = OFF")
    try:
        proving.dispose()
        found, hint = storing(proving)
        assert found == "rows are inserted: local_infile is OFF"
        statement, and_more = re.findall(
            "`(.+)`(.*), by an administrator, makes writes about", hint
        )[0]
        assert and_more == (
            "" if server.is_mysql else ", and the same in the server's configuration"
        )
        server.execute(statement)
        proving.dispose()
        assert storing(proving) == ("rows are loaded (LOAD DATA LOCAL)", "")
    finally:
        server.execute("SET GLOBAL local_infile = ON")
        if server.is_mysql:
            server.execute("RESET PERSIST IF EXISTS local_infile")


def test_unproven_load_counts_as_an_insert(proving):
    with dba(proving).begin() as connection:
        connection.execute(
            text(
                "CREATE TRIGGER t BEFORE INSERT ON flash_sale_events FOR EACH ROW "
                "SET NEW.category = CONCAT(NEW.category, '!')"
            )
        )
    found, hint = storing(proving)
    assert found.startswith("rows are inserted: a load was rejected, or it could not be proven")
    assert "a trigger on flash_sale_events" in hint


def test_no_hint_that_would_not_help(begun, monkeypatch):
    """A server that counts no triggers: no variable makes it load."""
    monkeypatch.setattr("db.write.lenient._TRIGGERS", "SELECT 1, NULL")
    found, hint = storing(begun)
    assert found.startswith("rows are inserted: the server does not say whether triggers ran")
    assert "local_infile" not in hint
