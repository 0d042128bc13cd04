"""Times as people write them, on every option that takes one."""

from datetime import UTC, datetime, timedelta, timezone

import click
import pytest

from commands.times import MOMENT, check_range, parse, said_range

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


def at(text):
    return parse(text, NOW)


@pytest.mark.parametrize(
    ("since", "until", "why"),
    [
        # At 10:00, 10:30 was yesterday.
        ("09:30", "10:30", "--since means 2026-11-27 09:30:00 UTC, --until 2026-11-26 10:30:00"),
        ("1h", "2h", "No time is in this range"),
        ("08:41", "08:41", "write the date too"),
        ("2026-11-28", None, "2026-11-28 00:00:00 UTC, which is in the future"),
    ],
)
def test_an_empty_range_is_one_sentence(since, until, why):
    with pytest.raises(click.UsageError, match=why):
        check_range(at(since), until and at(until), NOW)


@pytest.mark.parametrize(
    ("since", "until"),
    [(None, None), ("2h", None), (None, "2999-01-01"), ("10:30", "09:30"), ("2h", "2999-01-01")],
)
def test_any_other_range_is_taken(since, until):
    check_range(since and at(since), until and at(until), NOW)


def test_a_range_is_said():
    assert said_range("written", None, None) == ""
    assert said_range("written", at("08:41"), None) == ", written since 2026-11-27 08:41:00 UTC"
    assert said_range("written", at("2h"), at("1h")) == (
        ", written since 2026-11-27 08:00:00 UTC and before 2026-11-27 09:00:00 UTC"
    )
