"""Prints listings as a table that fits the terminal, as JSON or as CSV.

In JSON, values are typed and complete, times are ISO 8601 in UTC, and stdout contains nothing else:
remarks go to stderr.
"""

import csv
import io
import json
import shutil
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import islice
from typing import Any, Literal
from unicodedata import combining, east_asian_width

import click
from faust.cli import option

from pipeline.printable import printable

Form = Literal["json", "csv"] | None
#: A line of a listing: typed values by the column's name.
Line = Mapping[str, Any]

#: Options of a command that lists something; its function gets ``form``, None for a table.
FORMS = (
    option("--json", "form", flag_value="json", default=None, help="Print JSON."),
    option("--csv", "form", flag_value="csv", help="Print CSV."),
)

#: Texts in a table that is too wide are cut to no fewer characters than this.
_NARROW = 10
_GAP = "  "
#: Lines of JSON or CSV that are printed at once.
_BLOCK = 100
#: Maximum characters of a text in a table.
_LONG = 300


def cell(value: Any) -> str:
    """A value in a table: printable, on one line."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{_utc(value):%Y-%m-%d %H:%M:%S}"
    if isinstance(value, float):
        return f"{value:.2f}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {cell(one)}" for name, one in value.items())
    return printable(value if isinstance(value, bytes) else str(value).encode(), _LONG)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a listing.

    Args:
        name: its key in the line, in JSON and in CSV.
        heading: in the table; the default is the name.
        show: formats the value for the table.
        spare: whether the table omits it if the terminal is too narrow.
        table: whether the table has it at all.
    """

    name: str
    heading: str | None = None
    show: Callable[[Any], str] = cell
    spare: bool = False
    table: bool = True

    @property
    def title(self) -> str:
        """Its heading in the table."""
        return self.name if self.heading is None else self.heading


def print_listing(
    form: Form, columns: Sequence[Column], lines: Iterable[Line], *, none: str = "Nothing."
) -> None:
    """Print lines as they come, or all of them as a table; ``none`` if the table is empty.

    In JSON each line is an object.
    """
    if form == "json":
        _print_in_blocks(_in_json(columns, lines))
    elif form == "csv":
        _print_in_blocks(_as_csv(columns, lines))
    else:
        found = list(lines)
        click.echo(table(columns, found, terminal_width()) if found else none)


def print_record(form: Form, columns: Sequence[Column], line: Line) -> None:
    """Print a single line: an object in JSON, one value per line as text."""
    if form == "json":
        print_json(_typed_line(columns, line))
    elif form == "csv":
        _print_in_blocks(_as_csv(columns, [line]))
    else:
        shown = [column for column in columns if column.table]
        wide = max(len(column.title) for column in shown)
        for column in shown:
            click.echo(f"{column.title:<{wide}}{_GAP}{column.show(line[column.name])}")


def print_json(value: Any) -> None:
    """Print a value of any depth as JSON."""
    click.echo(json.dumps(typed(value), indent=2))


def remark(form: Form, text: str) -> None:
    """Print a remark below a table, or to stderr if programs read the output."""
    click.echo(text, err=form is not None)


def terminal_width() -> int | None:
    """Characters per line of the terminal (or ``COLUMNS``); None if unlimited."""
    return shutil.get_terminal_size((0, 0)).columns or None


def table(columns: Sequence[Column], lines: Sequence[Line], width: int | None) -> str:
    """The lines as a table with headings, no wider than ``width`` if possible.

    Spare columns are dropped first, then the widest texts are cut; numbers and times never.
    """
    shown = [column for column in columns if column.table]
    texts = {c.name: [c.show(line[c.name]) for line in lines] for c in shown}
    numbers = {c.name for c in shown if _are_numbers(texts[c.name])}
    times = {c.name for c in shown if any(isinstance(line[c.name], date) for line in lines)}
    widths = {c.name: max(map(_width, [c.title, *texts[c.name]])) for c in shown}
    cut = {c.name for c in shown} - numbers - times
    if width is not None:
        while _least(shown, widths, cut) > width and any(c.spare for c in shown):
            shown.remove(next(c for c in reversed(shown) if c.spare))
        widths = {c.name: widths[c.name] for c in shown}
        _shrink(widths, cut, width)

    def line_of(cells: Sequence[str]) -> str:
        padded = [
            _padded(_cut(text, widths[c.name]), widths[c.name], right=c.name in numbers)
            for c, text in zip(shown, cells, strict=True)
        ]
        return _GAP.join(padded).rstrip()

    heading = [line_of([c.title for c in shown]), _GAP.join("─" * widths[c.name] for c in shown)]
    rows = zip(*(texts[c.name] for c in shown), strict=True)
    return "\n".join([*heading, *map(line_of, rows)])


