"""Checks that each simulated event ended where it must, exactly once, for demo and fault tests."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import sqlalchemy
from sqlalchemy import text

from commands.traffic.simulator import Event, Outcome


@dataclass
class Audit:
    """The result; events are listed by number."""

    sent: int = 0
    rows: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    #: Neither stored nor dead-lettered.
    missing: list[int] = field(default_factory=list)
    #: More than once in the tables.
    doubled: list[int] = field(default_factory=list)
    #: In the wrong table, under the wrong reason, or never sent; with what was found.
    wrong: list[str] = field(default_factory=list)

    @property
    def exact(self) -> bool:
        """Whether every event is accounted for exactly once."""
        return not (self.missing or self.doubled or self.wrong)

    def __str__(self) -> str:
        drops = ", ".join(f"{number} {reason}" for reason, number in sorted(self.dropped.items()))
        return (
            f"{self.sent} events sent, {self.rows} rows stored, "
            f"{self.dropped.total()} dropped ({drops or 'none'}), "
            f"{len(self.doubled)} duplicates{_some(self.doubled)}, "
            f"{len(self.missing)} missing{_some(self.missing)}, "
            f"{len(self.wrong)} wrong{_some(self.wrong)}"
        )


class Sent:
    """Remembers what was sent, with one byte per event."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._outcomes = bytearray()
        for event in events:
            self.add(event)

    def add(self, event: Event) -> None:
        """Remember an event; events must come in order of their numbers, from 0.

        Raises:
            ValueError: a number was skipped.
        """
        if event.number != len(self._outcomes):
            raise ValueError(f"event {event.number} came after {len(self._outcomes)} others")
        self._outcomes.append(_OUTCOMES.index(event.outcome))

    def __len__(self) -> int:
        return len(self._outcomes)

    def audit(self, url: str) -> Audit:
        """Compare with the tables of the database at ``url`` (``mysql://…``)."""
        audit = Audit(sent=len(self))
        seen = bytearray(len(self))
        for identity, outcome in _stored(url):
            if outcome == Outcome.ROW:
                audit.rows += 1
            else:
                audit.dropped[outcome] += 1
            number = _number(identity)
            if not 0 <= number < len(self):
                audit.wrong.append(f"{identity}: {outcome}, never sent")
                continue
            if seen[number] == 1:
                audit.doubled.append(number)
            seen[number] = min(seen[number] + 1, 2)
            expected = _OUTCOMES[self._outcomes[number]]
            if expected != outcome:
                audit.wrong.append(f"{identity}: {outcome} instead of {expected}")
        audit.missing = [number for number, times in enumerate(seen) if not times]
        return audit


def count_stored(url: str) -> int:
    """Rows and dead letters in the database at ``url``."""
    with engine(url).connect() as connection:
        return int(connection.scalar(text(_COUNT)) or 0)


def engine(url: str) -> sqlalchemy.Engine:
    """An engine for ``mysql://…`` that keeps no connection open."""
    name = url.replace("mysql://", "mysql+pymysql://", 1)
    return sqlalchemy.create_engine(name, poolclass=sqlalchemy.NullPool)


_OUTCOMES = tuple(Outcome)
_COUNT = "SELECT (SELECT COUNT(*) FROM flash_sale_events) + (SELECT COUNT(*) FROM dead_letters)"


def _stored(url: str) -> Iterator[tuple[str, str]]:
    with engine(url).connect() as connection:
        stream = connection.execution_options(yield_per=10_000)
        for (event_id,) in stream.execute(text("SELECT event_id FROM flash_sale_events")):
            yield event_id, Outcome.ROW
        for key, reason in stream.execute(text("SELECT kafka_key, reason FROM dead_letters")):
            yield bytes(key or b"").decode(errors="replace"), reason


def _number(identity: str) -> int:
    tail = identity.rpartition("-")[2]
    return int(tail) if tail.isdecimal() else -1


def _some(found: list[int] | list[str]) -> str:
    return f" ({', '.join(map(str, found[:5]))}{', …' if len(found) > 5 else ''})" if found else ""
