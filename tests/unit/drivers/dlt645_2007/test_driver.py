from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.quality import Flag, Source
from wattkeeper.core.kernel.relay import RelayState
from wattkeeper.drivers import make_driver
from wattkeeper.drivers.api import (
    Answer,
    AnswerDamaged,
    Capability,
    DeviceConfig,
    DeviceRead,
    DeviceRefused,
    RelayCommand,
)
from wattkeeper.drivers.conformance import Case, Exchange, check_case, check_damage_counted, run_steps
from wattkeeper.protocols.dlt645 import services
from wattkeeper.protocols.dlt645.bcd import LocalTime, encode_minute
from wattkeeper.protocols.dlt645.frame import Frame, decode_frame, encode_frame
from wattkeeper.protocols.dlt645.identifiers import encode_value
from wattkeeper.protocols.dlt645.records import LoadRecord, encode_record
from wattkeeper.protocols.dlt645.status import SupplyStatus, encode_supply_status

ADDRESS = "260305510020"
BEIJING = ZoneInfo("Asia/Shanghai")
NOW_S = LocalTime(2026, 11, 22, 10, 7, 30).to_seconds(BEIJING)
MIDNIGHT_S = LocalTime(2026, 11, 22, 0, 0).to_seconds(BEIJING)


def config(**changes):
    fields = {
        "serial_number": ADDRESS,
        "address": ADDRESS,
        "time_zone": "Asia/Shanghai",
        "secrets": {"password": bytes.fromhex("02123456"), "operator": bytes.fromhex("11223344")},
    }
    return DeviceConfig(**(fields | changes))


class Meter:
    """Answers from a table of data, and keeps what it was asked."""

    def __init__(self, data=None, records=(), zone=BEIJING):
        self.data = {"04000402": bytes.fromhex(ADDRESS)[::-1]} | (data or {})
        self.records = dict(records)
        self.zone = zone
        self.requests = []
        self.part_bytes = 196
        self.status = SupplyStatus(is_switch_open=False, is_command_open=False)
        self.can_tell_edges = True
        self.interval_s = 900
        self.parts = {}

    def __call__(self, request):
        frame, _ = decode_frame(request.frame)
        assert frame.address == ADDRESS
        asked = services.decode_request(frame)
        self.requests.append(asked)
        return encode_frame(services.encode_answer(ADDRESS, self.answer(frame, asked)), 4)

    def answer(self, frame, asked):
        if isinstance(asked, services.Read):
            data = self.read(asked)
            if data is None:
                return services.Answer(frame.function, "", b"", refusal=services.Refusal.NO_SUCH_DATA)
            self.parts[asked.di] = services.split_data(asked.di, data, self.part_bytes)
            return self.parts[asked.di][0]
        if isinstance(asked, services.ReadMore):
            return self.parts[asked.di][asked.sequence]
        return services.Answer(frame.function, "", b"")

    def read(self, asked):
        if asked.di.startswith("0604"):
            return self.read_records(asked)
        now = LocalTime.from_seconds(NOW_S, self.zone)
        computed = {
            "04000101": services.encode_date_week(now, 0),
            "04000102": services.encode_time_of_day(now),
            "04000503": encode_supply_status(self.status),
        }
        return self.data.get(asked.di, computed.get(asked.di))

    def read_records(self, asked):
        stamps = sorted(self.records)
        if asked.di != "06040001":
            edge = (stamps[:1] if asked.di == "06040000" else stamps[-1:]) if self.can_tell_edges else []
        else:
            start_s = asked.from_time.to_seconds(self.zone)
            edge = (
                [s for s in stamps if start_s <= s < start_s + asked.count * self.interval_s]
                if start_s in self.records
                else []
            )
        return b"".join(self.record(stamp) for stamp in edge) or None

    def record(self, stamp_s):
        values = {"00010000": self.records[stamp_s], "00020000": 0, "00030000": None, "00040000": None}
        return encode_record(LoadRecord(LocalTime.from_seconds(stamp_s, self.zone), values))


def test_open_knows_its_meter():
    assert run_steps(make_driver("dlt645_2007", config()).open(), Meter()) is None


