"""Time zones come from the pinned package, whatever the machine has."""

import os
import subprocess
import sys
from importlib.resources import files

from dev import ROOT

SUMMER_IN_BERLIN = "2026-07-01 12:00:00 Europe/Berlin"


def to_utc(text, **environment):
    """What ``to_utc`` makes of it in a process of its own: zones are cached."""
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from models.timestamps import to_utc\n"
         "print(to_utc(sys.argv[1]))", text],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )  # fmt: skip
    return done.stdout.strip()


def test_wrong_data_on_the_machine_changes_nothing(tmp_path):
    (tmp_path / "Europe").mkdir()
    tokyo = files("tzdata").joinpath("zoneinfo", "Asia", "Tokyo").read_bytes()
    (tmp_path / "Europe" / "Berlin").write_bytes(tokyo)
    found = to_utc(SUMMER_IN_BERLIN, PYTHONTZPATH=str(tmp_path))
    assert found == "2026-07-01 10:00:00"


def test_a_zone_that_only_the_machine_knows_is_none(tmp_path):
    (tmp_path / "Moon").mkdir()
    utc = files("tzdata").joinpath("zoneinfo", "UTC").read_bytes()
    (tmp_path / "Moon" / "Tranquility").write_bytes(utc)
    text = "2026-07-01 12:00:00 Moon/Tranquility"
    assert to_utc(text, PYTHONTZPATH=str(tmp_path)) == "None"


def test_a_machine_without_data_changes_nothing(tmp_path):
    assert to_utc(SUMMER_IN_BERLIN, PYTHONTZPATH=str(tmp_path)) == "2026-07-01 10:00:00"
