"""DLMS against an independent implementation, each in a process of its own, over real sockets."""

import contextlib
import re
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import pytest

from ports import free_port
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.relay import RelayState
from wattkeeper.drivers.api import Answer, DeviceConfig, DeviceRefused, RelayCommand, Steps
from wattkeeper.drivers.dlms_three_phase.driver import DlmsThreePhase, make_driver
from wattkeeper.protocols.dlms import objects, wrapper
from wattkeeper.protocols.dlms.acse import Mechanism
from wattkeeper.protocols.dlms.apdus import Descriptor
from wattkeeper.protocols.dlms.client import ClientAssociation, ClientSession, Exchange
from wattkeeper.protocols.dlms.date_time import encode as encode_date_time
from wattkeeper.protocols.dlms.encoding import double_long_unsigned, octet_string
from wattkeeper.protocols.dlms.obis import Obis
from wattkeeper.protocols.dlms.objects import Column, ObjectModel, Profile
from wattkeeper.protocols.dlms.security import Keys
from wattkeeper.protocols.dlms.server import GMAC_CLIENT, PUBLIC_CLIENT, ServerSecurity, ServerSession

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("pydlms") is None, reason="pydlms-client, the DLMS peer, is not installed"),
]

T = TypeVar("T")
GUEK, GAK = bytes(range(16)), bytes(range(0xD0, 0xE0))
TITLE = b"HES00001"
DAY_S = 1_714_521_600  # 2024-05-01, the day in the peer's load profile
ENERGY = Obis(1, 0, 1, 8, 0)
START_S = 1_767_225_600


