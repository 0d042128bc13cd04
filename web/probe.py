"""`python -m web.probe /health/` queries the worker on this machine, for containers' probes.

The exit status is 0 if the page answers 200. What it imports imports only the standard library,
because it runs every few seconds.
"""

import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

from config.pages import address

TIMEOUT = 4


def main() -> int:
    """Query the page and print any problem; return the exit status."""
    path = sys.argv[1]
    base = address(os.environ.get("WEB_BIND") or "", os.environ.get("PORT") or 6066)
    request = urllib.request.Request(f"{base}{path}")  # noqa: S310 - it is http
    try:
        if token := _token():
            request.add_header("Authorization", f"Bearer {token}")
        # Ignore proxy settings: a proxy cannot reach this machine's pages.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=TIMEOUT):
            return 0
    except urllib.error.HTTPError as refusal:
        print(refusal.read().decode(errors="replace"))
    except OSError as error:
        print(f"{path} does not answer: {error}")
    return 1


def _token() -> str:
    """The token, from the variable or from the file that it names."""
    if file := os.environ.get("WEB_TOKEN_FILE"):
        return Path(file).read_text().rstrip("\r\n")
    return os.environ.get("WEB_TOKEN") or ""


if __name__ == "__main__":
    sys.exit(main())
