"""Events tables from before this app: which are refused, warned of or fine, and what fixes them."""

from sqlalchemy.dialects import mysql

from db.schema.sales_tables import ROW_COLUMNS, flash_sale_events

DIALECT = mysql.dialect()
COLUMNS: dict[str, str | None] = {
    "id": "BIGINT AUTO_INCREMENT PRIMARY KEY",
    **{name: f"{flash_sale_events.c[name].type.compile(DIALECT)} NULL" for name in ROW_COLUMNS},
}
EVENT: dict[str, object] = {
    "event_id": "e",
    "user_id": "u",
    "product_id": "p",
    "category": "c",
    "event_type": "view",
    "price": 19.999,
    "quantity": 3,
    "timestamp": "2026-11-27 10:00:00",
}


def ddl(*more, options="CHARSET=utf8mb4", name="flash_sale_events", **columns):
    """The table as the app makes it, but for what is given."""
    spelled = [f"{name} {kind}" for name, kind in (COLUMNS | columns).items() if kind]
    return f"CREATE TABLE {name} ({', '.join([*spelled, *more])}) {options}"


NOW = "TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP"
DAYS = (
    "CHARSET=utf8mb4 PARTITION BY RANGE COLUMNS (ts) (PARTITION p0 VALUES LESS THAN ('2026-12-01'))"
)
TRIGGER = (
    "CREATE TRIGGER shout BEFORE INSERT ON flash_sale_events FOR EACH ROW"
    " SET NEW.category = UPPER(NEW.category)"
)
#: The table; what is said of it; an event; and what becomes of it there: values, a refusal or None
#: where no worker gets that far.
REFUSED = {
    "myisam": (ddl(options="ENGINE=MyISAM CHARSET=utf8mb4"), "MyISAM, which has no transactions"),
    "memory": (ddl(options="ENGINE=MEMORY CHARSET=utf8mb4"), "MEMORY, which has no transactions"),
    "ts_now": (ddl(ts=f"{NOW} ON UPDATE CURRENT_TIMESTAMP"), "a TIMESTAMP that is NOT NULL"),
    "ts_not_null": (ddl(ts="TIMESTAMP NOT NULL DEFAULT '2000-01-01'"), "a TIMESTAMP that is NOT"),
    "ts_date": (ddl(ts="DATE"), "ts is date, which does not hold a time"),
    "ts_number": (ddl(ts="BIGINT"), r"ts is bigint\S*, which does not hold a time"),
    "price_int": (ddl(price="INT"), r"price is int\S*, which rounds or rejects fractions"),
    "price_text": (ddl(price="VARCHAR(20)"), "price is varchar.20., which rounds or rejects"),
    "quantity_float": (ddl(quantity="FLOAT"), "quantity is float, which does not hold every"),
    "user_number": (ddl(user_id="INT"), r"user_id is int\S*, which rejects or changes texts"),
    "no_id": (ddl(id=None), "no column id"),
    "no_id_but_key": (
        ddl("PRIMARY KEY (event_id)", id=None, event_id="VARCHAR(50) NOT NULL"),
        "no column id",
    ),
    "id_key": (ddl(id="BIGINT PRIMARY KEY"), "id is not AUTO_INCREMENT"),
    "id_alone": (ddl(id="BIGINT"), "id is not AUTO_INCREMENT"),
    "no_revenue": (ddl(revenue=None), "no column revenue"),
    "generated": (ddl(revenue="FLOAT AS (price * quantity) STORED"), "is a generated column"),
    "virtual": (ddl(revenue="FLOAT AS (price * quantity) VIRTUAL"), "is a generated column"),
    "extra": (ddl(shop="INT NOT NULL"), "a column shop that is NOT NULL without a default"),
    "extra_text": (ddl(shop="VARCHAR(9) NOT NULL"), "a column shop that is NOT NULL without"),
}


