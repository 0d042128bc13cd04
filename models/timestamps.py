"""Parses timestamps as Spark does, in UTC and to the microsecond.

The grammar is that of Spark 3.5's cast from string to timestamp (SparkDateTimeUtils,
parseTimestampString): parts have one or two digits, everything after the year is optional from the
right, the fraction may have any length, and a zone may follow the seconds. Text that does not parse
becomes null. A time without a date is today's in its zone, as in Spark. Zones come from the pinned
package `tzdata`, see `time_zones`.
"""

import re
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from enum import Enum
from functools import lru_cache
from typing import Final

from models import time_zones


class OutOfRange(Enum):
    """The time is valid, but a TIMESTAMP column cannot hold it."""

    OUT_OF_RANGE = "out of range"


OUT_OF_RANGE: Final = OutOfRange.OUT_OF_RANGE

#: The maximum of a TIMESTAMP column: MySQL 8.4 reference manual, 13.2.2.
LAST = "2038-01-19 03:14:07"

#: The usual form of a time: hour, minute, seconds, fraction, and a zone of whole minutes.
_PLAIN = re.compile(
    r"(\d{4}-\d\d-\d\d[T ]\d\d)(:[0-5]\d)(:[0-5]\d)"
    # Microseconds, as Spark keeps them, without zeros at their end.
    r"(?:(\.\d{0,5}[1-9])\d*+|\.\d*+)?"
    r"(Z|[+-]\d\d:\d\d)?",
    re.ASCII,
)
_is_plain = _PLAIN.fullmatch

_TIME = r"(\d{1,2})(?::(\d{1,2})(?::(\d{1,2})(?:\.(\d*+))?(\D.*)?)?)?"
_DATE_TIME = re.compile(
    rf"([+-])?(\d{{4,6}})(?:-(\d{{1,2}})(?:-(\d{{1,2}})(?:[T ]{_TIME})?)?)?", re.ASCII | re.DOTALL
)
_TIME_ALONE = re.compile(r"T?" + _TIME, re.ASCII | re.DOTALL)

#: UTF8String.trimAll: whitespace and ISO control characters, byte by byte.
_TRIMMED = "".join(map(chr, (*range(0x21), 0x7F)))

#: java.lang.String.trim, which Spark uses for the zone.
_JAVA_TRIMMED = "".join(map(chr, range(0x21)))

_EPOCH = datetime(1970, 1, 1)

#: Spark stores microseconds in 64 bits; anything beyond becomes null.
_MAX_MICROSECONDS = 2**63 - 1


def to_utc(text: str) -> str | OutOfRange | None:
    """Parse a timestamp.

    Returns:
        ``YYYY-MM-DD HH:MM:SS`` with a fraction of up to six digits unless it is zero;
        ``OUT_OF_RANGE``; or None if the text is not a timestamp.
    """
    plain = _is_plain(text)
    if plain is not None:
        hour, minute, seconds, fraction, zone = plain.groups()
        if fraction is not None:
            seconds += fraction
        found = _hour(hour, zone)
        if found is not None:
            return found + minute + seconds
        found = _minute(hour + minute, zone)
        if found is not None:
            return found + seconds
    return _any(text)


@lru_cache(maxsize=4096)
def _hour(text: str, zone: str | None) -> str | None:
    """The hour in UTC, if it is the same for all its minutes; else None."""
    found = _minute(f"{text}:00", zone)
    if found is None or not found.endswith(":00") or found[:13] == LAST[:13]:
        return None
    return found[:13]


@lru_cache(maxsize=4096)
def _minute(text: str, zone: str | None) -> str | None:
    """The minute in UTC, if it is the same for all its seconds; else None."""
    found = _any(f"{text}:00{zone or ''}")
    if not isinstance(found, str) or found[:16] == LAST[:16]:
        return None
    return found[:16]


