"""What tells one log from another: for stored offsets, for dead letters; and stored breakers.

MySQL has no transactions over changes of the schema. So every step looks at what is there first,
and a migration that was killed anywhere is run again.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_NAME = mysql.VARCHAR(255, charset="utf8mb4", collation="utf8mb4_bin")
_TOPIC = mysql.VARCHAR(249, charset="utf8mb4", collation="utf8mb4_bin")
_UTF8: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_row_format": "DYNAMIC",
}

#: 32 bytes. Workers of the previous version keep writing letters while this runs, and know nothing
#: of the column: without a default their letters would be rejected.
_UNKNOWN = "unknown, written by an older app"

_LAST = {
    "last_offset": "BIGINT",
    "last_epoch": "INT",
    "last_timestamp": "BIGINT",
    "last_checksum": "BIGINT",
}
_VALUE = {
    "value_bytes": "BIGINT",
    "value_sha256": f"BINARY(32) NOT NULL DEFAULT '{_UNKNOWN}'",
}
_OLD_KEY = ["consumer_group", "kafka_topic", "kafka_partition", "kafka_offset"]
_KEY = [*_OLD_KEY, "value_sha256"]

#: Letters in one statement, each perhaps a megabyte to be read and hashed: a statement must not
#: outlast the connection's read timeout.
_PORTION = 500


def upgrade() -> None:
    _add_columns("stream_offsets", _LAST)
    op.create_table(
        "circuit_breakers",
        sa.Column("consumer_group", _NAME, primary_key=True),
        sa.Column("kafka_topic", _TOPIC, primary_key=True),
        sa.Column("kafka_partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("opened_at", mysql.DATETIME(fsp=3)),
        sa.Column("reason", sa.String(1000)),
        sa.Column("close_requested_at", mysql.DATETIME(fsp=3)),
        sa.Column(
            "updated_at",
            mysql.DATETIME(fsp=3),
            nullable=False,
            server_default=sa.text("CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3)"),
        ),
        if_not_exists=True,
        **_UTF8,
    )
    _add_columns("dead_letters", _VALUE)
    _describe_values()
    _set_key(_KEY)


def downgrade() -> None:
    # Fails where two letters share a position, which the old key does not allow: purge one.
    _set_key(_OLD_KEY)
    _drop_columns("dead_letters", _VALUE)
    op.drop_table("circuit_breakers", if_exists=True)
    _drop_columns("stream_offsets", _LAST)


def _add_columns(table: str, columns: dict[str, str]) -> None:
    missing = [
        f"ADD COLUMN {name} {kind}" for name, kind in columns.items() if name not in _columns(table)
    ]
    if missing:
        op.execute(f"ALTER TABLE {table} {', '.join(missing)}")


def _drop_columns(table: str, columns: dict[str, str]) -> None:
    there = [f"DROP COLUMN {name}" for name in columns if name in _columns(table)]
    if there:
        op.execute(f"ALTER TABLE {table} {', '.join(there)}")


def _columns(table: str) -> set[str]:
    return {column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)}


def _describe_values() -> None:
    """Length and digest of the values stored so far; a tombstone has the digest of nothing."""
    connection = op.get_bind()
    portion = sa.text(
        "SELECT MAX(id) FROM (SELECT id FROM dead_letters WHERE id > :last ORDER BY id LIMIT :n) p"
    )
    describe = sa.text(
        "UPDATE dead_letters SET value_bytes = LENGTH(value),"
        " value_sha256 = UNHEX(SHA2(COALESCE(value, ''), 256))"
        " WHERE id > :last AND id <= :until AND value_sha256 = :unknown"
    )
    last = 0
    while until := connection.scalar(portion, {"last": last, "n": _PORTION}):
        connection.execute(describe, {"last": last, "until": until, "unknown": _UNKNOWN.encode()})
        # What is done stays done, and workers do not wait for the letters' locks.
        connection.commit()
        last = until


def _set_key(columns: list[str]) -> None:
    keys = sa.inspect(op.get_bind()).get_unique_constraints("dead_letters")
    if any(key["name"] == "uq_dead_letters" and key["column_names"] == columns for key in keys):
        return
    # One statement: at no moment is there no key.
    op.execute(
        "ALTER TABLE dead_letters DROP INDEX uq_dead_letters,"
        f" ADD UNIQUE INDEX uq_dead_letters ({', '.join(columns)})"
    )
