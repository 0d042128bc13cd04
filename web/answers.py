"""What the live page asks of the database, for all viewers together."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from db.dead_letters.query import Filter
from db.group_reports import GroupReports
from db.letter_search import SEARCHED, LetterSearch, replay_command
from db.reports import Reports
from pipeline.stream import REASONS
from pipeline.threads import in_thread
from web.shared import LOOK_AGE, Shared
from web.status import Status

#: Searches in dead letters that are kept, and characters of a text to search for.
_SEARCHES = 16
_TEXT = 200


class Answers:
    """One question at a time, however many pages are open.

    Args:
        state: this worker's: whether anything was stored.
        group: numbers of all workers.
        reports: sales.
        letters: dead letters.
        columns: names that their details may have.
    """

    def __init__(
        self,
        state: Status,
        group: GroupReports,
        reports: Reports,
        letters: LetterSearch,
        columns: tuple[str, ...],
    ) -> None:
        self._columns = columns
        self._state = state
        self._letters = letters
        self._one_at_a_time = asyncio.Lock()
        self._searches: OrderedDict[Filter, Shared] = OrderedDict()
        self.group = Shared(partial(self._ask, group.overview), self._version, LOOK_AGE)
        self.history = Shared(partial(self._ask, group.history), self._version)
        self.sales = Shared(partial(self._ask, reports.sales), self._version)

    async def search(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Dead letters, and the command that replays them.

        Args:
            query: ``reason``, ``column``, ``text``, ``since``, ``until`` or ``id``.

        Raises:
            ValueError: a value is none that exists; the text says which.
        """
        wanted = filter_of(query, self._columns)
        shared = self._searches.pop(wanted, None)
        if shared is None:
            shared = Shared(partial(self._ask, self._letters.find, wanted), self._version)
        self._searches[wanted] = shared
        if len(self._searches) > _SEARCHES:
            self._searches.popitem(last=False)
        answer = await shared.get()
        return {
            **answer,
            "command": replay_command(wanted),
            "searched": SEARCHED,
            "columns": self._columns,
        }

    def _version(self) -> object:
        """Changes whenever this worker stored something, or another one as far as is known."""
        return self._state.version(), (self.group.value or {}).get("newest")

    async def _ask(self, question: Callable[..., Any], *arguments: object) -> Any:
        async with self._one_at_a_time:
            return await in_thread(question, *arguments)


def filter_of(query: Mapping[str, str], columns: tuple[str, ...]) -> Filter:
    """What a query of ``Answers.search`` selects."""
    return Filter(
        ids=tuple(_number(one) for one in [query.get("id", "")] if one),
        reason=_one_of(REASONS, "reason", query),
        column=_one_of(columns, "column", query),
        text=query.get("text", "")[:_TEXT] or None,
        since=_time("since", query),
        until=_time("until", query),
    )


def _one_of(names: tuple[str, ...], what: str, query: Mapping[str, str]) -> str | None:
    found = query.get(what) or None
    if found is not None and found not in names:
        raise ValueError(f"no such {what}; there are {', '.join(names)}")
    return found


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise ValueError("no such id")
    return int(text)


def _time(what: str, query: Mapping[str, str]) -> datetime | None:
    text = query.get(what) or None
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{what} is no ISO 8601 time, such as 2026-11-27T08:41Z") from None
