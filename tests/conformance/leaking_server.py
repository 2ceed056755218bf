"""A web server that leaks with each request: `python -m conformance.leaking_server PORT`."""

import socket
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

KEPT: list[object] = []


class Leaking(BaseHTTPRequestHandler):
    """Answers, and keeps what it needed."""

    def do_GET(self) -> None:
        KEPT.extend((socket.socket(), bytearray(20_000)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    HTTPServer(("127.0.0.1", int(sys.argv[1])), Leaking).serve_forever()