def test_open_refuses_another_meter():
    meter = Meter({"04000402": bytes.fromhex("000000000099")[::-1]})
    with pytest.raises(WattkeeperError) as caught:
        run_steps(make_driver("dlt645_2007", config()).open(), meter)
    assert caught.value.code == "drivers.wrong-device"


def test_open_falls_back_to_the_address():
    meter = Meter({"04000402": None, "04000401": bytes.fromhex(ADDRESS)[::-1]})
    run_steps(make_driver("dlt645_2007", config(serial_number="X1")).open(), meter)
    assert meter.requests == [services.Read("04000402"), services.Read("04000401")]


@pytest.mark.parametrize(
    ("ratios", "expected"),
    [
        ({}, 1),
        ({"04000306": 80}, 80),
        ({"04000306": 80, "04000307": 100}, 8000),
        ({"04000306": 0, "04000307": None}, 1),
    ],
)
def test_the_ratios_of_transformers_are_multiplied(ratios, expected):
    meter = Meter({di: encode_value(di, ratio) for di, ratio in ratios.items()})
    assert run_steps(make_driver("dlt645_2007", config()).read_multiplier(), meter) == expected


def test_live_reads_what_the_meter_has():
    meter = Meter(
        {
            "0001FF00": b"".join(encode_value("00010000", Decimal(n) / 100) for n in (12345, 1, 2, 3, 4)),
            "02010100": encode_value("02010100", Decimal("229.7")),
            "02030000": encode_value("02030000", Decimal("0.2512")),
            "02060000": b"\xff\xff",
        }
    )
    reads = run_steps(make_driver("dlt645_2007", config()).read_live(), meter)
    found = {read.reading_type: read.value for read in reads}
    assert found == {
        "energy_import_register_kwh": Decimal("123.45"),
        "energy_import_t1_register_kwh": Decimal("0.01"),
        "energy_import_t2_register_kwh": Decimal("0.02"),
        "energy_import_t3_register_kwh": Decimal("0.03"),
        "energy_import_t4_register_kwh": Decimal("0.04"),
        "voltage_l1_v": Decimal("229.7"),
        "power_import_w": Decimal("251.2"),
    }
    assert {read.source for read in reads} == {Source.LIVE}


def test_follow_up_frames_make_one_value_list():
    meter = Meter({"0001FF00": encode_value("00010000", Decimal("1.00")) * 5})
    meter.part_bytes = 6
    reads = run_steps(make_driver("dlt645_2007", config()).read_live(), meter)
    assert [read.value for read in reads] == [Decimal(1)] * 5


def test_a_digit_that_is_none_is_damage():
    meter = Meter({"0001FF00": bytes.fromhex("00000e00")})
    with pytest.raises(AnswerDamaged) as caught:
        run_steps(make_driver("dlt645_2007", config()).read_live(), meter)
    assert caught.value.code == "dlt645.not-bcd"


def read_profile(meter, from_s, to_s, **changes):
    reads = run_steps(make_driver("dlt645_2007", config(**changes)).read_profile(from_s, to_s), meter)
    return [r.measured_at_s for r in reads if r.reading_type == "energy_import_register_kwh"], reads


def test_profile_asks_six_records_at_a_time_and_stamps_in_utc():
    stamps = range(MIDNIGHT_S, MIDNIGHT_S + 20 * 900, 900)
    meter = Meter(records=[(s, n) for n, s in enumerate(stamps)])
    found, reads = read_profile(meter, MIDNIGHT_S, MIDNIGHT_S + 18 * 900)
    assert found == list(stamps)[:18]
    assert len(meter.requests) == 3
    assert reads[0] == DeviceRead(
        "energy_import_register_kwh", Decimal("0.00"), MIDNIGHT_S, Source.PROFILE, 0
    )
    assert {r.reading_type for r in reads} == {"energy_import_register_kwh", "energy_export_register_kwh"}


def test_profile_asks_only_for_whole_slots_of_the_span():
    meter = Meter(records=[(MIDNIGHT_S + n * 900, n) for n in range(20)])
    assert read_profile(meter, MIDNIGHT_S + 1, MIDNIGHT_S + 1801)[0] == [MIDNIGHT_S + 900, MIDNIGHT_S + 1800]


