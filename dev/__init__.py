"""What demo, tests and documentation need on this machine, and the worker does not."""

from pathlib import Path

#: The repository.
ROOT = Path(__file__).resolve().parent.parent
#: Everything made here lies in this folder, which git ignores.
LOCAL = ROOT / ".local"
