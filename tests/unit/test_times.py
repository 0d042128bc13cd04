"""Times as people write them, on every option that takes one."""

from datetime import UTC, datetime, timedelta, timezone

import click
import pytest

from commands.times import MOMENT, parse

NOW = datetime(2026, 11, 27, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2h", "2026-11-27T08:00"),
        ("90m", "2026-11-27T08:30"),
        ("1d12h", "2026-11-25T22:00"),
        ("1w", "2026-11-20T10:00"),
        ("30S", "2026-11-27T09:59:30"),
        ("08:41", "2026-11-27T08:41"),
        ("8:41", "2026-11-27T08:41"),
        ("08:41:30", "2026-11-27T08:41:30"),
        ("11:00", "2026-11-26T11:00"),
        ("10:30+01:00", "2026-11-27T09:30"),
        ("08:41Z", "2026-11-27T08:41"),
        ("2026-11-27", "2026-11-27T00:00"),
        ("2026-11-27 08:41", "2026-11-27T08:41"),
        ("2026-11-27 08:41:00 UTC", "2026-11-27T08:41"),
        ("2026-11-27T08:41:00Z", "2026-11-27T08:41"),
        ("2026-11-27T08:41:00+01:00", "2026-11-27T07:41"),
        ("2026-11-27T08:41:00.5", "2026-11-27T08:41:00.500"),
        ("2999-01-01 00:00:00", "2999-01-01T00:00"),
    ],
)
def test_what_is_meant(text, meant):
    found = parse(text, NOW)
    assert found == datetime.fromisoformat(meant).replace(tzinfo=UTC)
    assert found.utcoffset() == timedelta(0)


def test_now_may_be_in_any_zone():
    tokyo = timezone(timedelta(hours=9))
    assert parse("08:41", NOW.astimezone(tokyo)) == datetime(2026, 11, 27, 8, 41, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "UTC", "yesterday", "2 h", "h", "²h", "9" * 12 + "d"),
        *("25:00", "11/27/2026", "2026-13-01", "0001-01-01T00:00+14:00"),
        "2026-11-27T08:41:00 CET",
    ],
)
def test_what_is_no_time_is_answered_with_those_that_are(text):
    with pytest.raises(ValueError, match=r"is not a time: write 2h \(ago\), 08:41, .*UTC"):
        parse(text, NOW)
    with pytest.raises(click.BadParameter, match="is not a time"):
        MOMENT.convert(text, None, None)
