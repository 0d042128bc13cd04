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
    url = f"http://{_host()}:{os.environ.get('PORT') or 6066}{path}"
    request = urllib.request.Request(url)
    if token := os.environ.get("WEB_TOKEN"):
        request.add_header("Authorization", f"Bearer {token}")
    try:
        # No proxy: one that is set for the way out does not know this machine's pages.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=TIMEOUT):
            return 0
    except urllib.error.HTTPError as refusal:
        print(refusal.read().decode(errors="replace"))
    except OSError as error:
        print(f"{path} does not answer: {error}")
    return 1


def _host() -> str:
    """Where the pages are served, as a URL has it: every address includes the loopback one."""
    bind = (os.environ.get("WEB_BIND") or "").strip("[]")
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(bind, bind)  # noqa: S104
    return f"[{host}]" if ":" in host else host


if __name__ == "__main__":
    sys.exit(main())
