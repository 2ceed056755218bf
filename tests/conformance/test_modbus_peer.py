"""Our Modbus driver against pymodbus' server, as a process of its own: TCP, and RTU frames over TCP."""

import socket
import subprocess
import sys
import time
from decimal import Decimal

import pytest

from ports import free_port
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.relay import RelayState
from wattkeeper.drivers import make_driver
from wattkeeper.drivers.api import Answer, AnswerDamaged, DeviceConfig, RelayCommand
from wattkeeper.protocols.modbus import pdu
from wattkeeper.protocols.modbus.frame import Adu, Side, decode_rtu, decode_tcp, encode_rtu, encode_tcp

pytest.importorskip("pymodbus")
pytestmark = pytest.mark.slow

SERIAL = "PY0042"
PEER = """
import asyncio, sys
from pymodbus import FramerType
from pymodbus.server import StartAsyncTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
def u32(value):
    return [value >> 16, value & 0xFFFF]
low = u32(123456) + u32(50) + u32(0) + u32(0) + [0] * 8 + [2301, 2302, 2303] + u32(5125) + u32(0) + u32(0)
low += u32((-1500) & 0xFFFFFFFF) + u32(7) + [985, 4998]
serial = b"PY0042".ljust(16, b"\\0")
words = [serial[i] << 8 | serial[i + 1] for i in range(0, 16, 2)]
holding = [
    SimData(0, values=low, datatype=DataType.REGISTERS),
    SimData(100, values=words, datatype=DataType.REGISTERS),
    SimData(110, values=u32(1763769600), datatype=DataType.REGISTERS),
]
bits = [SimData(0, values=[True] * 16, datatype=DataType.BITS)]
device = SimDevice(5, simdata=(bits, bits, holding, holding))
framer = FramerType.SOCKET if sys.argv[2] == "tcp" else FramerType.RTU
asyncio.run(StartAsyncTcpServer(context=device, address=("127.0.0.1", int(sys.argv[1])), framer=framer))
"""


class Line:
    """A blocking line for one driver."""

    def __init__(self, port, driver):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.driver = driver
        self.buffer = b""
        self.answers_count = 0

    def run(self, steps):
        try:
            request = next(steps)
            while True:
                self.socket.sendall(request.frame)
                request = steps.send(self.answer(request))
        except StopIteration as finished:
            return finished.value

    def answer(self, request):
        while True:
            split = self.driver.split(self.buffer)
            self.buffer = self.buffer[split.used_bytes :]
            if split.frame is not None and request.matches(split.frame):
                self.answers_count += 1
                return Answer(split.frame, self.answers_count - 1)
            if not split.used_bytes:
                received = self.socket.recv(4096)
                assert received, "the peer hung up"
                self.buffer += received


@pytest.fixture(scope="module", params=["tcp", "rtu"])
def peer(request, tmp_path_factory):
    number = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", PEER, str(number), request.param],
        cwd=tmp_path_factory.mktemp("peer"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(1200):
            try:
                socket.create_connection(("127.0.0.1", number), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield number, request.param
    finally:
        process.kill()
        process.wait()


def connect(peer, **changes):
    port, framing = peer
    settings = {"framing": framing}
    config = DeviceConfig(**({"serial_number": SERIAL, "address": "5", "settings": settings} | changes))
    driver = make_driver("modbus_energy", config)
    return driver, Line(port, driver)


def test_identity(peer):
    driver, line = connect(peer)
    line.run(driver.open())
    other, line = connect(peer, serial_number="PY0043")
    with pytest.raises(WattkeeperError) as caught:
        line.run(other.open())
    assert caught.value.code == "drivers.wrong-device"


def test_live_values(peer):
    driver, line = connect(peer)
    found = {read.reading_type: read.value for read in line.run(driver.read_live())}
    assert found["energy_import_register_kwh"] == Decimal("1234.56")
    assert found["energy_export_register_kwh"] == Decimal("0.50")
    assert found["voltage_l3_v"] == Decimal("230.3")
    assert found["current_l1_a"] == Decimal("5.125")
    assert found["power_import_w"] == Decimal(-1500)
    assert found["frequency_hz"] == Decimal("49.98")
    assert len(found) == 14


def test_clock_and_relay(peer):
    driver, line = connect(peer)
    line.run(driver.set_clock(1_763_769_660))
    assert line.run(driver.read_clock()) == 1_763_769_660
    line.run(driver.control_relay(RelayCommand.DISCONNECT))
    assert line.run(driver.read_relay()) is RelayState.DISCONNECTED
    line.run(driver.control_relay(RelayCommand.CLOSE))
    assert line.run(driver.read_relay()) is RelayState.CONNECTED


def test_what_the_peer_lacks_is_left_out(peer):
    driver, line = connect(peer, settings={"framing": peer[1], "map": "acrel_dtsd1352"})
    types = {read.reading_type for read in line.run(driver.read_live())}
    assert "power_import_w" not in types


def test_file_records(peer):
    port, framing = peer
    octets = pdu.encode_request(pdu.ReadFile((pdu.FileSpan(1, 0, 10), pdu.FileSpan(2, 4, 10))))
    with socket.create_connection(("127.0.0.1", port), timeout=30) as line:
        line.sendall(encode_tcp(Adu(5, octets, 77)) if framing == "tcp" else encode_rtu(Adu(5, octets)))
        received = b""
        while (found := decode(received, framing)) is None:
            received += line.recv(4096)
    told = pdu.decode_answer(found[0].pdu)
    assert told == pdu.FileRecords((b"SERVER DUMMY RECORD.",) * 2)


def decode(octets, framing):
    return decode_tcp(octets) if framing == "tcp" else decode_rtu(octets, Side.ANSWER)


def test_a_log_of_another_size_is_damage(peer):
    if peer[1] == "rtu":
        pytest.skip("without a transaction number such an answer is foreign, and the request times out")
    driver, line = connect(peer)
    with pytest.raises(AnswerDamaged):
        line.run(driver.read_profile(1_763_769_600, 1_763_769_600 + 900))
