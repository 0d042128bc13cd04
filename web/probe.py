"""`python -m web.probe /health/`: asks the worker on this machine, for containers' probes.

The exit status is 0 when the page answers 200. Only the standard library is loaded: this runs
every few seconds.
"""

import os
import sys
import urllib.error
import urllib.request

TIMEOUT = 4


def main() -> int:
    """Ask, and print what is wrong; returns the exit status."""
    path = sys.argv[1]
    url = f"http://127.0.0.1:{os.environ.get('PORT') or 6066}{path}"
    request = urllib.request.Request(url)
    if token := os.environ.get("WEB_TOKEN"):
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT):  # noqa: S310 - our own page
            return 0
    except urllib.error.HTTPError as refusal:
        print(refusal.read().decode(errors="replace"))
    except OSError as error:
        print(f"{path} does not answer: {error}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
