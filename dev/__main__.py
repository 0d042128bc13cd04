"""``python -m dev`` says which broker and which databases the tests use."""

import os
import sys

from dev.broker import choose
from dev.database import DEFAULT, SERVERS, chosen
from dev.processes import StartError


def main() -> int:
    """Print a line for each; returns the exit status.

    A server that cannot be had costs its tests, but nothing else on a machine of one's own. Where
    ``CI`` is set it fails the run.
    """
    try:
        print(choose()[1])
        for name in [one] if (one := chosen()) else [DEFAULT, "mysql-9.7"]:
            try:
                print(f"Database: a private {SERVERS[name]().version}.", flush=True)
            except StartError as error:
                if name in (one, DEFAULT) or os.environ.get("CI"):
                    raise
                print(f"Database: {error}. The tests on it skip.", flush=True)
    except StartError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
