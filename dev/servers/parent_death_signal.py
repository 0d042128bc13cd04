"""Run a command that dies with its parent.

``python parent_death_signal.py PARENT_PID USER COMMAND…``

A separate program, because ``preexec_fn`` is not safe with threads. The kernel keeps the setting
across ``exec``, but resets it when the user changes: change the user first.
"""

import ctypes
import os
import pwd
import signal
import sys

PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int, number: int) -> None:
    """Have the kernel send signal ``number`` when the parent ends, even by SIGKILL.

    Args:
        parent: the parent's pid, as the parent knows it.
        number: the signal.

    Raises:
        SystemExit: the parent has ended already.
        OSError: the kernel refused.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:
        raise SystemExit(1)


def become(user: str) -> None:
    """Switch from root to ``user``."""
    entry = pwd.getpwnam(user)
    os.initgroups(user, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def main() -> None:
    parent, user, *command = sys.argv[1:]
    if user:
        become(user)
    die_with_parent(int(parent), signal.SIGKILL)
    os.execvp(command[0], command)  # noqa: S606 - no shell is the point


if __name__ == "__main__":
    main()
