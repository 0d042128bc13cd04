"""Groups dead letters by what they have in common. Blocking."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import Engine, func, select

from db.dead_letters.query import Filter, transaction
from db.schema.tables import dead_letters

#: Bytes shown of an example's value.
_SHOWN_BYTES = 200

_columns = dead_letters.c
_PENDING = func.count() - func.count(_columns.replayed_at)


class Group(NamedTuple):
    """Dead letters of one day (UTC) with the same reason and field (None: no field).

    ``pending`` counts those not replayed yet. The example is the newest: its id, position, detail
    and the beginning of its value.
    """

    reason: str
    field: str | None
    day: date
    dead_letters: int
    pending: int
    example: int
    position: str
    detail: str
    value: bytes | None


class Total(NamedTuple):
    """All dead letters of a reason; ``newest`` is when the last one was written, UTC."""

    reason: str
    dead_letters: int
    pending: int
    newest: datetime


def summarize(
    engine: Engine,
    group: str,
    wanted: Filter,
    fields: Iterable[str],
    limit: int | None = None,
) -> Sequence[Group]:
    """The dead letters by day, reason and field; newest day and largest group first.

    Args:
        engine: from ``db.connection.engine.connect``.
        group: the consumer group.
        wanted: which dead letters.
        fields: names of an event's fields, to look for in details.
        limit: maximum number of groups.

    Raises:
        TransientError, FatalError: see ``pipeline.errors``.
    """
    letters, newest = func.count(), func.max(_columns.id)
    # The first field named. Without a match one server returns NULL, the other ''.
    named = func.regexp_substr(_columns.detail, rf"\b({'|'.join(fields)})\b")
    field = func.nullif(named, "")
    day = func.date(_columns.created_at)
    groups = (
        select(_columns.reason, field, day, letters, _PENDING, newest)
        .where(*wanted.conditions(group))
        .group_by(_columns.reason, field, day)
        .order_by(day.desc(), letters.desc(), newest.desc())
        .limit(limit)
    )
    with transaction(engine) as connection:
        found = connection.execute(groups).all()
        examples = {
            row.id: row
            for row in connection.execute(
                select(
                    _columns.id,
                    _columns.kafka_topic,
                    _columns.kafka_partition,
                    _columns.kafka_offset,
                    _columns.detail,
                    func.substring(_columns.value, 1, _SHOWN_BYTES).label("value"),
                ).where(_columns.id.in_([row[-1] for row in found]))
            )
        }
    return [_group(row, examples[row[-1]]) for row in found if row[-1] in examples]


def totals(engine: Engine, group: str, wanted: Filter) -> Sequence[Total]:
    """The dead letters by reason, most frequent first.

    Raises:
        TransientError, FatalError: see ``pipeline.errors``.
    """
    letters = func.count()
    statement = (
        select(_columns.reason, letters, _PENDING, func.max(_columns.created_at))
        .where(*wanted.conditions(group))
        .group_by(_columns.reason)
        .order_by(letters.desc(), _columns.reason)
    )
    with transaction(engine) as connection:
        return [Total(*row) for row in connection.execute(statement)]


def _group(row: Sequence[Any], example: Any) -> Group:
    position = f"{example.kafka_topic}/{example.kafka_partition}/{example.kafka_offset}"
    reason, field, day, letters, pending, newest = row
    return Group(
        reason, field, day, letters, pending, newest, position, example.detail, example.value
    )
