"""`python -m web.probe /health/` queries the worker on this machine, for containers' probes.

The exit status is 0 if the page answers 200. Imports only the standard library, because it runs
every few seconds.
"""

import os
import sys
import urllib.error
import urllib.request

TIMEOUT = 4


def main() -> int:
    """Query the page and print any problem; return the exit status."""
    path = sys.argv[1]
    url = f"http://{_host()}:{os.environ.get('PORT') or 6066}{path}"
    request = urllib.request.Request(url)
    if token := os.environ.get("WEB_TOKEN"):
        request.add_header("Authorization", f"Bearer {token}")
    try:
        # Ignore proxy settings: a proxy cannot reach this machine's pages.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=TIMEOUT):
            return 0
    except urllib.error.HTTPError as refusal:
        print(refusal.read().decode(errors="replace"))
    except OSError as error:
        print(f"{path} does not answer: {error}")
    return 1


def _host() -> str:
    """The pages' host for a URL: the loopback address if they are served on all addresses."""
    bind = (os.environ.get("WEB_BIND") or "").strip("[]")
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(bind, bind)  # noqa: S104
    return f"[{host}]" if ":" in host else host


if __name__ == "__main__":
    sys.exit(main())