@pytest.mark.parametrize(("zone", "phase_s"), [("Asia/Kolkata", 1800), ("Asia/Shanghai", 7 * 60)])
def test_records_beside_multiples_of_the_interval_are_read_too(zone, phase_s):
    """Local hours in India lie half an hour beside those of UTC; others may stamp at seven minutes past."""
    first_s = MIDNIGHT_S // 3600 * 3600 + phase_s
    held = [n for n in range(40) if n not in (7, 8, 30)]
    meter = Meter(records=[(first_s + n * 3600, n) for n in held], zone=ZoneInfo(zone))
    meter.interval_s = 3600
    driver = make_driver("dlt645_2007", config(time_zone=zone, interval_s=3600))
    for from_s in (first_s, first_s - phase_s):
        reads = run_steps(driver.read_profile(from_s, first_s + 40 * 3600), meter)
        assert sorted({r.measured_at_s for r in reads}) == [first_s + n * 3600 for n in held]


def test_a_gap_inside_the_memory_is_left_out():
    held = [n for n in range(40) if not 7 <= n < 15]
    meter = Meter(records=[(MIDNIGHT_S + n * 900, n) for n in held])
    assert read_profile(meter, MIDNIGHT_S, MIDNIGHT_S + 40 * 900)[0] == [MIDNIGHT_S + n * 900 for n in held]


@pytest.mark.parametrize("can_tell_edges", [True, False])
def test_a_span_longer_than_the_memory(can_tell_edges):
    meter = Meter(records=[(MIDNIGHT_S + n * 900, n) for n in range(4)])
    meter.can_tell_edges = can_tell_edges
    found, _ = read_profile(meter, MIDNIGHT_S - 86_400, MIDNIGHT_S + 86_400)
    assert found == [MIDNIGHT_S + n * 900 for n in range(4)]
    if can_tell_edges:
        assert len(meter.requests) < 12


def test_an_empty_memory():
    assert read_profile(Meter(), MIDNIGHT_S, MIDNIGHT_S + 6 * 900)[0] == []


def test_a_late_block_of_records_is_not_an_answer():
    steps = make_driver("dlt645_2007", config()).read_profile(MIDNIGHT_S, MIDNIGHT_S + 12 * 900)
    meter = Meter(records=[(MIDNIGHT_S + n * 900, n) for n in range(12)])
    first = next(steps)
    first_answer = meter(first)
    second = steps.send(Answer(first_answer, 0))
    assert not second.matches(first_answer)
    assert second.matches(meter(second))


def test_the_hour_that_happens_twice_is_flagged():
    zone = ZoneInfo("Europe/Berlin")
    first_s = LocalTime(2026, 10, 25, 1, 45).to_seconds(zone)
    meter = Meter(records=[(first_s, 1), (first_s + 900, 2)], zone=zone)
    _, reads = read_profile(meter, first_s, first_s + 1800, time_zone="Europe/Berlin")
    flags = {r.measured_at_s: r.flags for r in reads}
    assert flags == {first_s: 0, first_s + 900: Flag.DST_AMBIGUOUS}


def freeze_meter():
    data = {"04000B01": bytes.fromhex("0001")}
    for n in range(1, 6):
        data[f"050600{n:02X}"] = encode_minute(LocalTime.from_seconds(MIDNIGHT_S - (n - 1) * 86_400, BEIJING))
        data[f"050601{n:02X}"] = encode_value("00010000", Decimal(1000 - n)) * 5
    for n in range(1, 4):
        data[f"0001FF{n:02X}"] = encode_value("00010000", Decimal(900 - n))
    return Meter(data)


