"""An OpenID provider for tests: tokens for client credentials, signed with RS256, and the keys that prove them."""

import json
import threading
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote_plus

EXPONENT = 65_537
KEY_BITS = 2_048
SHA256_PREFIX = bytes.fromhex("3031300d060960864801650304020105000420")
"""The ASN.1 header of a SHA-256 digest in a PKCS #1 v1.5 signature (RFC 8017, section 9.2)."""


def base64url(data: bytes) -> str:
    """Base64 as JSON Web Tokens have it."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


P = int(
    "eab71cab529b97728b9d3f47844497a462e1faa4491b8f6edc59bb7f84fe09a34e1c2f72f9e1167a3da14a118a55fc2e"
    "5b4e6012868befb0d3bdc69856c1294de2a1bcfd6f20ab1fdbe3ef75172059b20e8eac3e8620e74d0d7e541ae6d9c9c4"
    "5b33a9c69782277f86e1ccc098d5a3e6faa34cd45a0322d948b70083ee09f973",
    16,
)
Q = int(
    "dc3fc6b4df9619b6cc4f0e981b77d53b1631e144d9815a6d593d40768cc3f35f925b0cec2bac2333779f5658ea1888a4"
    "20c6b9b3bb76d3d4f834a421121acc7c46b87f72e786c6df1a0f28dd6b1a24643b909781bf3456e8c214787f36d5ff58"
    "878c6ad5585f534e387fc1364ba6674b5c3a6281346b1a20c263ee292964b20b",
    16,
)
"""The primes of a key that signs for tests and guards nothing."""
MODULUS, PRIVATE = P * Q, pow(EXPONENT, -1, (P - 1) * (Q - 1))


def public_key() -> dict[str, str]:
    """The key that proves the tokens, as a JSON Web Key Set lists it."""
    numbers = {
        "n": base64url(MODULUS.to_bytes(KEY_BITS // 8, "big")),
        "e": base64url(EXPONENT.to_bytes(3, "big")),
    }
    return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "test", **numbers}


def sign(text: str) -> str:
    """The signature of a token's first two parts."""
    digest = SHA256_PREFIX + sha256(text.encode()).digest()
    padded = b"\0\1" + b"\xff" * (KEY_BITS // 8 - len(digest) - 3) + b"\0" + digest
    return base64url(pow(int.from_bytes(padded, "big"), PRIVATE, MODULUS).to_bytes(KEY_BITS // 8, "big"))


@dataclass
class Provider:
    """The provider; with `forges` set its tokens have the signature of another text."""

    clients: dict[str, str]
    seconds: float = 3_600
    """How long a token is valid."""
    forges: bool = False
    granted: int = 0
    port: int = 0

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def token_endpoint(self) -> str:
        return f"{self.issuer}/token"

    @property
    def keys_endpoint(self) -> str:
        return f"{self.issuer}/keys"

    def token(self, subject: str, scope: str) -> str:
        """A token for this client, signed."""
        now = time.time()
        claims = {
            "iss": self.issuer,
            "sub": subject,
            "aud": "kafka",
            "scope": scope,
            "iat": now,
            "exp": now + self.seconds,
        }
        parts = ({"alg": "RS256", "typ": "JWT", "kid": "test"}, claims)
        text = ".".join(base64url(json.dumps(part).encode()) for part in parts)
        return f"{text}.{sign('' if self.forges else text)}"


@contextmanager
def identity_provider(clients: dict[str, str]) -> Iterator[Provider]:
    """A provider that listens, with these clients and their secrets."""
    provider = Provider(clients)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(200, {"keys": [public_key()]})

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            name, secret = self._credentials(form)
            if provider.clients.get(name) != secret:
                self._answer(401, {"error": "invalid_client", "error_description": "no such client, or secret"})
                return
            provider.granted += 1
            token = provider.token(name, form.get("scope", [""])[0])
            self._answer(200, {"access_token": token, "token_type": "bearer", "expires_in": provider.seconds})

        def _credentials(self, form: dict[str, list[str]]) -> tuple[str, str]:
            """They come in the header, by HTTP's basic authentication, or in the form."""
            if basic := self.headers.get("Authorization", "").removeprefix("Basic "):
                name, _, secret = b64decode(basic).decode().partition(":")
                return unquote_plus(name), unquote_plus(secret)
            return form["client_id"][0], form["client_secret"][0]

        def _answer(self, status: int, body: dict[str, Any]) -> None:
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        provider.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield provider
        server.shutdown()
        thread.join()
