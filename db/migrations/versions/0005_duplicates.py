"""The ledger's count of duplicates, and what the view of the data's quality makes of it."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_COUNT = "duplicate"
_HEAD = """
    SELECT CAST(DATE_FORMAT(written, '%Y-%m-%d %H:00:00') AS DATETIME) AS hour,
        SUM(events) AS events, SUM(valid) AS valid, SUM(malformed) AS malformed,
        SUM(invalid) AS invalid, SUM(unstorable) AS unstorable,
        SUM(malformed + invalid + unstorable) / NULLIF(SUM(events), 0) AS dropped_share,
        SUM(COALESCE(JSON_EXTRACT(filled, '$.user_id'), 0)) AS filled_user_id,
        SUM(COALESCE(JSON_EXTRACT(filled, '$.category'), 0)) AS filled_category,
        SUM(COALESCE(JSON_EXTRACT(filled, '$.price'), 0)) AS filled_price,
        SUM(COALESCE(JSON_EXTRACT(filled, '$.quantity'), 0)) AS filled_quantity
"""
_TAIL = " FROM batches GROUP BY DATE_FORMAT(written, '%Y-%m-%d %H:00:00')"


def upgrade() -> None:
    # Workers of the previous version keep writing ledger lines, and know nothing of the column.
    if _COUNT not in _columns():
        op.execute(f"ALTER TABLE batches ADD COLUMN {_COUNT} INT NOT NULL DEFAULT 0")
    _view(f"{_HEAD}, SUM({_COUNT}) AS {_COUNT} {_TAIL}")


def downgrade() -> None:
    _view(_HEAD + _TAIL)
    if _COUNT in _columns():
        op.execute(f"ALTER TABLE batches DROP COLUMN {_COUNT}")


def _view(query: str) -> None:
    op.execute(f"CREATE OR REPLACE SQL SECURITY INVOKER VIEW data_quality_per_hour AS {query}")


def _columns() -> set[str]:
    return {column["name"] for column in sa.inspect(op.get_bind()).get_columns("batches")}
