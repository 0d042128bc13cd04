"""``python -m dev`` prints which broker and databases the tests use."""

import os
import sys

from dev.servers.chosen_broker import choose
from dev.servers.database import DEFAULT, SERVERS, chosen
from dev.servers.processes import StartError


def main() -> int:
    """Print one line for each; return the exit status.

    A missing server only skips its tests, except that with ``CI`` set it is an error.
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
