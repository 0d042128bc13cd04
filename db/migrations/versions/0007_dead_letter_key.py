"""Kafka's timestamp in the key of dead letters: it tells a recreated topic's from the old ones.

By a column that the server computes: workers of the version before need not know of it, the letters
that are there have it at once, and an event without a timestamp has a value that compares as equal.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_COLUMN = "kafka_ts_key"
_OLD_KEY = ["consumer_group", "kafka_topic", "kafka_partition", "kafka_offset", "value_sha256"]


def upgrade() -> None:
    # Not in one statement: alone it takes no time, and with the index MySQL would copy the table.
    if _COLUMN not in _columns():
        op.execute(
            f"ALTER TABLE dead_letters ADD COLUMN {_COLUMN} DATETIME(3)"
            " GENERATED ALWAYS AS (COALESCE(kafka_ts, TIMESTAMP'1000-01-01 00:00:00')) VIRTUAL"
        )
    _set_key([*_OLD_KEY, _COLUMN])


def downgrade() -> None:
    # Fails where two letters differ in their timestamps alone, which the old key does not allow.
    _set_key(_OLD_KEY)
    if _COLUMN in _columns():
        op.execute(f"ALTER TABLE dead_letters DROP COLUMN {_COLUMN}")


def _columns() -> set[str]:
    return {column["name"] for column in sa.inspect(op.get_bind()).get_columns("dead_letters")}


def _set_key(columns: list[str]) -> None:
    keys = sa.inspect(op.get_bind()).get_unique_constraints("dead_letters")
    if any(key["name"] == "uq_dead_letters" and key["column_names"] == columns for key in keys):
        return
    # One statement: at no moment is there no key. Others must not write meanwhile: on MariaDB 11.8
    # an index of a computed column lacked rows written then.
    op.execute(
        "ALTER TABLE dead_letters DROP INDEX uq_dead_letters,"
        f" ADD UNIQUE INDEX uq_dead_letters ({', '.join(columns)}), LOCK=SHARED"
    )
