from decimal import Decimal

import pytest

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.quality import Flag, Source
from wattkeeper.core.kernel.relay import RelayState
from wattkeeper.drivers import make_driver
from wattkeeper.drivers.api import (
    AnswerDamaged,
    Capability,
    DeviceConfig,
    DeviceRead,
    DeviceRefused,
    RelayCommand,
)
from wattkeeper.drivers.conformance import Case, Exchange, check_case, check_late_answers, run_steps
from wattkeeper.drivers.modbus_energy.registers import load_map, plan_blocks
from wattkeeper.protocols.modbus import pdu
from wattkeeper.protocols.modbus.frame import Adu, Side, decode_rtu, decode_tcp, encode_rtu, encode_tcp
from wattkeeper.protocols.modbus.interval_log import FIRST_DAY_S, LogSlot, encode_slots, span_start_s

SERIAL = "WK0000000042"
DAY_S = FIRST_DAY_S + 2500 * 86_400


def config(**changes):
    return DeviceConfig(**({"serial_number": SERIAL, "address": "5"} | changes))


class Meter:
    """Answers from words of registers, a log and a coil."""

    def __init__(self, framing="tcp", absent=()):
        self.framing = framing
        self.absent = frozenset(absent)
        self.words = dict(enumerate([0] * 200))
        self.put(0, 123_456, 2)
        self.put(2, 4, 2)
        for address, value in ((16, 2301), (17, 2302), (18, 2303), (29, 985), (30, 4998)):
            self.put(address, value, 1)
        self.put(19, 12_345, 2)
        self.put(25, 2**32 - 1500, 2)
        for n, octet in enumerate(SERIAL.encode().ljust(16, b"\0")):
            self.words[100 + n // 2] |= octet << (8 if n % 2 == 0 else 0)
        self.put(110, DAY_S, 2)
        self.log = {}
        self.is_closed = True
        self.requests = []

    def put(self, address, value, count):
        for n in range(count):
            self.words[address + n] = value >> 16 * (count - 1 - n) & 0xFFFF

    def __call__(self, request):
        is_tcp = self.framing == "tcp"
        adu, _ = decode_tcp(request.frame) if is_tcp else decode_rtu(request.frame, Side.REQUEST)
        asked = pdu.decode_request(adu.pdu)
        self.requests.append(asked)
        octets = pdu.encode_answer(self.answer(adu.pdu[0], asked))
        told = Adu(adu.unit_id, octets, adu.transaction_id)
        return encode_tcp(told) if is_tcp else encode_rtu(told)

    def answer(self, function, asked):
        match asked:
            case pdu.ReadRegisters(_, address, count):
                if self.absent & set(range(address, address + count)):
                    return pdu.Refused(function, 2)
                words = (self.words[address + n].to_bytes(2, "big") for n in range(count))
                return pdu.Registers(function, b"".join(words))
            case pdu.ReadFile(spans):
                return self.read_log(spans[0])
            case pdu.ReadBits():
                return pdu.Bits(function, bytes((self.is_closed,)))
            case pdu.WriteCoil(_, is_on):
                self.is_closed = is_on
                return asked
            case pdu.WriteRegisters(address, octets):
                self.put(address, int.from_bytes(octets, "big"), len(octets) // 2)
                return pdu.WroteRegisters(address, len(octets) // 2)
        raise AssertionError(asked)

    def read_log(self, span):
        start_s = span_start_s(span, 900)
        stamps = range(start_s, start_s + span.count // 4 * 900, 900)
        if not any(s // 86_400 == start_s // 86_400 for s in self.log):
            return pdu.Refused(20, 2)
        return pdu.FileRecords((encode_slots([self.log.get(s) for s in stamps]),))


def driver(**changes):
    return make_driver("modbus_energy", config(**changes))


@pytest.mark.parametrize("framing", ["tcp", "rtu"])
def test_live_values_are_exact(framing):
    reads = run_steps(driver(settings={"framing": framing}).read_live(), Meter(framing))
    found = {read.reading_type: str(read.value) for read in reads}
    assert found["energy_import_register_kwh"] == "1234.56"
    assert found["voltage_l3_v"] == "230.3"
    assert found["current_l1_a"] == "12.345"
    assert found["power_import_w"] == "-1500"
    assert found["power_factor_ratio"] == "0.985"
    assert found["frequency_hz"] == "49.98"
    assert len(found) == 14
    assert {read.measured_at_s for read in reads} == {None}


def test_live_needs_two_requests():
    meter = Meter()
    run_steps(driver().read_live(), meter)
    assert [(r.address, r.count) for r in meter.requests] == [(0, 8), (16, 15)]


def test_a_block_refused_is_read_value_by_value():
    reads = run_steps(driver().read_live(), Meter(absent=[4, 5]))
    assert "energy_reactive_import_register_kvarh" not in {r.reading_type for r in reads}
    assert len(reads) == 13


def test_one_phase_leaves_the_others_out():
    reads = run_steps(driver(settings={"phases": 1}).read_live(), Meter())
    assert {r.reading_type for r in reads} & {"voltage_l2_v", "current_l3_a"} == set()


def test_open_knows_its_meter():
    run_steps(driver().open(), Meter())
    with pytest.raises(WattkeeperError) as caught:
        run_steps(driver(serial_number="WK1").open(), Meter())
    assert caught.value.code == "drivers.wrong-device"
    assert list(driver(settings={"map": "acrel_dtsd1352"}).open()) == []


def test_profile_over_midnight():
    meter = Meter()
    stamps = range(DAY_S, DAY_S + 2 * 86_400, 900)
    meter.log = {s: LogSlot(s, n) for n, s in enumerate(stamps)}
    meter.log[DAY_S + 86_400] = LogSlot(DAY_S + 86_400, 96, 3)
    del meter.log[DAY_S + 85_500]
    reads = run_steps(driver().read_profile(DAY_S + 84_600, DAY_S + 87_300), meter)
    assert reads == [
        DeviceRead("energy_import_register_kwh", Decimal("0.94"), DAY_S + 84_600, Source.PROFILE, 0),
        DeviceRead(
            "energy_import_register_kwh",
            Decimal("0.96"),
            DAY_S + 86_400,
            Source.PROFILE,
            1,
            Flag.CLOCK_ADJUSTED,
        ),
    ]
    assert len(meter.requests) == 2


def test_a_day_the_meter_does_not_keep_is_left_out():
    meter = Meter()
    meter.log = {DAY_S: LogSlot(DAY_S, 7)}
    reads = run_steps(driver().read_profile(DAY_S - 86_400, DAY_S + 900), meter)
    assert [read.measured_at_s for read in reads] == [DAY_S]


def test_clock():
    meter = Meter()
    assert run_steps(driver().read_clock(), meter) == DAY_S
    run_steps(driver().set_clock(DAY_S + 60), meter)
    assert run_steps(driver().read_clock(), meter) == DAY_S + 60


def test_relay():
    meter = Meter()
    assert run_steps(driver().read_relay(), meter) is RelayState.CONNECTED
    run_steps(driver().control_relay(RelayCommand.DISCONNECT), meter)
    assert run_steps(driver().read_relay(), meter) is RelayState.DISCONNECTED
    run_steps(driver().control_relay(RelayCommand.CLOSE), meter)
    assert run_steps(driver().read_relay(), meter) is RelayState.CONNECTED
    with pytest.raises(DeviceRefused):
        run_steps(driver().control_relay(RelayCommand.ARM), meter)


@pytest.mark.parametrize(("exception_code", "is_permanent"), [(6, False), (1, True), (4, True)])
def test_refusals(exception_code, is_permanent):
    meter = Meter()
    meter.answer = lambda function, _asked: pdu.Refused(function, exception_code)
    with pytest.raises(DeviceRefused) as caught:
        run_steps(driver().read_live(), meter)
    assert caught.value.is_permanent is is_permanent


def test_an_answer_of_another_size_is_damage():
    meter = Meter()
    meter.answer = lambda function, _asked: pdu.Registers(function, bytes(6))
    with pytest.raises(AnswerDamaged):
        run_steps(driver().read_live(), meter)


def test_foreign_and_late_answers_do_not_match():
    request = next(driver().read_clock())
    adu, _ = decode_tcp(request.frame)
    told = pdu.encode_answer(pdu.Registers(3, bytes(4)))
    assert request.matches(encode_tcp(Adu(5, told, adu.transaction_id)))
    assert not request.matches(encode_tcp(Adu(6, told, adu.transaction_id)))
    assert not request.matches(encode_tcp(Adu(5, told, adu.transaction_id - 1)))
    assert not request.matches(encode_tcp(Adu(5, pdu.encode_answer(pdu.Bits(1, b"\0")), adu.transaction_id)))
    assert not request.matches(b"")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"address": "256"}, "modbus_energy.bad-address"),
        ({"address": "-1"}, "modbus_energy.bad-address"),
        ({"address": "五"}, "modbus_energy.bad-address"),
        ({"settings": {"map": "none"}}, "modbus_energy.unknown-map"),
        ({"settings": {"framing": "ascii"}}, "modbus_energy.bad-framing"),
        ({"settings": {"phases": 2}}, "modbus_energy.bad-phases"),
    ],
)
def test_bad_settings_are_refused(changes, code):
    with pytest.raises(WattkeeperError) as caught:
        driver(**changes)
    assert caught.value.code == code


def test_a_map_without_log_clock_and_relay():
    one = driver(settings={"map": "acrel_dtsd1352"})
    assert one.capabilities == frozenset()
    for steps in (one.read_profile(0, 1), one.read_clock(), one.read_relay()):
        with pytest.raises(DeviceRefused):
            next(steps)
    assert Capability.PROFILE in driver().capabilities


def test_blocks_hold_every_row_once():
    for name in ("wattkeeper", "acrel_dtsd1352"):
        rows = load_map(name, 3).rows
        blocks = plan_blocks(rows)
        assert sorted(r.address for b in blocks for r in b.rows) == sorted(r.address for r in rows)
        for block in blocks:
            assert all(
                block.address <= r.address and r.end <= block.address + block.count for r in block.rows
            )


def cases(framing):
    settings = {"framing": framing}
    for name, verb in (
        ("clock", lambda one: one.read_clock()),
        ("relay", lambda one: one.read_relay()),
        ("live", lambda one: one.read_live()),
    ):
        meter, exchanges = Meter(framing), []

        def answer(request, meter=meter, exchanges=exchanges):
            octets = meter(request)
            exchanges.append(Exchange(octets, request.frame))
            return octets

        expected = run_steps(verb(driver(settings=settings)), answer)
        yield Case(
            f"{name}-{framing}",
            lambda: make_driver("modbus_energy", config(settings=settings)),
            verb,
            exchanges,
            expected,
            has_checksum=framing == "rtu",
        )


@pytest.mark.parametrize("case", [*cases("tcp"), *cases("rtu")], ids=lambda case: case.name)
def test_conformance(case):
    check_case(case)


def test_golden_conversation():
    # by hand: unit 5, clock registers 110 and 111, transaction 0x0501
    case = Case(
        "golden",
        driver,
        lambda one: one.read_clock(),
        [Exchange(bytes.fromhex("0501000000070503046921f5a0"), bytes.fromhex("0501000000060503006e0002"))],
        0x6921F5A0,
        has_checksum=False,
    )
    check_case(case)


def test_the_suite_notices_a_driver_that_takes_late_answers():
    case = next(c for c in cases("tcp") if c.name == "live-tcp")

    def verb(_driver):
        steps = driver().read_live()
        request = next(steps)
        while True:
            answer = yield type(request)(request.frame, lambda _octets: True)
            try:
                request = steps.send(answer)
            except StopIteration:
                return

    with pytest.raises(AssertionError):
        check_late_answers(Case("careless", driver, verb, case.exchanges, None))
