"""Finds, counts and purges stored dead letters. Blocking."""

import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, Select, delete, func, or_, select
from sqlalchemy.dialects.mysql import LONGBLOB

from db.connection.errors import classified
from db.schema.tables import dead_letters

#: Maximum dead letters changed in one transaction, and read at once.
PORTION = 500
READ = 2_000

#: About how many bytes of values are in memory at once.
PORTION_BYTES = 16_000_000

_columns = dead_letters.c
#: What is read of one: not its group, which is known, and not what is computed of another column.
_READ = [one for one in _columns if one.name not in ("consumer_group", "kafka_ts_key")]


def by_id(statement: Select[Any], *, newest_first: bool = False) -> Select[Any]:
    """The statement, in the order of ids, read along the primary key.

    By any other key the server would sort all that match, for each portion.
    """
    order = _columns.id.desc() if newest_first else _columns.id
    return statement.with_hint(dead_letters, "FORCE INDEX (PRIMARY)").order_by(order)


@dataclass(frozen=True, slots=True)
class Filter:
    """Selects dead letters; a field that is None or empty does not filter.

    ``since`` and ``until`` have a time zone and apply to when the dead letter was written.
    ``offsets`` are the first and the last, None for open. ``pending`` means not replayed yet.
    ``column`` is one that the detail names; ``text`` is in the value or the detail.
    """

    ids: tuple[int, ...] = ()
    reason: str | None = None
    topic: str | None = None
    partitions: tuple[int, ...] = ()
    offsets: tuple[int | None, int | None] = (None, None)
    since: datetime | None = None
    until: datetime | None = None
    pending: bool = False
    column: str | None = None
    text: str | None = None

    def conditions(self, group: str) -> Iterator[ColumnElement[bool]]:
        """The SQL conditions, for one consumer group."""
        yield _columns.consumer_group == group
        if self.ids:
            yield _columns.id.in_(self.ids)
        if self.reason:
            yield _columns.reason == self.reason
        if self.topic:
            yield _columns.kafka_topic == self.topic
        if self.partitions:
            yield _columns.kafka_partition.in_(self.partitions)
        first, last = self.offsets
        if first is not None:
            yield _columns.kafka_offset >= first
        if last is not None:
            yield _columns.kafka_offset <= last
        if self.since:
            yield _columns.created_at >= self.since.astimezone(UTC)
        if self.until:
            yield _columns.created_at < self.until.astimezone(UTC)
        if self.pending:
            yield _columns.replayed_at.is_(None)
        if self.column:
            yield _columns.detail.regexp_match(rf"\b{re.escape(self.column)}\b")
        if self.text:
            in_value = func.instr(_columns.value, self.text.encode()) > 0
            yield or_(in_value, func.instr(_columns.detail, self.text) > 0)


def is_cut(letter: Row[Any]) -> bool:
    """Whether the row of ``dead_letters`` holds only the beginning of its value."""
    return len(letter.value or b"") < (letter.value_bytes or 0)


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """A transaction whose errors are those of ``pipeline.errors``."""
    with classified(), engine.begin() as connection:
        yield connection


class DeadLetters:
    """The dead letters of one consumer group.

    Raises (every method):
        TransientError, FatalError: see ``pipeline.errors``.
    """

    def __init__(self, engine: Engine, group: str) -> None:
        self._engine = engine
        self._group = group

    def find(
        self, wanted: Filter, limit: int | None = None, max_bytes: int | None = None
    ) -> Iterator[Row[Any]]:
        """The dead letters, newest first, with values and keys cut to ``max_bytes``."""
        shown = [
            func.substring(column, 1, max_bytes).label(column.name)
            if max_bytes is not None and isinstance(column.type, LONGBLOB)
            else column
            for column in _READ
        ]
        for ids in self.portions(wanted, limit, newest_first=True, most=READ):
            portion = _columns.id.between(ids[-1], ids[0])
            statement = select(*shown).where(portion, *wanted.conditions(self._group))
            with transaction(self._engine) as connection:
                found = connection.execute(by_id(statement, newest_first=True)).all()
            yield from found

    def count(self, wanted: Filter) -> int:
        """How many dead letters there are."""
        statement = select(func.count()).select_from(dead_letters)
        with transaction(self._engine) as connection:
            return connection.scalar(statement.where(*wanted.conditions(self._group))) or 0

    def existing(self, ids: Collection[int]) -> set[int]:
        """Which of these ids are dead letters of the group."""
        statement = select(_columns.id).where(*Filter(tuple(ids)).conditions(self._group))
        with transaction(self._engine) as connection:
            return set(connection.scalars(statement))

    def portions(
        self,
        wanted: Filter,
        limit: int | None = None,
        *,
        newest_first: bool = False,
        most: int = PORTION,
    ) -> Iterator[list[int]]:
        """Ids of the dead letters, in order, in portions whose values fit in memory."""
        size = func.coalesce(func.length(_columns.value), 0)
        statement = by_id(
            select(_columns.id, size).where(*wanted.conditions(self._group)),
            newest_first=newest_first,
        )
        left, page = limit, statement
        while left is None or left > 0:
            at_once = most if left is None else min(left, most)
            with transaction(self._engine) as connection:
                found = connection.execute(page.limit(at_once)).all()
            if not found:
                return
            sizes = accumulate(size for _, size in found)
            ids = [
                number
                for place, ((number, _), total) in enumerate(zip(found, sizes, strict=True))
                if place == 0 or total <= PORTION_BYTES
            ]
            yield ids
            left = None if left is None else left - len(ids)
            last = ids[-1]
            page = statement.where(_columns.id < last if newest_first else _columns.id > last)

    def purge(
        self,
        wanted: Filter,
        limit: int | None = None,
        progress: Callable[[int], None] = lambda number: None,
    ) -> int:
        """Delete dead letters permanently, oldest first; return how many.

        Args:
            wanted: which ones.
            limit: maximum number; None for all.
            progress: called after each portion with its size.
        """
        gone = 0
        for ids in self.portions(wanted, limit):
            with transaction(self._engine) as connection:
                statement = delete(dead_letters).where(_columns.id.in_(ids))
                gone += connection.execute(statement).rowcount
            progress(len(ids))
        return gone
