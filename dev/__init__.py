"""Servers and traffic for the demo and the tests, all on this machine."""

from pathlib import Path

#: The repository.
ROOT = Path(__file__).resolve().parent.parent
#: Everything made here lies in this folder, which git ignores.
LOCAL = ROOT / ".local"
