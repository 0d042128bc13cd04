"""What a library repeats is logged once a minute, with how often it was."""

import logging

import pytest

from config.repeats import INTERVAL, OnceAMinute


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def lines(clock, caplog):
    """Logs through the filter; returns what got through."""
    once = OnceAMinute(clock)
    loggers = [logging.getLogger(f"test_repeats.{name}") for name in ("a", "b")]
    for logger in loggers:
        logger.addFilter(once)
    caplog.set_level(logging.DEBUG)
    yield lambda: [record.getMessage() for record in caplog.records]
    for logger in loggers:
        logger.removeFilter(once)


def say(text, *values, name="a", level=logging.WARNING):
    logging.getLogger(f"test_repeats.{name}").log(level, text, *values)


def test_a_flood_is_two_lines_in_two_minutes(lines, clock):
    for _ in range(120 * 81):
        clock.now += 1 / 81
        say("Unable connect to node with id %s: %s", 1, "refused")
    assert lines() == [
        "Unable connect to node with id 1: refused",
        "Unable connect to node with id 1: refused (and 4860 like it in the last minutes)",
    ]


def test_other_lines_pass(lines):
    say("gone")
    say("gone", name="b")
    say("lost")
    say("gone", level=logging.ERROR)
    assert lines() == ["gone", "gone", "lost"]


def test_what_is_no_warning_passes(lines):
    for _ in range(3):
        say("joined", level=logging.INFO)
    assert lines() == ["joined"] * 3


def test_a_line_that_comes_once_a_minute_says_nothing_more(lines, clock):
    for _ in range(3):
        say("gone")
        clock.now += INTERVAL
    assert lines() == ["gone"] * 3
