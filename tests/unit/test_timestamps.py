"""What no fixed case can say of a time: it depends on today, or on every character there is."""

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from models.timestamps import OUT_OF_RANGE, to_utc

#: From any moment of the day, in one of the first two it is another date than in UTC.
TODAY = [
    pytest.param("+18:00", timezone(timedelta(hours=18)), id="+18:00"),
    pytest.param("-18:00", timezone(timedelta(hours=-18)), id="-18:00"),
    pytest.param(" Pacific/Kiritimati", ZoneInfo("Pacific/Kiritimati"), id="Kiritimati"),
    pytest.param(" Pacific/Pago_Pago", ZoneInfo("Pacific/Pago_Pago"), id="Pago_Pago"),
    pytest.param("\n\nUTC", UTC, id="UTC"),
    pytest.param("", UTC, id="none"),
]


def at(day: date, hour: int, minute: int = 0, second: int = 0, zone=UTC) -> str:
    local = datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=zone)
    return f"{local.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


@pytest.mark.parametrize(("spelled", "zone"), TODAY)
def test_a_time_without_a_date_is_today_where_its_zone_is(spelled, zone):
    before = datetime.now(zone).date()
    found = to_utc(f"10:15:30{spelled}"), to_utc(f"T10:15:30{spelled}")
    with_fraction = to_utc(f"10:15:30.5{spelled}")
    # Midnight may pass meanwhile.
    days = before, datetime.now(zone).date()
    times = {at(day, 10, 15, 30, zone) for day in days}
    assert set(found) <= times
    assert with_fraction in {f"{time}.5" for time in times}


@pytest.mark.parametrize(("text", "time"), [("T7", (7,)), ("T10", (10,)), ("7:5", (7, 5))])
def test_a_time_without_a_date_may_be_short(text, time):
    before = datetime.now(UTC).date()
    assert to_utc(text) in {at(day, *time) for day in (before, datetime.now(UTC).date())}


@pytest.mark.parametrize(
    "text", ["10", "T", "TT10", "XT10", "10:", ":10", "-10:15", "１０:15", "10:15:30 X"]
)
def test_what_is_no_time_without_a_date_is_null(text):
    assert to_utc(text) is None


@pytest.mark.parametrize("place", range(0x100))
def test_only_blanks_and_ascii_control_characters_are_trimmed(place):
    around = chr(place)
    trimmed = place <= 0x20 or place == 0x7F
    expected = "2026-11-27 00:00:00" if trimmed else None
    assert to_utc(f"{around}2026-11-27{around}") == expected


@pytest.mark.parametrize("blank", [chr(place) for place in range(0x21)])
def test_blanks_before_a_zone_are_trimmed(blank):
    assert to_utc(f"2026-11-27 10:15:30{blank}+01:00") == "2026-11-27 09:15:30"


@pytest.mark.parametrize("other", ["!", "X", "\x7f", "\xa0"])
def test_nothing_else_is_trimmed_before_a_zone(other):
    assert to_utc(f"2026-11-27 10:15:30{other}+01:00") is None


@pytest.mark.parametrize("year", ["-9999", "0000", "0001", "9999", "10000", "+290000"])
@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin", "Pacific/Apia"])
def test_far_year_in_a_named_zone_is_out_of_range(year, zone):
    assert to_utc(f"{year}-01-01 00:00:00 {zone}") is OUT_OF_RANGE
    assert to_utc(f"{year}-12-31 23:59:59 {zone}") is OUT_OF_RANGE


def test_summer_time_begins_and_ends_on_the_day():
    assert to_utc("2026-03-29 01:59:59 Europe/Berlin") == "2026-03-29 00:59:59"
    assert to_utc("2026-03-29 03:00:00 Europe/Berlin") == "2026-03-29 01:00:00"
    assert to_utc("2026-10-25 01:59:59 Europe/Berlin") == "2026-10-24 23:59:59"
    assert to_utc("2026-10-25 03:00:00 Europe/Berlin") == "2026-10-25 02:00:00"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("294247-01-10T04:00:54.7758079Z", OUT_OF_RANGE),
        ("294247-01-10T04:00:54.775808Z", None),
        ("294247-01-10T05:00:54.775807+01:00", OUT_OF_RANGE),
        ("294247-01-10T04:00:54.9Z", None),
        ("-290308-12-21T19:59:05.224192Z", OUT_OF_RANGE),
        ("-290308-12-21T19:59:05.224191Z", None),
        ("-290308-12-21T20:59:05.224192+01:00", OUT_OF_RANGE),
    ],
)
def test_what_64_bits_of_microseconds_cannot_hold_is_null(text, expected):
    """A fraction is cut to microseconds before."""
    assert to_utc(text) is expected


@pytest.mark.parametrize(
    ("digits", "kept"),
    [
        *[("", ""), (".", ""), (".0", ""), (".000000", ""), (".0000009", ""), (".5", ".5")],
        *[(".50", ".5"), (".05", ".05"), (".123456", ".123456"), (".1234569", ".123456")],
        *[(".9999999", ".999999"), (".000001", ".000001"), (".100000000000000000001", ".1")],
    ],
)
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-27T10:15:30{}Z", "2026-11-27 10:15:30"),
        ("2026-11-27 10:15:30{}+01:00", "2026-11-27 09:15:30"),
        ("2026-11-27 10:15:30{}+05:30", "2026-11-27 04:45:30"),
        ("2026-11-27 10:15:30{} Europe/Berlin", "2026-11-27 09:15:30"),
        ("2038-01-19 03:14:07{}", "2038-01-19 03:14:07"),
        ("1970-01-01 00:00:01{}", "1970-01-01 00:00:01"),
    ],
)
def test_microseconds_are_kept(digits, kept, text, expected):
    assert to_utc(text.format(digits)) == expected + kept


def test_a_fraction_of_second_0_is_left_to_the_server():
    assert to_utc("1970-01-01 00:00:00.0000009") is OUT_OF_RANGE
    assert to_utc("1970-01-01 00:00:00.000001") == "1970-01-01 00:00:00.000001"
    assert to_utc("1970-01-01T01:00:00.5+01:00") == "1970-01-01 00:00:00.5"
    assert to_utc("1969-12-31 23:59:59.999999") is OUT_OF_RANGE
    assert to_utc("2038-01-19 03:14:08.0") is OUT_OF_RANGE
