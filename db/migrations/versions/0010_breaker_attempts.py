"""When an open circuit breaker makes its next attempt, for whichever worker has the partition."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0008"
branch_labels = None
depends_on = None

_COLUMN = "next_attempt_at"


def upgrade() -> None:
    # Workers of the version before write no such column: NULL, which waits for a person.
    if _COLUMN not in _columns():
        op.execute(f"ALTER TABLE circuit_breakers ADD COLUMN {_COLUMN} DATETIME(3)")


def downgrade() -> None:
    if _COLUMN in _columns():
        op.execute(f"ALTER TABLE circuit_breakers DROP COLUMN {_COLUMN}")


def _columns() -> set[str]:
    return {column["name"] for column in sa.inspect(op.get_bind()).get_columns("circuit_breakers")}
