"""`python -m web.probe /health/` queries the worker on this machine, for containers' probes.

The exit status is 0 if the page answers 200. Imports no package, because it runs every few seconds.
"""

import os
import sys
import urllib.error
import urllib.request

from config.secret_files import named

TIMEOUT = 4


def main() -> int:
    """Query the page and print any problem; return the exit status."""
    path = sys.argv[1]
    url = f"http://{_host()}:{os.environ.get('PORT') or 6066}{path}"
    request = urllib.request.Request(url)
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
    except ValueError as error:
        print(error)
    return 1


def _token() -> str:
    """The token of the pages: set, or in a file; empty if they ask for none."""
    values = {name: value for name, value in os.environ.items() if value}
    file = named("WEB_TOKEN", values)
    return file.read() if file else values.get("WEB_TOKEN", "")


def _host() -> str:
    """The pages' host for a URL: the loopback address if they are served on all addresses."""
    bind = (os.environ.get("WEB_BIND") or "").strip("[]")
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(bind, bind)  # noqa: S104
    return f"[{host}]" if ":" in host else host


if __name__ == "__main__":
    sys.exit(main())
