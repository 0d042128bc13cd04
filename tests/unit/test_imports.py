"""Importing does nothing: only `app` reads settings, patches libraries and makes an engine."""

import os
import subprocess
import sys

from dev import ROOT
from tests.unit.test_architecture import LAYERS, files

#: Run by itself with the names of modules: imports them, and notes what they do meanwhile.
IMPORT_ALL = """
import gc, importlib, logging, os, signal, sys, threading
import aiokafka, faust, sqlalchemy
from faust.cli.faust import cli
did, own = [], os._Environ.__getitem__

def by_us():
    # The module of ours that acts, and not the import system to load one.
    frame = sys._getframe(2)
    while frame and frame.f_globals["__name__"] not in sys.argv:
        if frame.f_globals["__name__"].startswith("importlib"):
            return None
        frame = frame.f_back
    return frame and frame.f_globals["__name__"]

def reading(self, key):
    frame = sys._getframe(1)
    while frame.f_globals["__name__"] in ("os", "collections.abc"):
        frame = frame.f_back
    if frame.f_globals["__name__"] in sys.argv:
        did.append((frame.f_globals["__name__"], key))
    return own(self, key)

def acting(event, arguments):
    if event in ("open", "os.mkdir", "socket.bind", "socket.connect", "subprocess.Popen"):
        if name := by_us():
            did.append((name, event, arguments))

def connecting(*_, **__):
    raise AssertionError("an engine is made")

def registered():
    handlers = [signal.getsignal(number) for number in signal.valid_signals()]
    logs = list(logging.root.handlers)
    return set(cli.commands), handlers, logs, gc.isenabled(), gc.get_threshold(), sys.excepthook

before = registered()
os._Environ.__getitem__, sqlalchemy.create_engine = reading, connecting
sys.addaudithook(acting)
for name in sys.argv[1:]:
    importlib.import_module(name)
os._Environ.__getitem__ = own
assert not did, did
assert registered() == before
assert threading.active_count() == 1
for name, module in list(sys.modules.items()):
    if name in sys.argv or name == "__main__":
        continue
    owners = [module, *(one for one in vars(module).values() if isinstance(one, type))]
    for owner in owners:
        for at, value in list(vars(owner).items()):
            assert getattr(value, "__module__", None) not in sys.argv, (owner, at, value)
"""


def test_importing_any_module_but_app_has_no_effect():
    found = [path.relative_to(ROOT) for package in LAYERS for path in files(package)]
    names = [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in found]
    modules = [name for name in names if name != "app" and not name.startswith("db.migrations")]
    done = subprocess.run(
        [sys.executable, "-B", "-c", IMPORT_ALL, *modules],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
