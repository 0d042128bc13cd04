"""Importing does nothing: only `app` reads settings, patches libraries and makes an engine."""

import os
import subprocess
import sys

from dev import ROOT
from tests.unit.test_architecture import LAYERS, files

#: Run by itself with the names of modules: imports them, and notes what they do meanwhile.
IMPORT_ALL = """
import importlib, os, sys, threading
import sqlalchemy
read, own = [], os._Environ.__getitem__
def watched(self, key):
    frame = sys._getframe(1)
    while frame.f_globals["__name__"] in ("os", "collections.abc"):
        frame = frame.f_back
    if frame.f_globals["__name__"] in sys.argv:
        read.append((frame.f_globals["__name__"], key))
    return own(self, key)
def connecting(*_, **__): raise AssertionError("an engine is made")
os._Environ.__getitem__, sqlalchemy.create_engine = watched, connecting
for name in sys.argv[1:]:
    importlib.import_module(name)
from source import patches
changed = [getattr(owner, name) for owner, names in patches.REPLACED.items() for name in names]
changed = [one for one in changed if one.__module__ in sys.argv]
assert not read and not changed and threading.active_count() == 1, (read, changed)
"""


def test_importing_any_module_but_app_has_no_effect():
    found = [path.relative_to(ROOT) for package in LAYERS for path in files(package)]
    names = [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in found]
    modules = [name for name in names if name != "app" and not name.startswith("db.migrations")]
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, *modules],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
