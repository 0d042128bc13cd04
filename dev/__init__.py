"""What the demo and the tests start on this machine: broker, private MariaDB, traffic."""

from pathlib import Path

#: The repository.
ROOT = Path(__file__).resolve().parent.parent
#: Everything made here lies in this folder, which git ignores.
LOCAL = ROOT / ".local"