FINE = {
    "as_it_was": ddl(),
    "wider": ddl(user_id="VARCHAR(255)", category="TEXT", price="DOUBLE", quantity="BIGINT"),
    "ts_datetime": ddl(ts="DATETIME"),
    "ts_default": ddl(ts="TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP"),
    "ts_fractions": ddl(ts="TIMESTAMP(6) NULL"),
    "required": ddl(event_id="VARCHAR(50) NOT NULL", price="FLOAT NOT NULL"),
    "extra": ddl(a="INT", b="INT NOT NULL DEFAULT 1", c="INT AS (quantity) STORED", d=NOW),
    "extra_enum": ddl(kind="ENUM('a') NOT NULL"),
    "partitions": ddl(options="CHARSET=utf8mb4 PARTITION BY HASH (id) PARTITIONS 2"),
    "index": ddl("KEY (ts)", "KEY (category)", "UNIQUE KEY (id, event_id)"),
    "unsigned": ddl(id="BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY"),
    "names": ddl(event_id=None, Event_ID="VARCHAR(50)"),
}


WARNED: dict[str, tuple[object, str, dict[str, object], dict[str, object] | None]] = {
    "latin1": (ddl(options="CHARSET=latin1"), "latin1, which lacks char", {"user_id": "😀"}, None),
    "utf8mb3": (ddl(options="CHARSET=utf8"), "utf8\\S*, which lacks char", {"user_id": "😀"}, None),
    "one_column": (
        ddl(category="VARCHAR(50) CHARACTER SET latin1"),
        "stores category in latin1",
        {"category": "ж"},
        None,
    ),
    "narrow": (
        ddl(user_id="VARCHAR(20)"),
        r"user_id is varchar\(20\), but events may have 50 characters",
        {"user_id": "u" * 21},
        None,
    ),
    "char": (
        ddl(category="CHAR(50)"),
        "drops trailing spaces",
        {"category": "c "},
        {"category": "c"},
    ),
    "enum": (ddl(event_type="ENUM('cart')"), "events with another value become", {}, None),
    "type_not_null": (
        ddl(event_type="VARCHAR(20) NOT NULL"),
        "event_type is NOT NULL: events without a value",
        {"event_type": None},
        None,
    ),
    "price_decimal": (
        ddl(price="DECIMAL(10,2)", revenue="DECIMAL(12,2)"),
        "rounded to 2 digits",
        {},
        {"price": 20, "revenue": 60},
    ),
    "price_float_digits": (ddl(price="FLOAT(10,2)"), "rounded to 2 digits", {}, {"price": 20}),
    "price_unsigned": (ddl(price="FLOAT UNSIGNED"), "a negative amount", {"price": -1}, None),
    "quantity_small": (ddl(quantity="SMALLINT"), "a larger quantity", {"quantity": 32768}, None),
    "quantity_unsigned": (
        ddl(quantity="INT UNSIGNED"),
        "a negative quantity",
        {"quantity": -1},
        None,
    ),
    "ts_datetime_not_null": (
        ddl(ts="DATETIME NOT NULL"),
        "ts is NOT NULL: events without a value",
        {"timestamp": None},
        None,
    ),
    "ts_on_update": (
        ddl(ts="TIMESTAMP NULL ON UPDATE CURRENT_TIMESTAMP"),
        "ts changes to the current time when another program updates its row",
        {"timestamp": None},
        {"ts": None},
    ),
    "ts_text": (
        ddl(ts="VARCHAR(30)"),
        "which is not a type of time",
        {},
        {"ts": "2026-11-27 10:00:00"},
    ),
    "id_int": (
        ddl(id="INT AUTO_INCREMENT PRIMARY KEY"),
        r"id is int\S*, of whose 2147483647 values 0 \(0%\) are used",
        {},
        {"id": 1},
    ),
    "unique": (ddl("UNIQUE KEY once (event_id)"), r"unique index once \(event_id\)", {}, {}),
    "partitions": (
        ddl("KEY (id)", id="BIGINT AUTO_INCREMENT", ts="DATETIME", options=DAYS),
        "is partitioned: events without a matching partition become",
        {"timestamp": "2026-12-01 00:00:00"},
        None,
    ),
    "trigger": (
        [ddl(), TRIGGER],
        "a trigger shout, which runs for each row",
        {},
        {"category": "C"},
    ),
    "namesake": (
        [ddl(), ddl(name="Flash_Sale_Events")],
        "also a table Flash_Sale_Events, whose name differs",
        {},
        {},
    ),
}
