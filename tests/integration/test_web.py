"""The web pages: all of them listed, read only, behind the token, and telling no secrets."""

import json
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from base64 import b64encode
from contextlib import suppress
from pathlib import Path

import pytest

from dev import ROOT
from tests.helpers.worker import environment
from web import server

DOCUMENT = (ROOT / "docs" / "web.md").read_text()
LISTED = set(re.findall(r"^\| `(/\S*)` \|", DOCUMENT, re.MULTILINE))
TOKEN = "a-token-of-the-tests"
MARK = "value-of-a-variable-nobody-asked-for"

ROUTES = """
import json, app
app.app.finalize()
app.app.web.init_server()
routes = app.app.web.web_app.router.routes()
print(json.dumps([(route.method, route.resource.canonical) for route in routes]))
"""


@pytest.fixture(scope="module")
def routes():
    """Method and path of every route, asked of the app's own router."""
    env = environment(KAFKA_URL="kafka://127.0.0.1:9", DATABASE_URL="mysql://u:p@127.0.0.1:9/d")
    done = subprocess.run(
        [sys.executable, "-c", ROUTES],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    return [tuple(route) for route in json.loads(done.stdout)]


def ask(running, path, method="GET", authorization=None, address="127.0.0.1", **headers):
    """Status, headers and body."""
    if authorization:
        headers["Authorization"] = authorization
    url = f"http://{address}:{running.port}{path}"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, method=method, headers=named)
    try:
        answer = urllib.request.urlopen(request, timeout=10)
    except urllib.error.HTTPError as refusal:
        answer = refusal
    with answer:
        return answer.status, answer.headers, answer.read().decode()


def test_every_route_is_listed(routes):
    assert {path for _, path in routes} == LISTED
    assert {method for method, _ in routes} == {"GET", "HEAD"}


def test_pages_are_guarded_and_tell_no_secrets(routes, worker, produce, migrated_url, monkeypatch):
    monkeypatch.setenv("UNRELATED", MARK)
    produce([b'{"event_id": "e", "user_id": "u", "category": "c"}', b"bad"])
    running = worker(WEB_TOKEN=TOKEN, WEB_BIND="127.0.0.1")
    running.wait_for(lambda: ready(running), 40, "the worker")
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.2", running.port), 5)
    password = migrated_url.split(":")[2].split("@")[0]
    forbidden = [MARK, TOKEN, password, str(ROOT), "site-packages", "aiohttp", "Traceback"]
    for _, path in routes:
        status, headers, body = ask(running, path, authorization=f"Bearer {TOKEN}")
        assert status == 200, (path, body)
        assert not [word for word in forbidden if word in f"{headers}{body}"], path
        assert "default-src 'none'" in headers["Content-Security-Policy"], path
        assert "'unsafe" not in headers["Content-Security-Policy"], path
        assert headers["X-Content-Type-Options"] == "nosniff", path
        assert ask(running, path, "HEAD", f"Bearer {TOKEN}")[::2] == (200, ""), path
        for wrong in (None, "Bearer", f"Bearer {TOKEN}x", "Basic !", f"Digest {TOKEN}"):
            status, headers, body = ask(running, path, authorization=wrong)
            assert status == (200 if path == "/health/" else 401), (path, wrong)
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            status, headers, _ = ask(running, path, method, f"Bearer {TOKEN}")
            assert status == 405
            assert headers["Allow"] == "GET, HEAD"
    basic = b64encode(f"anyone:{TOKEN}".encode()).decode()
    assert ask(running, "/batches/", authorization=f"Basic {basic}")[0] == 200
    assert ask(running, "/batches/")[1]["WWW-Authenticate"].startswith("Basic ")
    status, headers, body = ask(running, "/nothing/<script>", authorization=f"Bearer {TOKEN}")
    assert (status, json.loads(body)) == (404, {"status": "error", "reason": "Not Found"})
    assert headers["X-Frame-Options"] == "DENY"
    assert ask(running, "/nothing/")[0] == 401
    assert TOKEN not in running.log_text()


def other_address():
    """An address of this machine's under which it is another machine to itself."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Nothing is sent: the system only looks up its route.
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        found = str(probe.getsockname()[0])
    return None if found.startswith("127.") else found


def open_files(running):
    return len([*Path(f"/proc/{running.pid}/fd").iterdir()])


OPEN = {"/health/", "/ready/", "/metrics"}


def test_without_a_token_events_are_shown_to_this_machine_alone(routes, worker):
    running = worker().wait_ready()
    elsewhere = other_address()
    for _, path in routes:
        assert ask(running, path)[0] == 200, path
        for address, headers in (
            ("127.0.0.1", {"X_Forwarded_For": "203.0.113.9"}),
            ("127.0.0.1", {"Forwarded": "for=203.0.113.9", "Accept": "text/html"}),
            ("127.0.0.1", {"Host": "rebound.test"}),
            *([(elsewhere, {}), (elsewhere, {"Host": "localhost"})] if elsewhere else []),
        ):
            status, found, body = ask(running, path, address=address, **headers)
            if path in OPEN:
                assert status == 200, (path, headers)
                continue
            assert status == 403, (path, headers)
            assert "set WEB_TOKEN" in json.loads(body)["reason"]
            assert found["X-Frame-Options"] == "DENY"
    assert ask(running, "/nothing/", X_Real_IP="203.0.113.9")[0] == 403
    if elsewhere is None:
        pytest.skip("this machine has no address but the loopback")


def test_a_flood_of_idle_connections_costs_the_worker_little(worker):
    running = worker().wait_ready()
    files, memory = open_files(running), running.memory()
    flood = [socket.create_connection(("127.0.0.1", running.port), 5) for _ in range(300)]
    try:
        for one in flood[150:]:
            with suppress(OSError):
                one.sendall(b"GET /batches/ HTTP/1.1\r\nHost: lo")
        assert running.request("/health/")[0] == 200
        # Further ones may be the database's.
        assert open_files(running) - files <= server.LIMIT + 10
        assert running.memory() - memory < 10
        # The oldest was closed for another; the newest is waited for.
        flood[0].settimeout(5)
        with suppress(ConnectionResetError):
            assert flood[0].recv(1) == b""
    finally:
        for one in flood:
            one.close()


def ready(running):
    try:
        return ask(running, "/ready/", authorization=f"Bearer {TOKEN}")[0] == 200
    except OSError:
        return False