def test_freezes_daily_and_monthly():
    from_s = LocalTime(2026, 10, 1, 0, 0).to_seconds(BEIJING)
    reads = run_steps(make_driver("dlt645_2007", config()).read_freezes(from_s, NOW_S), freeze_meter())
    totals = [
        (r.source, r.measured_at_s, r.value) for r in reads if r.reading_type == "energy_import_register_kwh"
    ]
    november_s, october_s = (LocalTime(2026, m, 1, 0, 0).to_seconds(BEIJING) for m in (11, 10))
    assert totals == [
        *((Source.FREEZE_DAILY, MIDNIGHT_S - (n - 1) * 86_400, Decimal(1000 - n)) for n in range(1, 6)),
        (Source.FREEZE_MONTHLY, november_s, Decimal(899)),
        (Source.FREEZE_MONTHLY, october_s, Decimal(898)),
    ]


def test_a_freeze_that_happens_meanwhile_is_noticed():
    meter = freeze_meter()

    def answer(request):
        octets = meter(request)
        if meter.requests[-1] == services.Read("05060101"):
            for n in range(5, 0, -1):
                stamp_s = MIDNIGHT_S - (n - 2) * 86_400
                meter.data[f"050600{n:02X}"] = encode_minute(LocalTime.from_seconds(stamp_s, BEIJING))
        return octets

    steps = make_driver("dlt645_2007", config()).read_freezes(MIDNIGHT_S - 3 * 86_400, NOW_S)
    with pytest.raises(AnswerDamaged) as caught:
        run_steps(steps, answer)
    assert caught.value.code == "dlt645.freeze-moved"
    assert not caught.value.is_permanent


def test_the_clock_is_local_time():
    assert run_steps(make_driver("dlt645_2007", config()).read_clock(), Meter()) == NOW_S


def test_the_clock_is_set_with_password_and_operator():
    meter = Meter()
    run_steps(make_driver("dlt645_2007", config()).set_clock(NOW_S), meter)
    first, second = meter.requests
    assert (first.di, first.data.hex()) == ("04000101", "00221126")
    assert (second.di, second.data.hex()) == ("04000102", "300710")
    assert (first.password.hex(), first.operator.hex()) == ("02123456", "11223344")


@pytest.mark.parametrize(
    ("is_switch_open", "is_command_open", "state"),
    [
        (False, False, RelayState.CONNECTED),
        (False, True, RelayState.CONNECTED),
        (True, True, RelayState.DISCONNECTED),
        (True, False, RelayState.READY_FOR_RECONNECTION),
    ],
)
def test_relay_states(is_switch_open, is_command_open, state):
    meter = Meter()
    meter.status = SupplyStatus(is_switch_open, is_command_open)
    assert run_steps(make_driver("dlt645_2007", config()).read_relay(), meter) is state


@pytest.mark.parametrize(
    ("command", "n1"), [(RelayCommand.DISCONNECT, 0x1A), (RelayCommand.ARM, 0x1B), (RelayCommand.CLOSE, 0x1C)]
)
def test_control_is_good_for_ten_minutes_by_the_meters_clock(command, n1):
    meter = Meter()
    run_steps(make_driver("dlt645_2007", config()).control_relay(command), meter)
    request = meter.requests[-1]
    assert request.command == n1
    assert request.valid_until.to_seconds(BEIJING) == NOW_S + 600
    assert request.password.hex() == "02123456"


def test_a_control_asks_for_the_clock_and_orders_once():
    meter, questions = Meter(), []

    def answer(request):
        questions.append(request.is_question)
        return meter(request)

    run_steps(make_driver("dlt645_2007", config()).control_relay(RelayCommand.DISCONNECT), answer)
    assert questions == [True, True, False]


def test_a_refusal_is_told_with_its_reason():
    meter = Meter()
    meter.answer = lambda frame, _asked: services.Answer(frame.function, "", b"", refusal=services.Refusal(4))
    with pytest.raises(DeviceRefused) as caught:
        run_steps(make_driver("dlt645_2007", config()).open(), meter)
    assert caught.value.params["refusal"] == "NOT_AUTHORIZED"


def test_foreign_and_wrong_answers_do_not_match():
    request = next(make_driver("dlt645_2007", config()).read_relay())
    good = services.encode_answer(ADDRESS, services.Answer(0x11, "04000503", b"\x00\x00"))
    assert request.matches(encode_frame(good))
    for wrong in (
        Frame("000000000001", good.control, good.data),
        services.encode_answer(ADDRESS, services.Answer(0x11, "04000504", b"\x00\x00")),
        services.encode_answer(ADDRESS, services.Answer(0x14, "", b"")),
        Frame(ADDRESS, 0x11, good.data),
    ):
        assert not request.matches(encode_frame(wrong))
    assert not request.matches(b"\x68")