def _any(text: str) -> str | OutOfRange | None:
    trimmed = text.strip(_TRIMMED)
    if match := _DATE_TIME.fullmatch(trimmed):
        sign, year, month, day, *time = match.groups()
        number = int(year) * (-1 if sign == "-" else 1)
        day_number = _day_number(number, int(month or 1), int(day or 1))
    elif (match := _TIME_ALONE.fullmatch(trimmed)) and (":" in trimmed or trimmed[:1] == "T"):
        time = list(match.groups())
        day_number = _today(time[4])
    else:
        return None
    if day_number is None:
        return None
    hour, minute, second = (int(part or 0) for part in time[:3])
    if hour > 23 or minute > 59 or second > 59:
        return None
    local = day_number * 86_400 + hour * 3600 + minute * 60 + second
    offset = _offset(time[4], local)
    if offset is None:
        return None
    fraction = (time[3] or "")[:6].rstrip("0")
    microseconds = (local - offset) * 1_000_000 + int(fraction.ljust(6, "0"))
    if not -_MAX_MICROSECONDS - 1 <= microseconds <= _MAX_MICROSECONDS:
        return None
    # A TIMESTAMP cannot be second 0, but a fraction after it is valid: MySQL rounds.
    if not 0 < microseconds < 2**31 * 1_000_000:
        return OUT_OF_RANGE
    moment = datetime.fromtimestamp(microseconds // 1_000_000, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}{fraction and f'.{fraction}'}"


def _day_number(year: int, month: int, day: int) -> int | None:
    """Days since 1970 in the proleptic Gregorian calendar, for any year; None if invalid."""
    # Python's dates end with year 9999; the calendar repeats every 400 years.
    cycles, within = divmod(year - 2000, 400)
    try:
        found = date(2000 + within, month, day)
    except ValueError:
        return None
    return (found - _EPOCH.date()).days + cycles * 146_097


def _today(zone: str | None) -> int | None:
    """Today's day number in a zone; None if Java does not know the zone."""
    found = _zone(zone)
    return (datetime.now(found).date() - _EPOCH.date()).days if found else None


def _offset(zone: str | None, local: int) -> int | None:
    """A zone's offset east of UTC at a local time, in seconds; None if Java does not know it."""
    found = _zone(zone)
    if found is None:
        return None
    try:
        offset = found.utcoffset(_EPOCH + timedelta(seconds=local))
    except OverflowError:
        offset = found.utcoffset(None)
    # None for a year beyond Python's in a zone with rules: no column can hold that time anyway.
    return int(offset.total_seconds()) if offset is not None else 0


def _zone(zone: str | None) -> tzinfo | None:
    """A zone as Spark reads it, by default UTC; None if Java does not know it."""
    if zone is None:
        return UTC
    name = zone.strip(_JAVA_TRIMMED)
    # Spark pads one-digit hours and minutes before it calls Java's ZoneId.
    name = re.sub(r"([+-])(\d):", r"\g<1>0\2:", name, count=1, flags=re.ASCII)
    name = re.sub(r"([+-]\d\d):(\d)$", r"\1:0\2", name, count=1, flags=re.ASCII)
    name = _JAVA_SHORT_IDS.get(name, name)
    if name == "Z" or name in _UTC_NAMES:
        return UTC
    for prefix in _UTC_NAMES:
        if name.startswith((f"{prefix}+", f"{prefix}-")):
            return _fixed(name[len(prefix) :])
    if name.startswith(("+", "-")):
        return _fixed(name)
    return time_zones.zone(name) if name in time_zones.names() else None


_FIXED = re.compile(
    r"([+-])(?:(\d)|(\d\d)|(\d\d)(\d\d)|(\d\d):(\d\d)|(\d\d)(\d\d)(\d\d)|(\d\d):(\d\d):(\d\d))",
    re.ASCII,
)


def _fixed(text: str) -> timezone | None:
    """Java's ZoneOffset.of: +h, +hh, +hhmm, +hh:mm, +hhmmss, +hh:mm:ss, up to 18 hours."""
    match = _FIXED.fullmatch(text)
    if not match:
        return None
    parts = [int(part) for part in match.groups()[1:] if part is not None]
    hours, minutes, seconds = (*parts, 0, 0)[:3]
    offset = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    if minutes > 59 or seconds > 59 or offset > timedelta(hours=18):
        return None
    return timezone(-offset if match[1] == "-" else offset)


_UTC_NAMES = ("UTC", "GMT", "UT")


#: java.time.ZoneId.SHORT_IDS (JDK 17).
_JAVA_SHORT_IDS = {
    "ACT": "Australia/Darwin",
    "AET": "Australia/Sydney",
    "AGT": "America/Argentina/Buenos_Aires",
    "ART": "Africa/Cairo",
    "AST": "America/Anchorage",
    "BET": "America/Sao_Paulo",
    "BST": "Asia/Dhaka",
    "CAT": "Africa/Harare",
    "CNT": "America/St_Johns",
    "CST": "America/Chicago",
    "CTT": "Asia/Shanghai",
    "EAT": "Africa/Addis_Ababa",
    "ECT": "Europe/Paris",
    "IET": "America/Indiana/Indianapolis",
    "IST": "Asia/Kolkata",
    "JST": "Asia/Tokyo",
    "MIT": "Pacific/Apia",
    "NET": "Asia/Yerevan",
    "NST": "Pacific/Auckland",
    "PLT": "Asia/Karachi",
    "PNT": "America/Phoenix",
    "PRT": "America/Puerto_Rico",
    "PST": "America/Los_Angeles",
    "SST": "Pacific/Guadalcanal",
    "VST": "Asia/Ho_Chi_Minh",
    "EST": "-05:00",
    "MST": "-07:00",
    "HST": "-10:00",
}
