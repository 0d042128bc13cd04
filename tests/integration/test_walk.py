"""How far a reader walks: the files that one clean write goes through, in order."""

import sys
from itertools import groupby
from pathlib import Path

from agents.flash_sales import FLASH_SALES
from db.write.writer import Writer
from dev import ROOT
from tests.helpers.sink import NOW, chunk


def walk(call):
    """The files of ``db`` that a call goes through, each function read at its first call."""
    seen = []
    read = set()

    def note(frame, event, _argument):
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(ROOT / "db"):
            if frame.f_code in read or frame.f_code.co_name.startswith("<"):
                return
            read.add(frame.f_code)
            seen.append(path.relative_to(ROOT / "db").with_suffix("").as_posix())

    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
    return [name for name, _ in groupby(seen)]


def test_a_clean_write_is_a_short_walk(begun, ways):
    writer = Writer(begun, "g", FLASH_SALES, "w")
    # The first one asks what the server can do.
    writer.write(1, NOW, [chunk(0, 10)])
    path = walk(lambda: writer.write(2, NOW, [chunk(10, 20)]))
    assert len(set(path)) <= 8, path
    assert len(path) - 1 <= 16, path
