"""What the client makes of an engine's answers; the engine here is a script of them."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.store.client import HttpReadingStore
from wattkeeper.store.transport import Address, StoreRefused, StoreUnreachable, Transport, address_in


class Script(ThreadingHTTPServer):
    """Answers with `answers` in turn; None hangs up."""

    def __init__(self, answers: list[tuple[int, bytes] | None]) -> None:
        super().__init__(("127.0.0.1", 0), Reader)
        self.answers = answers
        self.keys: list[str] = []
        self.lanes: list[str] = []
        self.delay_s = 0.0

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self.server_address[1], "secret")


class Reader(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Script

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.keys.append(self.headers["X-ClickHouse-Key"])
        self.server.lanes.append(self.headers["X-Wattkeeper-Lane"])
        answer = self.server.answers.pop(0)
        time.sleep(self.server.delay_s)
        if answer is None:
            self.close_connection = True
            return
        self.send_response(answer[0])
        self.send_header("Content-Length", str(len(answer[1])))
        with suppress(BrokenPipeError):  # whoever asked waits no longer
            self.end_headers()
            self.wfile.write(answer[1])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def test_a_secret_is_sent_as_the_engine_writes_it_and_shown_to_nobody(script: Script) -> None:
    script.answers = [(200, b"")]
    address = script.address._replace(secret="pässwort-密")
    Transport(lambda: address, is_bulk=False).ask(b"", "/")
    assert script.keys[0].encode("latin-1").decode() == address.secret
    assert address.secret not in f"{address} {address!r}"


@pytest.fixture
def script() -> Iterator[Script]:
    server = Script([])
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_connection_closed_meanwhile_is_opened_again(script: Script) -> None:
    script.answers = [(200, b"one"), None, (200, b"two")]
    transport = Transport(lambda: script.address, is_bulk=True)
    assert [transport.ask(b"q", "/") for _ in range(2)] == [b"one", b"two"]
    assert script.lanes == ["bulk"] * 3


def test_whole_tables_are_waited_for_longer_than_a_question(script: Script) -> None:
    script.answers, script.delay_s = [(200, b"late"), (200, b"late"), (200, b"soon")], 0.5
    transport = Transport(lambda: script.address, is_bulk=False)
    with pytest.raises(StoreUnreachable):
        transport.ask(b"q", "/", patience_s=0.05)
    assert transport.ask(b"q", "/", patience_s=60.0) == b"late"
    with pytest.raises(StoreUnreachable):  # on the connection that is kept too
        transport.ask(b"q", "/", patience_s=0.05)


def test_a_refused_secret_is_looked_up_anew(script: Script) -> None:
    script.answers = [(403, b"no"), (200, b"yes")]
    secrets = iter(["old", "new"])
    transport = Transport(lambda: script.address._replace(secret=next(secrets)), is_bulk=False)
    assert transport.ask(b"q", "/") == b"yes"
    assert script.keys == ["old", "new"]


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        ([(403, b"no"), (403, b"no")], "store.refused"),
        ([(500, b"Code: 241. DB::Exception: MEMORY_LIMIT_EXCEEDED")], "store.refused"),
        ([(500, b"Code: 243. DB::Exception: (NOT_ENOUGH_SPACE)")], "store.disk-full"),
        ([(500, b"errno: 28, strerror: No space left on device")], "store.disk-full"),
        ([(200, b"<html>a portal</html>")], "store.refused"),
        ([(200, b"")], "store.refused"),
        ([None, None], "store.unreachable"),
    ],
)
def test_every_failure_has_a_code_and_may_be_tried_again(
    script: Script, answers: list[tuple[int, bytes] | None], code: str
) -> None:
    script.answers = answers
    host, port, secret = script.address[:3]
    store = HttpReadingStore(f"http://{host}:{port}", secret)
    with pytest.raises(WattkeeperError) as failed:
        store.raw_reads(1, [1], 0, 1)
    assert (failed.value.code, failed.value.is_permanent) == (code, False)
    assert secret not in str(failed.value)


def test_a_store_of_an_earlier_release_says_no_format(script: Script) -> None:
    script.answers = [(200, b"numbers"), (200, b"")]
    transport = Transport(lambda: script.address, is_bulk=False)
    assert transport.ask(b"q", "/", form="Native") == b"numbers"
    with pytest.raises(StoreRefused):
        transport.ask(b"q", "/", form="Native")


def test_the_address_is_read_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "store.json"
    with pytest.raises(WattkeeperError) as missing:
        address_in(path)
    assert missing.value.code == "store.not-running"
    path.write_text(json.dumps({"url": "http://127.0.0.1:99", "secret": "s", "pid": 1}))
    assert address_in(path) == Address("127.0.0.1", 99, "s")
