"""A faulty picture host: some pictures fail for a while, some hang, some are missing."""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.chaos.feed import draw

FINE, BUSY, HANGING, MISSING = "fine", "busy", "hanging", "missing"
SHARES = {BUSY: 0.3, HANGING: 0.1, MISSING: 0.05}
HANG_SECONDS = 15.0


def draw_failures(count: int, seed: int) -> list[str]:
    """Draw the failure of each of so many pictures."""
    sick = [kind for kind, share in SHARES.items() for _ in range(round(share * count))]
    kinds = [*sick, *[FINE] * (count - len(sick))]
    random.Random(seed).shuffle(kinds)
    return kinds


@contextmanager
def sick_host(kinds: Mapping[str, str]) -> Iterator[str]:
    """Serves /NAME.png as its kind says; yields the address that comes before the slash.

    Busy ones answer 503 once or twice, hanging ones say nothing the first time, missing ones are 404 for ever.
    """
    requests: Counter[str] = Counter()
    stop = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            name = self.path.strip("/").removesuffix(".png")
            requests[name] += 1
            kind, times = kinds[name], requests[name]
            if kind == HANGING and times == 1:
                stop.wait(HANG_SECONDS)
                self.close_connection = True
            elif kind == MISSING:
                self.answer(404, b"")
            elif kind == BUSY and times <= 1 + len(name) % 2:
                self.answer(503, b"")
            else:
                self.answer(200, draw(len(name) % 48))

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "image/png")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *_words: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        stop.set()
        server.shutdown()
        server.server_close()
        time.sleep(0.05)
