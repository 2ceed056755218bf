"""Our DL/T 645 driver against the independent `dlt645` package, as a process of its own, over TCP."""

import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from ports import free_port
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.drivers import make_driver
from wattkeeper.drivers.api import Answer, DeviceConfig, DeviceRefused, RelayCommand

pytest.importorskip("dlt645")
pytestmark = pytest.mark.slow

# The package sends the address as it is written, high byte first; the standard sends it low byte first.
PEER_ADDRESS = "123456781012"
ADDRESS = "121078563412"
PEER = """
import sys
from dlt645.service.serversvc.server_service import MeterServerService
server = MeterServerService.new_tcp_server("127.0.0.1", int(sys.argv[1]), 30)
server.set_address(sys.argv[2])
server.set_00(0x00010000, 123456.78)
server.set_00(0x00010100, 1.25)
server.set_00(0x00020000, 0.5)
server.set_02(0x02010100, 229.7)
server.set_02(0x02020100, 5.125)
server.set_02(0x02030000, 1.5005)
server.set_02(0x02800002, 50.02)
server.set_04(0x04000402, "000000004711")
server.set_04(0x04000101, "26112200")
server.set_04(0x04000102, "101530")
server.start()
import time
time.sleep(3600)
"""


class Line:
    """A blocking line for one driver; late and foreign frames are counted."""

    def __init__(self, port, driver):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.driver = driver
        self.buffer = b""
        self.sent_count = 0

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
                self.sent_count += 1
                return Answer(split.frame, self.sent_count)
            if not split.used_bytes:
                received = self.socket.recv(4096)
                assert received, "the peer hung up"
                self.buffer += received


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    number = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", PEER, str(number), PEER_ADDRESS],
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
        yield number
    finally:
        process.kill()
        process.wait()


def connect(port, **changes):
    config = DeviceConfig(**({"serial_number": "4711", "address": ADDRESS} | changes))
    driver = make_driver("dlt645_2007", config)
    return driver, Line(port, driver)


def test_identity(port):
    driver, line = connect(port)
    line.run(driver.open())
    other, line = connect(port, serial_number="4712")
    with pytest.raises(WattkeeperError) as caught:
        line.run(other.open())
    assert caught.value.code == "drivers.wrong-device"


def test_live_values(port):
    driver, line = connect(port)
    found = {read.reading_type: read.value for read in line.run(driver.read_live())}
    assert found["energy_import_register_kwh"] == Decimal("123456.78")
    assert found["energy_import_t1_register_kwh"] == Decimal("1.25")
    assert found["energy_export_register_kwh"] == Decimal("0.5")
    assert found["voltage_l1_v"] == Decimal("229.7")
    assert found["current_l1_a"] == Decimal("5.125")
    assert found["power_import_w"] == Decimal("1500.5")
    assert found["frequency_hz"] == Decimal("50.02")


def test_clock(port):
    driver, line = connect(port)
    assert line.run(driver.read_clock()) == int(datetime(2026, 11, 22, 10, 15, 30, tzinfo=UTC).timestamp())


def test_what_the_peer_refuses_is_told(port):
    driver, line = connect(port)
    for steps in (driver.read_profile(1_763_769_600, 1_763_771_400), driver.control_relay(RelayCommand.ARM)):
        with pytest.raises(DeviceRefused) as caught:
            line.run(steps)
        assert caught.value.params["refusal"] == "OTHER"