def typed(value: Any) -> Any:
    """A value for JSON."""
    # Most values of a listing, which may have hundreds of thousands.
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, datetime):
        return f"{_utc(value).isoformat(timespec='milliseconds')}Z"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"base64": b64encode(value).decode()}
    if isinstance(value, Mapping):
        return {str(name): typed(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [typed(one) for one in value]
    return value


def _print_in_blocks(lines: Iterable[str]) -> None:
    """Print lines as they come, but not each by itself: that takes as long as reading them."""
    coming = iter(lines)
    while block := list(islice(coming, _BLOCK)):
        click.echo("".join(block), nl=False)


def _in_json(columns: Sequence[Column], lines: Iterable[Line]) -> Iterator[str]:
    # A listing may have hundreds of thousands: only what JSON lacks is turned into it by Python.
    encode = json.JSONEncoder(default=typed).encode
    names = [column.name for column in columns]
    for line in lines:
        yield f"{encode({name: line[name] for name in names})}\n"


def _as_csv(columns: Sequence[Column], lines: Iterable[Line]) -> Iterator[str]:
    yield _csv_line(column.name for column in columns)
    for line in lines:
        yield _csv_line(_in_csv(line[column.name]) for column in columns)


def _csv_line(cells: Iterable[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def _in_csv(value: Any) -> str:
    """A value for CSV, with unprintable characters escaped, so that a record is one line."""
    if value is None:
        return ""
    found = value if isinstance(value, bytes) else typed(value)
    if isinstance(found, bool | dict | list):
        return json.dumps(found)
    return printable(found if isinstance(found, bytes) else str(found).encode())


def _typed_line(columns: Sequence[Column], line: Line) -> dict[str, Any]:
    return {column.name: typed(line[column.name]) for column in columns}


def _utc(moment: datetime) -> datetime:
    """A time in UTC, without its zone, as the database's times are."""
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _are_numbers(texts: Iterable[str]) -> bool:
    found = [text for text in texts if text]
    return bool(found) and all(
        text.removeprefix("-").replace(".", "", 1).isdigit() for text in found
    )


def _least(shown: Sequence[Column], widths: Mapping[str, int], cut: set[str]) -> int:
    """The minimum width of the table."""
    least = (min(widths[c.name], _NARROW) if c.name in cut else widths[c.name] for c in shown)
    return sum(least) + len(_GAP) * (len(shown) - 1)


def _shrink(widths: dict[str, int], cut: set[str], width: int) -> None:
    room = width - len(_GAP) * (len(widths) - 1)
    for least in (_NARROW, 1):
        while (over := sum(widths.values()) - room) > 0:
            wide = sorted((n for n in widths if n in cut), key=widths.__getitem__, reverse=True)
            if not wide or widths[wide[0]] <= least:
                break
            next_one = widths[wide[1]] if len(wide) > 1 else least
            step = max(1, min(over, widths[wide[0]] - max(next_one, least)))
            widths[wide[0]] -= step


def _cut(text: str, width: int) -> str:
    """The text cut to ``width``: a sentence loses its end, a name its middle."""
    if _width(text) <= width:
        return text
    if " " in text or width < _NARROW:
        return f"{_head(text, width - 1)}…"
    tail = width // 2
    return f"{_head(text, width - 1 - tail)}…{_head(text[::-1], tail)[::-1]}"


def _head(text: str, width: int) -> str:
    for place, character in enumerate(text):
        width -= _width(character)
        if width < 0:
            return text[:place]
    return text


def _width(text: str) -> int:
    """The text's width on a terminal."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(c) else 1 + (east_asian_width(c) in "FW") for c in text)


def _padded(text: str, width: int, *, right: bool) -> str:
    room = " " * (width - _width(text))
    return f"{room}{text}" if right else f"{text}{room}"
