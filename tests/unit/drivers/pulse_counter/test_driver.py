from decimal import Decimal

import pytest

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.quality import Source
from wattkeeper.drivers import make_driver
from wattkeeper.drivers.api import AnswerDamaged, Capability, DeviceConfig, DeviceRead, DeviceRefused
from wattkeeper.drivers.conformance import Case, Exchange, check_case, feed, run_steps
from wattkeeper.protocols.pulse.messages import Ack, Counts, Get, History, Topic, decode_line, encode_line

T0_S = 1_763_769_600


def driver(address="tower/P1", serial="P1"):
    return make_driver("pulse_counter", DeviceConfig(serial_number=serial, address=address))


def line(verb, message, serial="P1", site="tower"):
    return encode_line(Topic(site, serial, verb), message)


COUNTS = line("counts", Counts("P1", 7, ((T0_S, 1600), (T0_S + 900, 1612))))


def test_a_push_is_dial_positions():
    assert driver().on_push(COUNTS, 3) == [
        DeviceRead("pulses_imp", Decimal(1600), T0_S, Source.PUSH, 3),
        DeviceRead("pulses_imp", Decimal(1612), T0_S + 900, Source.PUSH, 3),
    ]


def test_the_acknowledgement_names_the_sequence():
    assert decode_line(driver().acknowledgement(COUNTS)) == (Topic("tower", "P1", "ack"), Ack(7))
    assert driver().acknowledgement(line("history", History("P1", 0, 1, ()))) is None


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        (line("counts", Counts("P2", 1, ()), "P2"), WattkeeperError),
        (line("counts", Counts("P1", 1, ()), site="mall"), WattkeeperError),
        (line("ack", Ack(1)), AnswerDamaged),
        (b"{}\n", AnswerDamaged),
        (b"", AnswerDamaged),
        (b"\xff\xfe", AnswerDamaged),
    ],
)
def test_what_is_no_push_of_this_counter_is_refused(payload, error):
    with pytest.raises(error):
        driver().on_push(payload, 0)


def memory(most_rows):
    rows = [(T0_S + n * 900, n) for n in range(100)]

    def answer(request):
        _, get = decode_line(request.frame)
        held = [row for row in rows if get.from_s <= row[0] < get.to_s]
        to_s = get.to_s if len(held) <= most_rows else held[most_rows][0]
        return line("history", History("P1", get.from_s, to_s, tuple(held[:most_rows])))

    return answer


@pytest.mark.parametrize("most_rows", [1, 7, 1000])
def test_history_is_asked_for_until_the_span_is_whole(most_rows):
    reads = run_steps(driver().read_profile(T0_S + 900, T0_S + 21 * 900), memory(most_rows))
    assert [(r.measured_at_s, r.value) for r in reads] == [(T0_S + n * 900, n) for n in range(1, 21)]
    assert {r.source for r in reads} == {Source.PROFILE}


def test_other_history_does_not_match():
    request = next(driver().read_profile(10, 20))
    assert decode_line(request.frame) == (Topic("tower", "P1", "get"), Get(10, 20))
    assert request.matches(line("history", History("P1", 10, 20, ())))
    assert request.matches(line("history", History("P1", 10, 15, ())))
    for other in (
        line("history", History("P1", 9, 20, ())),
        line("history", History("P1", 10, 21, ())),
        line("history", History("P1", 10, 10, ())),
        line("history", History("P2", 10, 20, ()), "P2"),
        COUNTS,
        b"garbage\n",
    ):
        assert not request.matches(other)


def test_lines_that_are_no_messages_are_counted():
    frames, garbage = feed(driver(), [b"garbage\n", COUNTS, b"x" * 200_000 + b"\n", COUNTS[:5], COUNTS[5:]])
    assert frames == [COUNTS, COUNTS]
    assert garbage
    assert all(garbage)


def test_what_a_counter_lacks_is_refused():
    one = driver()
    assert one.capabilities == {Capability.PUSH, Capability.PROFILE}
    for steps in (one.read_clock(), one.set_clock(0), one.read_relay(), one.control_relay(None)):
        with pytest.raises(DeviceRefused):
            next(steps)
    for steps in (one.open(), one.close(), one.read_live(), one.read_freezes(0, 1)):
        assert run_steps(steps, None) in (None, [])


@pytest.mark.parametrize("address", ["", "P1", "a/b/P1", "to+wer/P1"])
def test_bad_addresses_are_refused(address):
    with pytest.raises(WattkeeperError) as caught:
        driver(address)
    assert caught.value.code == "pulse_counter.bad-address"


def test_another_serial_number_is_refused():
    with pytest.raises(WattkeeperError) as caught:
        driver("tower/P2")
    assert caught.value.code == "drivers.wrong-device"


def test_conformance():
    answer = memory(1000)
    exchanges = []

    def kept(request):
        exchanges.append(Exchange(answer(request), request.frame))
        return exchanges[-1].answer

    expected = run_steps(driver().read_profile(T0_S, T0_S + 1800), kept)
    check_case(
        Case(
            "history",
            driver,
            lambda one: one.read_profile(T0_S, T0_S + 1800),
            exchanges,
            expected,
            has_checksum=False,
            garbage_end=b"\n",
        )
    )
