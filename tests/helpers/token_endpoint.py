"""An OAuth server of one client: signed tokens over TLS, and the keys that verify them."""

import json
import ssl
import time
from base64 import b64decode, b64encode, urlsafe_b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Self
from urllib.parse import parse_qs, quote_plus, unquote_plus

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from dev.servers.certificates import Authority

CLIENT = "shop worker"
#: Percent-encoded on its way, and looked for in logs.
SECRET = "oauth-s3cret+of/the tests%"
#: Both as a client sends them.
LOGIN = "Basic " + b64encode(f"{quote_plus(CLIENT)}:{quote_plus(SECRET)}".encode()).decode()
AUDIENCE, ISSUER = "kafka", "https://login.example"


class TokenEndpoint:
    """Answers ``/token`` over TLS and ``/keys`` without.

    Args:
        authority: issues its certificate.
        folder: for the certificate.
    """

    def __init__(self, authority: Authority, folder: Path) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._tokens, self._keys = _server(self), _server(self)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.issue("login").write(folder / "login.pem"))
        self._tokens.socket = context.wrap_socket(self._tokens.socket, server_side=True)
        self.reset()

    def reset(self) -> None:
        """As it is at first."""
        self.secret, self.audience, self.life = SECRET, AUDIENCE, 300
        self.status = 200
        #: Tokens that were given, and forms that were sent.
        self.tokens: list[str] = []
        self.forms: list[dict[str, str]] = []

    def __enter__(self) -> Self:
        for server in (self._tokens, self._keys):
            Thread(target=server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in (self._tokens, self._keys):
            server.shutdown()
            server.server_close()

    @property
    def url(self) -> str:
        """Of the tokens."""
        return f"https://127.0.0.1:{self._tokens.server_address[1]}/token"

    @property
    def keys_url(self) -> str:
        """Of the keys."""
        return f"http://127.0.0.1:{self._keys.server_address[1]}/keys"

    def answer(self, login: str, form: str) -> tuple[int, Any]:
        """Status and JSON of a request for a token."""
        user, _, secret = b64decode(login.removeprefix("Basic ")).decode().partition(":")
        self.forms.append({name: one for name, [one] in parse_qs(form).items()})
        if self.status != 200:
            return self.status, {}
        if (unquote_plus(user), unquote_plus(secret)) != (CLIENT, self.secret):
            return 401, {"error": "invalid_client", "error_description": f"not {secret}"}
        if self.forms[-1].get("scope") == "wrong":
            return 400, {"error": "invalid_scope"}
        self.tokens.append(self._token())
        return 200, {"access_token": self.tokens[-1], "token_type": "Bearer"}

    def keys(self) -> Any:
        """The keys, as JSON."""
        numbers = self._key.public_key().public_numbers()
        parts = {"n": numbers.n, "e": numbers.e}
        encoded = {
            name: _encoded(one.to_bytes(256, "big").lstrip(b"\0")) for name, one in parts.items()
        }
        return {"keys": [{"kty": "RSA", "kid": "k", "alg": "RS256", "use": "sig", **encoded}]}

    def _token(self) -> str:
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "sub": "shop",
            "aud": self.audience,
            "iat": now + min(0, self.life) - 1,
            "exp": now + self.life,
            "scope": "read",
        }
        parts = ({"alg": "RS256", "kid": "k", "typ": "JWT"}, claims)
        signed = ".".join(_encoded(json.dumps(part).encode()) for part in parts)
        return f"{signed}.{_encoded(self._key.sign(signed.encode(), padding.PKCS1v15(), SHA256()))}"


def _server(endpoint: TokenEndpoint) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._send(*endpoint.answer(self.headers["Authorization"], form))

        def do_GET(self) -> None:
            self._send(200, endpoint.keys())

        def _send(self, status: int, answer: object) -> None:
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
