"""Listings: tables that fit the terminal, JSON that is typed and whole, CSV a line a record."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from commands.output import Column, cell, print_listing, print_record, table
from tests.helpers.listings import records

LONG = "a sentence that says at length why the event with the number 4711 was not stored as a row"
COLUMNS = (
    Column("id"),
    Column("written", "written (UTC)"),
    Column("worker"),
    Column("why"),
    Column("revenue"),
    Column("raw", table=False),
    Column("filled", spare=True),
)
WRITTEN = datetime(2026, 11, 27, 8, 41)
LINES = [
    {
        "id": 1234567890123,
        "written": WRITTEN,
        "worker": f"host-with-a-long-name-{n}",
        "why": LONG,
        "revenue": 12.5 * n,
        "raw": b"\xff\x1b[2J\n",
        "filled": {"price": n},
    }
    for n in range(3)
]


@pytest.mark.parametrize("width", [70, 80, 100, 120, 160])
def test_a_table_fits_and_no_number_or_time_is_cut(width):
    lines = table(COLUMNS, LINES, width).splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) == 5
    for n, line in enumerate(lines[2:]):
        assert all(whole in line for whole in ("1234567890123", "2026-11-27 08:41:00"))
        assert f"{12.5 * n:.2f}" in line
        assert "-0" in line or str(n) in line.split("…")[1], "two workers of a host are told apart"


def test_what_can_be_spared_goes_first():
    narrow, wide = (table(COLUMNS, LINES, width) for width in (70, 300))
    assert "filled" not in narrow
    assert "filled" in wide
    assert LONG in wide
    assert "raw" not in wide


def test_without_a_terminal_nothing_is_cut():
    assert LONG in table(COLUMNS, LINES, None)


def test_wide_characters_are_measured_as_a_terminal_does():
    lines = [{"why": "電" * 40, "id": 1}, {"why": "x", "id": 2}]
    shown = table([Column("why"), Column("id")], lines, 40).splitlines()
    assert shown[2].count("電") == 17
    assert shown[3].index("2") == 39


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "yes"),
        (WRITTEN, "2026-11-27 08:41:00"),
        (datetime(2026, 11, 27, 9, 41, tzinfo=timezone(timedelta(hours=1))), "2026-11-27 08:41:00"),
        (0.1 + 0.2, "0.30"),
        ({"price": 2, "user_id": 3}, "price 2, user_id 3"),
        (b"\x1b[2J\xff", "\\x1b[2J\\xff"),
        ("two\nlines", "two\\nlines"),
    ],
)
def test_a_cell_is_one_printable_line(value, text):
    assert cell(value) == text


def test_json_is_typed_and_whole_and_nothing_comes_after_it(capsys):
    print_listing("json", COLUMNS, iter(LINES))
    found = records(capsys.readouterr().out)
    assert [line["revenue"] for line in found] == [0.0, 12.5, 25.0]
    assert found[0] == {
        "id": 1234567890123,
        "written": "2026-11-27T08:41:00.000Z",
        "worker": "host-with-a-long-name-0",
        "why": LONG,
        "revenue": 0.0,
        "raw": {"base64": "/xtbMkoK"},
        "filled": {"price": 0},
    }
    print_listing("json", COLUMNS, [])
    assert capsys.readouterr().out == ""


def test_csv_is_a_line_a_record_that_harms_no_terminal(capsys):
    print_listing("csv", COLUMNS, LINES)
    printed = capsys.readouterr().out
    found = list(csv.DictReader(io.StringIO(printed)))
    assert len(printed.splitlines()) == 4
    assert found[1]["revenue"] == "12.5"
    assert found[1]["why"] == LONG
    assert found[1]["raw"] == "\\xff\\x1b[2J\\n"
    assert found[1]["written"] == "2026-11-27T08:41:00.000Z"
    print_listing("csv", COLUMNS, [])
    assert capsys.readouterr().out == "id,written,worker,why,revenue,raw,filled\n"


def test_nothing_to_list_is_said(capsys):
    print_listing(None, COLUMNS, [], none="No batch.")
    assert capsys.readouterr().out == "No batch.\n"


def test_one_record_is_an_object(capsys):
    columns = [Column("newest"), Column("seen", "last seen (UTC)")]
    line = {"newest": 7, "seen": datetime(2026, 11, 27, tzinfo=UTC)}
    print_record("json", columns, line)
    assert json.loads(capsys.readouterr().out) == {"newest": 7, "seen": "2026-11-27T00:00:00.000Z"}
    print_record(None, columns, line)
    assert capsys.readouterr().out.splitlines()[1] == "last seen (UTC)  2026-11-27 00:00:00"


def test_json_comes_as_it_is_read(capsys):
    printed = []

    def lines():
        for number in range(1000):
            printed.append(capsys.readouterr().out)
            yield {"id": number}

    print_listing("json", [Column("id")], lines())
    assert '{"id": 0}' in "".join(printed[:200]), "before all are read"
    assert len(records("".join([*printed, capsys.readouterr().out]))) == 1000