@pytest.fixture(scope="module")
def peer() -> Iterator[int]:
    port = free_port()
    command = [sys.executable, "-m", "pydlms.simulator", "--port", str(port), "--key", GUEK.hex()]
    command += ["--auth-key", GAK.hex(), "--client", "16:0", "--client", "1:5"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        assert process.stderr is not None
        ready, _, _ = select.select([process.stderr], [], [], 120)
        assert ready, "the peer did not start"
        yield port
    finally:
        process.kill()
        process.wait(60)


@dataclass
class Counter:
    next_value: int = 1

    def __call__(self, count: int) -> int:
        self.next_value += count
        return self.next_value - count


COUNTER = Counter()


@dataclass
class Runner:
    """Drives a driver or a protocol session over one socket."""

    port: int
    buffer: bytes = b""
    client_sap: int = 1
    connection: socket.socket = field(init=False)

    def __post_init__(self) -> None:
        self.connection = socket.create_connection(("127.0.0.1", self.port), 10)

    def __enter__(self) -> "Runner":
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def run(self, driver: DlmsThreePhase, steps: Steps[T]) -> T:
        try:
            request = next(steps)
            while True:
                self.connection.sendall(request.frame)
                while True:
                    split = driver.split(self.buffer)
                    self.buffer = self.buffer[split.used_bytes :]
                    if split.frame is not None and request.matches(split.frame):
                        break
                    if not split.used_bytes:
                        self._receive()
                request = steps.send(Answer(split.frame, 0))
        except StopIteration as stop:
            result: T = stop.value
            return result

    def exchange(self, steps: Exchange[T]) -> T:
        try:
            apdu = next(steps)
            while True:
                self.connection.sendall(wrapper.encode_frame(self.client_sap, 1, apdu))
                while (found := wrapper.decode_frame(self.buffer)) is None:
                    self._receive()
                self.buffer = self.buffer[found[1] :]
                apdu = steps.send(found[0].apdu)
        except StopIteration as stop:
            result: T = stop.value
            return result

    def _receive(self) -> None:
        received = self.connection.recv(4096)
        if not received:
            raise ConnectionError
        self.buffer += received


def driver_for(serial_number: str = "PYD0000000001", guek: bytes = GUEK) -> DlmsThreePhase:
    return make_driver(
        DeviceConfig(
            serial_number=serial_number,
            address="1",
            secrets={"guek": guek, "gak": GAK},
            settings={"system_title": TITLE.hex()},
            reserve_counters=COUNTER,
        )
    )


def test_our_driver_reads_the_peer(peer: int) -> None:
    driver = driver_for()
    with Runner(peer) as line:
        line.run(driver, driver.open())
        live = {read.reading_type: read.value for read in line.run(driver, driver.read_live())}
        assert live["energy_import_register_kwh"] == Decimal("12345.678")
        assert live["voltage_l1_v"] == Decimal("230.1")
        assert line.run(driver, driver.read_clock()) == DAY_S + 36_000
        line.run(driver, driver.close())


def test_our_driver_reads_the_peers_load_profile_by_range(peer: int) -> None:
    driver = driver_for()
    with Runner(peer) as line:
        line.run(driver, driver.open())
        reads = line.run(driver, driver.read_profile(DAY_S + 3600, DAY_S + 7200))
        assert [read.measured_at_s for read in reads] == [DAY_S + 3600 + 900 * i for i in range(4)]
        assert [read.value for read in reads] == [Decimal(1028 + 7 * i) / 1000 for i in range(4)]
        assert len(line.run(driver, driver.read_profile(DAY_S, DAY_S + 86_400))) == 96


def test_our_driver_switches_the_peers_relay(peer: int) -> None:
    """The peer moves only output_state (attribute 2): its acknowledgement is not its control state."""
    driver, keys = driver_for(), Keys(GUEK, GAK)
    output = Descriptor(objects.CLASS_DISCONNECT_CONTROL, objects.DISCONNECT_CONTROL, 2)
    with Runner(peer) as line:
        line.run(driver, driver.open())
        assert line.run(driver, driver.read_relay()) is RelayState.CONNECTED
        line.run(driver, driver.control_relay(RelayCommand.DISCONNECT))
        line.run(driver, driver.close())
    with Runner(peer) as line:
        association = ClientAssociation(Mechanism.HLS_GMAC, system_title=TITLE, keys=keys)
        session = ClientSession(association, lambda: COUNTER(1), b"C" * 16)
        line.exchange(session.associate())
        assert line.exchange(session.get(output)) is False


@pytest.mark.parametrize("serial_number", ["PYD1000000000001"])
def test_the_logical_device_name_is_an_identity_too(peer: int, serial_number: str) -> None:
    driver = driver_for(serial_number)
    with Runner(peer) as line:
        line.run(driver, driver.open())
        assert line.run(driver, driver.read_clock()) > 0


def test_another_meter_is_noticed(peer: int) -> None:
    driver = driver_for("SOMEBODYELSE")
    with Runner(peer) as line, pytest.raises(WattkeeperError) as caught:
        line.run(driver, driver.open())
    assert caught.value.code == "drivers.wrong-device"


def test_a_wrong_key_is_one_clear_error(peer: int) -> None:
    driver = driver_for(guek=bytes(16))
    with Runner(peer) as line, pytest.raises(DeviceRefused) as caught:
        line.run(driver, driver.open())
    assert caught.value.code == "dlms.association-refused"


def test_a_counter_that_fell_behind_catches_up(peer: int) -> None:
    driver = make_driver(
        DeviceConfig(
            serial_number="PYD0000000001",
            address="1",
            secrets={"guek": GUEK, "gak": GAK},
            settings={"system_title": TITLE.hex()},
            reserve_counters=Counter(1),
        )
    )
    with Runner(peer) as line:
        first = driver_for()
        line.run(first, first.open())
        line.run(first, first.close())
    with Runner(peer) as line:
        line.run(driver, driver.open())
        assert line.run(driver, driver.read_relay()) is RelayState.CONNECTED


# The other way round: their client reads our server.


def our_model(relay: list[int]) -> ObjectModel:
    def rows(from_s: int | None, to_s: int | None) -> list[list[bytes]]:
        stamps = [START_S + 900 * i for i in range(96)]
        kept = [s for s in stamps if (from_s is None or s >= from_s) and (to_s is None or s <= to_s)]
        return [[octet_string(encode_date_time(s)), double_long_unsigned((s - START_S) // 900)] for s in kept]

    model = ObjectModel()
    model.add_data(objects.LOGICAL_DEVICE_NAME, lambda: octet_string(b"WTK0000000000001"))
    model.add_data(objects.SERIAL_NUMBER, lambda: octet_string(b"12345678"))
    model.add_register(ENERGY, lambda: double_long_unsigned(4_321), scaler=-1, unit=30)
    model.add_clock(lambda: START_S, lambda _at_s: None)
    model.add_profile(Profile((Column(8, objects.CLOCK), Column(3, ENERGY)), rows))
    model.add_disconnect_control(
        lambda: relay[0], lambda: relay.__setitem__(0, 0), lambda: relay.__setitem__(0, 2)
    )
    return model


def serve(listener: socket.socket, model: ObjectModel, security: ServerSecurity) -> None:
    associations = {1: GMAC_CLIENT, 16: PUBLIC_CLIENT}
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            session = ServerSession(model, associations, security, lambda: b"S" * 16, max_pdu_bytes=400)
            buffer = b""
            with connection:
                while received := connection.recv(4096):
                    buffer += received
                    while found := wrapper.decode_frame(buffer):
                        frame, used_bytes = found
                        buffer = buffer[used_bytes:]
                        answer = session.feed(frame.apdu, frame.source)
                        connection.sendall(wrapper.encode_frame(frame.destination, frame.source, answer))


@pytest.fixture
def our_server() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        security = ServerSecurity(b"WTK00001", Keys(GUEK, GAK))
        thread = threading.Thread(target=serve, args=(listener, our_model([1]), security), daemon=True)
        thread.start()
        yield listener.getsockname()[1]


def peer_client(
    port: int, *arguments: str, key: bytes = GUEK, counter: int = 10
) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("pydlms")
    verb, *rest = arguments
    command = [str(program), verb, f"tcp://127.0.0.1:{port}", "--client", "1", "--auth", "gmac"]
    command += ["--key", key.hex(), "--auth-key", GAK.hex(), "--system-title", TITLE.hex()]
    command += ["--invocation-counter", str(counter), *rest]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_their_client_reads_our_register(our_server: int) -> None:
    done = peer_client(our_server, "read", "--obis", "1.0.1.8.0.255", "--register")
    assert done.returncode == 0, done.stderr
    assert re.search(r"432[.]1|4321", done.stdout)


def test_their_client_reads_our_profile_in_blocks(our_server: int) -> None:
    done = peer_client(our_server, "profile", "--obis", "1.0.99.1.0.255")
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"2026-01-01", done.stdout)) >= 96
    last = peer_client(our_server, "profile", "--obis", "1.0.99.1.0.255", "--last", "4", counter=99)
    assert last.returncode == 0, last.stderr
    assert len(re.findall(r"2026-01-01", last.stdout)) == 4


def test_their_client_reads_our_clock(our_server: int) -> None:
    done = peer_client(our_server, "clock")
    assert done.returncode == 0, done.stderr
    assert "2026-01-01" in done.stdout


def test_their_client_with_a_wrong_key_gets_nothing(our_server: int) -> None:
    done = peer_client(our_server, "read", "--obis", "1.0.1.8.0.255", key=bytes(16))
    assert done.returncode != 0
    assert "4321" not in done.stdout