@pytest.mark.parametrize(
    "changes",
    [
        {"address": "123"},
        {"address": "12345678901x"},
        {"time_zone": "Mars/Base"},
        {"time_zone": "../etc"},
        {"secrets": {"password": b"123"}},
        {"settings": {"wake_up": 9}},
        {"settings": {"records": True}},
        {"settings": {"phases": "3"}},
    ],
)
def test_bad_settings_are_refused(changes):
    with pytest.raises(WattkeeperError) as caught:
        make_driver("dlt645_2007", config(**changes))
    assert caught.value.code.startswith("dlt645_2007.")


def test_capabilities_and_push():
    driver = make_driver("dlt645_2007", config())
    assert Capability.RELAY in driver.capabilities
    assert driver.on_push(b"", 0) == []


def golden_cases():
    answer = bytes.fromhex("68200051050326689106" + "36383337" + "4333")
    sealed = answer + bytes((sum(answer) & 0xFF, 0x16))
    request = encode_frame(services.encode_read(ADDRESS, services.Read("04000503")), 4)
    yield Case(
        "relay",
        lambda: make_driver("dlt645_2007", config()),
        lambda driver: driver.read_relay(),
        [Exchange(sealed, request)],
        RelayState.READY_FOR_RECONNECTION,
    )
    meter = Meter(records=[(MIDNIGHT_S + n * 900, n) for n in range(3)])
    requests = list(run_and_record(meter))
    yield Case(
        "profile",
        lambda: make_driver("dlt645_2007", config(settings={"records": 1, "wake_up": 4})),
        lambda driver: driver.read_profile(MIDNIGHT_S, MIDNIGHT_S + 2 * 900),
        requests,
        [
            DeviceRead(
                kind, Decimal(n if "import" in kind else 0) / 100, MIDNIGHT_S + n * 900, Source.PROFILE, n
            )
            for n in range(2)
            for kind in ("energy_import_register_kwh", "energy_export_register_kwh")
        ],
    )


def run_and_record(meter):
    exchanges = []

    def answer(request):
        octets = meter(request)
        exchanges.append(Exchange(octets, request.frame))
        return octets

    driver = make_driver("dlt645_2007", config(settings={"records": 1, "wake_up": 4}))
    run_steps(driver.read_profile(MIDNIGHT_S, MIDNIGHT_S + 2 * 900), answer)
    return exchanges


@pytest.mark.parametrize("case", list(golden_cases()), ids=lambda case: case.name)
def test_conformance(case):
    check_case(case)


def test_the_suite_notices_a_driver_that_takes_damaged_frames():
    case = next(iter(golden_cases()))

    class Careless:
        def split(self, buffer):
            found = make_driver("dlt645_2007", config()).split(buffer)
            if found.garbage != "dlt645.checksum":
                return found
            return type(found)(buffer[: found.used_bytes], found.used_bytes)

    with pytest.raises(AssertionError):
        check_damage_counted(Case("careless", Careless, case.verb, case.exchanges, None))


def test_a_meter_without_blocks_is_asked_value_by_value():
    meter = Meter({"00010000": encode_value("00010000", Decimal("7.00"))})
    reads = run_steps(make_driver("dlt645_2007", config()).read_live(), meter)
    assert [(r.reading_type, r.value) for r in reads] == [("energy_import_register_kwh", Decimal(7))]


def test_a_record_of_no_such_day_is_damage():
    meter = Meter(records=[(MIDNIGHT_S, 1)])
    octets = bytearray(meter.record(MIDNIGHT_S))
    octets[6] = 0x13  # month 13
    octets[-2] = sum(octets[:-2]) & 0xFF
    meter.record = lambda _stamp: bytes(octets)
    with pytest.raises(AnswerDamaged) as caught:
        read_profile(meter, MIDNIGHT_S, MIDNIGHT_S + 900)
    assert caught.value.code == "dlt645.no-such-time"
