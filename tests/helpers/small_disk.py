"""A database server whose disk can be filled: its data is on a small file system in memory."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dev.servers.database import DatabaseServer
from tests.helpers.accounts import make_accounts

#: MB that a server with our tables needs, and some to fill.
_SIZE = 600


class SmallDisk:
    """A server, and what else is on its disk.

    Args:
        folder: where the file system is mounted.
        like: a server of the same kind.
    """

    def __init__(self, folder: Path, like: DatabaseServer) -> None:
        self.server = type(like)(folder / "server", like.installation)
        self._others = folder / "others"

    def fill(self) -> None:
        """Leave no byte free."""
        disk = os.statvfs(self._others.parent)
        with self._others.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, disk.f_bavail * disk.f_frsize)

    def free(self) -> None:
        """Give that space back."""
        self._others.unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path, like: DatabaseServer) -> Iterator[SmallDisk]:
    """Mount it at a new folder and start the server with both accounts; skip where root must."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}m,mode=755", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a disk of its own takes root: {done.stderr.strip()}")
    try:
        disk = SmallDisk(folder, like)
        with disk.server as server:
            make_accounts(server)
            yield disk
    finally:
        subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()
