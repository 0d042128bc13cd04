"""The page's search in dead letters: the newest that a filter selects, judged by today's rules.

Blocking: call it off the event loop.
"""

import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, func, select

from db.connection.errors import classified
from db.dead_letters.query import Filter
from db.schema.tables import dead_letters
from pipeline.printable import printable
from pipeline.stream import Stream

#: Dead letters shown, and how many of the newest are searched.
SHOWN = 20
SEARCHED = 50_000
#: Bytes shown of a value, and of one that is looked at alone.
SHOWN_BYTES = 1_000
WHOLE_BYTES = 65_536
#: Longer values are not checked against today's rules.
_JUDGED_BYTES = 65_536

_columns = dead_letters.c


class LetterSearch:
    """Searches the dead letters of one consumer group.

    Args:
        engine: from ``db.connection.engine.connect_for_queries``.
        group: the consumer group.
        stream: what they are of.
    """

    def __init__(self, engine: Engine, group: str, stream: Stream) -> None:
        self._transform = stream.transform
        self._engine = engine
        self._group = group

    def find(self, wanted: Filter) -> list[dict[str, Any]]:
        """The newest dead letters; whole ones where the filter names ids.

        ``replay`` is ``done``, ``possible`` if today's rules accept the event (the table may still
        refuse it), or ``refused``; None if the value is cut or too long to check.

        Raises:
            TransientError, FatalError: see ``pipeline.errors``.
        """
        newest = select(func.coalesce(func.max(_columns.id), 0)).scalar_subquery()
        statement = (
            select(
                _columns.id,
                _columns.created_at,
                _columns.reason,
                _columns.detail,
                _columns.kafka_topic,
                _columns.kafka_partition,
                _columns.kafka_offset,
                _columns.kafka_ts,
                _columns.replayed_at,
                func.substring(_columns.kafka_key, 1, SHOWN_BYTES).label("key"),
                func.substring(_columns.value, 1, _JUDGED_BYTES).label("value"),
                func.coalesce(_columns.value_bytes, func.length(_columns.value)).label("bytes"),
            )
            .where(*wanted.conditions(self._group))
            .order_by(_columns.id.desc())
            .limit(SHOWN)
        )
        if not wanted.ids:
            statement = statement.where(_columns.id > newest - SEARCHED)
        most = WHOLE_BYTES if wanted.ids else SHOWN_BYTES
        with classified(), self._engine.connect() as connection:
            return [self._shown(letter, most) for letter in connection.execute(statement)]

    def _shown(self, letter: Any, most: int) -> dict[str, Any]:
        return {
            "id": letter.id,
            "written": _utc(letter.created_at),
            "sent": letter.kafka_ts and _utc(letter.kafka_ts),
            "reason": letter.reason,
            "detail": printable(letter.detail.encode()),
            "position": f"{letter.kafka_topic}/{letter.kafka_partition}/{letter.kafka_offset}",
            "key": None if letter.key is None else printable(letter.key),
            "value": printable(letter.value and letter.value[:most]),
            "bytes": letter.bytes,
            "is_cut": len(letter.value or b"") > most
            or len(letter.value or b"") < (letter.bytes or 0),
            "replay": self._replay(letter),
        }

    def _replay(self, letter: Any) -> str | None:
        if letter.replayed_at:
            return "done"
        if len(letter.value or b"") < (letter.bytes or 0):
            return None
        return "possible" if isinstance(self._transform(letter.value), tuple) else "refused"


def replay_command(wanted: Filter) -> str:
    """The command that replays what the filter selects."""
    return shlex.join(["faust", "-A", "app", "dead-letters", "replay", *_words(wanted)])


def _words(wanted: Filter) -> Iterator[str]:
    yield from map(str, wanted.ids)
    options = {
        "--reason": wanted.reason,
        "--column": wanted.column,
        "--since": wanted.since and _utc(wanted.since),
        "--until": wanted.until and _utc(wanted.until),
    }
    for name, value in options.items():
        if value:
            yield from (name, value)
    if wanted.text:
        # One word: a text may begin with a hyphen.
        yield f"--text={wanted.text}"


def _utc(moment: datetime) -> str:
    # The database's times are in UTC, without a zone.
    naive = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    return f"{naive.isoformat(timespec='seconds')}Z"
