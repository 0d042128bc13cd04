"""The probe asks where the pages are served."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from web import probe


class Pages(BaseHTTPRequestHandler):
    sent: str | None = None

    def do_GET(self) -> None:
        Pages.sent = self.headers["Authorization"]
        self.send_response(200 if self.path == "/health/" else 503)
        self.end_headers()
        self.wfile.write(b"the database is away")

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.mark.parametrize(
    ("served", "bind"),
    [
        ("127.0.0.1", None),
        ("127.0.0.1", "0.0.0.0"),
        ("127.0.0.2", "127.0.0.2"),
        ("127.0.0.1", "localhost"),
        ("::1", "::"),
        ("::1", "::1"),
    ],
)
def test_it_asks_the_address_the_pages_are_served_on(monkeypatch, capsys, served, bind):
    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in served else socket.AF_INET

    try:
        server = Server((served, 0), Pages)
    except OSError:
        pytest.skip(f"this machine has no {served}")
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("PORT", str(server.server_address[1]))
        monkeypatch.setenv("WEB_BIND", bind or "")
        # A proxy for the way out is none for one's own pages.
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        monkeypatch.setattr("sys.argv", ["probe", "/health/"])
        assert probe.main() == 0, capsys.readouterr().out
        monkeypatch.setattr("sys.argv", ["probe", "/ready/"])
        assert probe.main() == 1
        assert "the database is away" in capsys.readouterr().out
        server.shutdown()


def test_it_reads_the_token_of_a_file(monkeypatch, tmp_path, capsys):
    class Guarded(Pages):
        def do_GET(self) -> None:
            known = self.headers["Authorization"] == "Bearer t0ken"
            self.send_response(200 if known else 401)
            self.end_headers()

    token = tmp_path / "web-token"
    token.write_text("t0ken\n")
    with ThreadingHTTPServer(("127.0.0.1", 0), Guarded) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("PORT", str(server.server_address[1]))
        monkeypatch.delenv("WEB_TOKEN", raising=False)
        monkeypatch.setenv("WEB_TOKEN_FILE", str(token))
        monkeypatch.setattr("sys.argv", ["probe", "/ready/"])
        assert probe.main() == 0
        token.unlink()
        assert probe.main() == 1
        assert "WEB_TOKEN_FILE is wrong" in capsys.readouterr().out
        server.shutdown()


def test_it_sends_the_token_of_the_variable_or_of_its_file(monkeypatch, tmp_path, capsys):
    file = tmp_path / "token"
    file.write_text("token-in-a-file\n")
    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("PORT", str(server.server_address[1]))
        monkeypatch.setattr("sys.argv", ["probe", "/health/"])
        for name, value, sent in (
            ("WEB_TOKEN", "token-in-the-variable", "Bearer token-in-the-variable"),
            ("WEB_TOKEN_FILE", str(file), "Bearer token-in-a-file"),
            ("WEB_TOKEN_FILE", str(tmp_path / "gone"), None),
        ):
            with monkeypatch.context() as patched:
                patched.setenv(name, value)
                Pages.sent = None
                assert probe.main() == (0 if sent else 1)
                assert Pages.sent == sent
        assert "WEB_TOKEN_FILE is wrong" in capsys.readouterr().out
        server.shutdown()
