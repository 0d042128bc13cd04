"""Groups dead letters by what they have in common. Blocking."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import Engine, Select, String, cast, func, select

from db.dead_letters.query import Filter, by_id, transaction
from db.schema.tables import dead_letters

#: Dead letters that one statement groups: its temporary table stays small, however many there are.
PORTION = 20_000
#: Characters of a field's name that are told apart.
_FIELD_LENGTH = 64
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
    found: dict[_Key, _Count] = {}
    for first, last in _portions(engine):
        statement = _grouped(fields).where(
            _columns.id.between(first, last), *wanted.conditions(group)
        )
        with transaction(engine) as connection:
            for reason, field, day, letters, pending, newest in connection.execute(statement):
                key = _Key(day, reason, field)
                before = found.get(key, _Count(0, 0, 0))
                found[key] = _Count(before.letters + letters, before.pending + pending, newest)
    largest = sorted(
        found.items(),
        key=lambda item: (item[0].day, item[1].letters, item[1].newest),
        reverse=True,
    )[:limit]
    examples = _examples(engine, [count.newest for _, count in largest])
    return [
        _group(key, count, examples[count.newest])
        for key, count in largest
        if count.newest in examples
    ]


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


class _Key(NamedTuple):
    day: date
    reason: str
    field: str | None


class _Count(NamedTuple):
    letters: int
    pending: int
    newest: int


def _portions(engine: Engine) -> Iterator[tuple[int, int]]:
    """First and last id of each portion of the table, in rising order."""
    last = 0
    while True:
        ids = by_id(select(_columns.id).where(_columns.id > last)).limit(PORTION).subquery()
        with transaction(engine) as connection:
            first, end = connection.execute(select(func.min(ids.c.id), func.max(ids.c.id))).one()
        if end is None:
            return
        yield first, end
        last = end


def _grouped(fields: Iterable[str]) -> Select[Any]:
    """Counts by reason, field and day."""
    # The first field named. Without a match one server returns NULL, the other ''. Not the text of
    # up to 1000 characters that the detail is, of which some servers make tables on disk.
    named = func.regexp_substr(_columns.detail, rf"\b({'|'.join(fields)})\b")
    field = cast(func.nullif(named, ""), String(_FIELD_LENGTH))
    day = func.date(_columns.created_at)
    return (
        select(_columns.reason, field, day, func.count(), _PENDING, func.max(_columns.id))
        .with_hint(dead_letters, "FORCE INDEX (PRIMARY)")
        .group_by(_columns.reason, field, day)
    )


def _examples(engine: Engine, ids: Sequence[int]) -> dict[int, Any]:
    value = func.substring(_columns.value, 1, _SHOWN_BYTES).label("value")
    statement = select(
        _columns.id,
        _columns.kafka_topic,
        _columns.kafka_partition,
        _columns.kafka_offset,
        _columns.detail,
        value,
    ).where(_columns.id.in_(ids))
    with transaction(engine) as connection:
        return {row.id: row for row in connection.execute(statement)}


def _group(key: _Key, count: _Count, example: Any) -> Group:
    position = f"{example.kafka_topic}/{example.kafka_partition}/{example.kafka_offset}"
    return Group(key.reason, key.field, key.day, *count, position, example.detail, example.value)
