"""Parses times as people write them; without a zone they are in UTC."""

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import click
from faust.cli import option

#: For the help of an option that takes a time.
FORMS = "2h (ago), 08:41, 2026-11-27 or 2026-11-27T08:41:00+01:00; UTC without a zone"

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO = re.compile(r"(\d+[smhdw])+")
_CLOCK = re.compile(r"\d{1,2}:\d{2}.*")


def parse(text: str, now: datetime | None = None) -> datetime:
    """Parse a time; return it in UTC.

    Args:
        text: how long ago (``2h``, ``1h30m``; s, m, h, d, w), a time of day that has passed most
            recently (``08:41``, ``08:41+01:00``), a day (its beginning), or an ISO 8601 time. Zones
            are ``Z``, ``UTC`` or ``+01:00``; the default is UTC.
        now: with a zone; the default is the current time.

    Raises:
        ValueError: it is none of these.
    """
    now = (now or datetime.now(UTC)).astimezone(UTC)
    words = text.strip().removesuffix("UTC").strip() or text
    try:
        if _AGO.fullmatch(words.lower()):
            return now - _duration(words.lower())
        if _CLOCK.fullmatch(words):
            hours, _, rest = words.partition(":")
            return _passed(time.fromisoformat(f"{hours:0>2}:{rest}"), now)
        return _in_utc(datetime.fromisoformat(words))
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is not a time: write {FORMS}") from None


class Moment(click.ParamType):
    """A command-line parameter for a time; its value is in UTC."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Parse it."""
        if isinstance(value, datetime):
            return value
        try:
            return parse(value)
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)


MOMENT = Moment()


def range_options(happened: str) -> tuple[option, option]:
    """The options `--since` and `--until`; check what they give with ``check_range``.

    Args:
        happened: what happened within the range, such as ``written``.
    """
    return (
        option("--since", type=MOMENT, help=f"Only those {happened} at or after: {FORMS}."),
        option("--until", type=MOMENT, help=f"Only those {happened} before."),
    )


def check_range(
    since: datetime | None, until: datetime | None, now: datetime | None = None
) -> None:
    """Verify that there may be something from ``since`` (inclusive) to ``until``; None is open.

    Raises:
        click.UsageError: the range is turned round, or begins in the future.
    """
    if since and until and until <= since:
        raise click.UsageError(
            f"No time is in this range: --since means {said(since)}, --until {said(until)}. A time "
            "of day is the last time it was that late: for another day, write the date too."
        )
    if since and since > (now or datetime.now(UTC)):
        raise click.UsageError(f"--since means {said(since)}, which is in the future.")


def said(moment: datetime) -> str:
    """A time in a sentence, in UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def said_range(happened: str, since: datetime | None, until: datetime | None) -> str:
    """A range in a sentence, such as ``, written since …``; empty if it is open at both ends."""
    parts = [
        f"{word} {said(moment)}"
        for word, moment in (("since", since), ("before", until))
        if moment is not None
    ]
    return f", {happened} {' and '.join(parts)}" if parts else ""


def _duration(text: str) -> timedelta:
    found = re.findall(r"(\d+)([smhdw])", text)
    return sum((timedelta(**{_UNITS[unit]: int(n)}) for n, unit in found), timedelta())


def _passed(clock: time, now: datetime) -> datetime:
    zone = clock.tzinfo or UTC
    today: date = now.astimezone(zone).date()
    found = datetime.combine(today, clock.replace(tzinfo=zone))
    return (found if found <= now else found - timedelta(days=1)).astimezone(UTC)


def _in_utc(found: datetime) -> datetime:
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
