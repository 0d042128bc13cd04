"""What `migrate` says that it did, and what the views show after it."""

from datetime import UTC, datetime

from sqlalchemy import make_url, text

from agents.flash_sales import FLASH_SALES
from db.connection.engine import connect
from db.schema.upgrade import migrate
from db.schema.version import VERSION
from db.write.offsets import OffsetStore
from db.write.writer import Writer
from pipeline.partition import Partition
from tests.helpers import sales
from tests.helpers.old_schema import INSERT_LETTER, bring_to
from tests.helpers.sums import settle


def test_migrate_reports_changes_by_table(server, database_url, migrate_cli):
    assert "  flash_sale_events: table created\n" in migrate_cli(database_url).stdout
    name = make_url(database_url).database
    server.execute(f"DROP DATABASE {name}")
    server.create_database(name)
    with connect(make_url(database_url).set(drivername="mysql+pymysql")).begin() as connection:
        connection.execute(
            text(
                "CREATE TABLE flash_sale_events (id BIGINT AUTO_INCREMENT PRIMARY KEY,"
                " event_id VARCHAR(50), user_id VARCHAR(50), product_id VARCHAR(50),"
                " category VARCHAR(50), event_type VARCHAR(20), price FLOAT, quantity INT,"
                " revenue FLOAT, ts TIMESTAMP NULL)"
            )
        )
        connection.execute(text("INSERT INTO flash_sale_events (event_id) VALUES ('a'), ('b')"))
    said = migrate_cli(database_url).stdout.splitlines()
    assert said[:2] == [
        f"The schema was created at version {VERSION}:",
        "  flash_sale_events: unchanged, 2 rows kept",
    ]
    assert "  dead_letters: table created" in said
    assert "  sales_per_minute: view created" in said


def test_migrate_reports_new_columns_and_rows(empty):
    bring_to(empty, "0002")
    with empty.begin() as connection:
        connection.execute(INSERT_LETTER, [{"at": n, "value": b"x"} for n in range(3)])
    done = migrate(empty)
    assert (
        "dead_letters: column value_bytes, value_sha256, kafka_ts_key added, index uq_dead_letters"
        " created, 3 rows kept" in done.changes
    )
    assert (
        "batches: column duplicate added, index ix_batches_written created, 0 rows kept"
        in done.changes
    )
    assert "circuit_breakers: table created" in done.changes
    assert "sales_per_minute: view replaced" in done.changes
    assert migrate(empty).changes == []


def test_views_have_whole_cents(empty):
    migrate(empty)
    OffsetStore(empty, "g").begin({Partition("t", 0): 0})
    values = [sales.event(n, price=0.1, quantity=1) for n in range(30)]
    Writer(empty, "g", FLASH_SALES, "w").write(1, datetime.now(UTC), [sales.chunk(values)])
    settle(empty)
    with empty.connect() as connection:
        for view in (
            "sales_per_minute",
            "sales_per_product",
            "sales_per_product_hour",
            "sales_per_category",
        ):
            stored = connection.scalars(text(f"SELECT revenue FROM {view}")).all()
            assert stored
            assert all(repr(one) == repr(round(one, 2)) for one in stored), stored
