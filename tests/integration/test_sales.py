"""The views over the sales sums say what the rows add up to, however these were stored."""

import re
from datetime import UTC, datetime

from sqlalchemy import inspect, make_url, text

from agents.flash_sales import FLASH_SALES
from db.connection.engine import connect
from db.dead_letters.query import Filter
from db.dead_letters.replay import Replayer
from db.rollup.watermark import join
from db.write.offsets import OffsetStore
from db.write.writer import Writer
from dev import ROOT
from pipeline.partition import Partition
from tests.helpers.accounts import dba, owner
from tests.helpers.sales import chunk, event
from tests.helpers.sums import assert_sums_true, settle
from tests.helpers.worker import rows

ODD = (
    event(2, product_id=None),
    event(2, product_id="", category="食品 '\\\""),
    event(2, timestamp=None),
    event(2, timestamp="never", product_id="p2"),
    event(2, price=None, quantity=None),
    event(2, price=3e38, quantity=-1),
    event(2, event_type="Purchases"),
    event(2, event_type="Purchase"),
    event(2, event_type="purchase "),
    *(event(2, product_id=name) for name in ("E1", "e1", "e1 ", "é1", "e1\t")),
    *(event(2, category=name) for name in ("C", "c", "c ", "ç")),
)


def test_every_view_and_its_columns_are_on_their_page(migrated_engine):
    page = (ROOT / "docs" / "analytics.md").read_text()
    head = page.partition("| view | columns |")[2].partition("\n\n")[0]
    written = {
        view: re.findall(r"\w+", columns)
        for view, columns in re.findall(r"^\| `(\w+)` \| (.*) \|$", head, re.MULTILINE)
    }
    database = inspect(dba(migrated_engine))
    exist = {
        view: [column["name"] for column in database.get_columns(view)]
        for view in database.get_view_names()
    }
    assert written == exist


def test_the_views_say_what_the_rows_add_up_to(migrated_engine):
    store = OffsetStore(migrated_engine, "g")
    store.begin({Partition("t", 0): 0, Partition("t", 1): 0})
    writer = Writer(migrated_engine, "g", FLASH_SALES, "w")
    first = [chunk([event(n) for n in range(400)] + [*ODD, b"bad"]), chunk([event(5)], 1)]
    writer.write(1, datetime.now(UTC), first)
    settle(migrated_engine)
    assert_sums_true(migrated_engine)
    writer.write(1, datetime.now(UTC), first)  # the answer to COMMIT was lost
    again = chunk([event(n) for n in range(400)] + [*ODD, b"bad", event(9), event(2)])
    Writer(migrated_engine, "g", FLASH_SALES, "zombie").write(1, datetime.now(UTC), [again])
    settle(migrated_engine)
    assert_sums_true(migrated_engine)
    with owner(migrated_engine).connect() as connection:
        quality = connection.execute(text("SELECT * FROM data_quality_per_hour")).all()
        funnel = connection.execute(text("SELECT * FROM funnel")).one()
    assert sum(hour.events for hour in quality) == 404 + len(ODD)
    assert sum(hour.malformed for hour in quality) == 1
    assert sum(hour.filled_quantity for hour in quality) == 1
    assert float(funnel.carts_per_view) == round(float(funnel.carts / funnel.views), 4) > 0


def test_a_replayed_dead_letter_is_a_sale_too(migrated_engine, migrated_url):
    OffsetStore(migrated_engine, "g").begin({Partition("t", 0): 0})
    Writer(migrated_engine, "g", FLASH_SALES, "w").write(
        1, datetime.now(UTC), [chunk([event(2, event_id=None), event(3)])]
    )
    settle(migrated_engine)
    with migrated_engine.begin() as connection:
        connection.execute(text("UPDATE dead_letters SET value = :v"), {"v": event(8)})
    assert Replayer(migrated_engine, "g", FLASH_SALES, announce=join).replay(Filter()).stored == 1
    assert len(rows(migrated_url)) == 2
    settle(migrated_engine)
    assert_sums_true(migrated_engine)


#: A table with a past: wider columns, times of another type, an index, ids with gaps.
PAST = (
    "CREATE TABLE flash_sale_events (id BIGINT AUTO_INCREMENT PRIMARY KEY, event_id VARCHAR(80), "
    "user_id VARCHAR(50), product_id TEXT, category VARCHAR(300), event_type VARCHAR(50), "
    "price FLOAT, quantity INT, revenue FLOAT, ts {ts} NULL, KEY (event_type)) CHARSET utf8mb4",
    "INSERT INTO flash_sale_events (id, event_id, user_id, product_id, category, event_type, price,"
    " quantity, revenue, ts) VALUES "
    "(1,'a','u','P1','c','purchase',2,3,6,'2026-11-27 10:00:05'),"
    "(2,'b','u','P1','c','purchase',2,1,2,'2026-11-27 10:00:59'),"
    "(3,NULL,NULL,'p1',NULL,'purchase',2,1,2,'2026-11-27 10:00:59'),"
    "(1000001,'c','u',NULL,'c','purchase',2,1,2,NULL),"
    "(5000000000,'d','u','P2','c','view',9,9,81,'2026-11-27 10:01:00'),"
    "(5000000001,'e','u','P2','c',NULL,9,9,81,'2026-11-27 10:01:00'),"
    "(5000000002,'f','u','P2','c','add_to_cart',9,NULL,NULL,'2026-11-27 11:01:00'),"
    "(5000000003,'f','u','P2','c','purchase',9,NULL,NULL,'2026-11-27 11:01:00'),"
    "(9000000000,'g','u','P1',REPEAT('ö',200),'purchase',2,2,4,'2026-11-27 10:00:07')",
)


def test_rows_from_before_are_summed(database_url, server, migrate_cli):
    engine = connect(make_url(database_url).set(drivername="mysql+pymysql"))
    with engine.begin() as connection:
        for statement in PAST:
            connection.execute(text(statement.format(ts="DATETIME")))
        connection.execute(
            text("UPDATE flash_sale_events SET ts = '2055-01-01 00:00:59' WHERE id = 3")
        )
    for _ in range(2):
        done = migrate_cli(database_url)
        assert done.returncode == 0, done.stdout + done.stderr
        settle(engine)
        assert_sums_true(engine)
    assert len(rows(database_url)) == 9
    engine.dispose()


def test_keys_too_wide_for_the_sums_keep_apart(database_url, migrate_cli):
    engine = connect(make_url(database_url).set(drivername="mysql+pymysql"))
    with engine.begin() as connection:
        for statement in PAST:
            connection.execute(text(statement.format(ts="TIMESTAMP")))
        wide = {"one": "ö" * 600 + "1", "other": "ö" * 600 + "2"}
        update = text("UPDATE flash_sale_events SET product_id = IF(id = 1, :one, :other)")
        connection.execute(update, wide)
    assert migrate_cli(database_url).returncode == 0
    settle(engine)
    with engine.connect() as connection:
        found = connection.execute(text("SELECT product_id, orders FROM sales_per_product")).all()
    assert sorted(row.orders for row in found) == [1, 5]
    assert all(row.product_id[:215] == "ö" * 215 for row in found)
    engine.dispose()
